"""A TensorFlow Datasets builder whose splits are tables."""

from __future__ import annotations

import abc
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl
import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer, splits, writer
from tensorflow_datasets.core.utils import shard_utils

from pipelines.datasets.tf_examples import serialize_examples


class _AlreadySerialized(example_serializer.Serializer):
    """Passes the bytes of an example on."""

    def serialize_example(self, example: bytes) -> bytes:
        return example


@dataclasses.dataclass(frozen=True)
class _FilesOfSize(shard_utils.ShardConfig):
    """So many examples to a file at most, however large they are, unless a number of files is asked for."""

    examples_per_file: int = 1

    def get_number_shards(self, total_size: int, num_examples: int, uses_precise_sharding: bool = True) -> int:
        return self.num_shards or -(-num_examples // self.examples_per_file)


class TableBuilder(tfds.core.GeneratorBasedBuilder):
    """Base of the builders that compute each split as one polars DataFrame, or as a few, one after the other.

    Writes what `GeneratorBasedBuilder` would write, ten times faster: TFDS encodes and serialises example by
    example and feature by feature, while `serialize_examples` works on columns. A derived class defines
    `_info`, whose features are flat (scalars and one-dimensional sequences), and `_split_tables`.

    TFDS puts examples in an order that depends on their place in the table alone, but cuts it into files by their
    size, and files are read in turns. Where `EXAMPLES_PER_FILE` is set, the examples of a split are read in the same
    order whatever features they have.
    """

    EXAMPLES_PER_FILE: int | None = None

    @abc.abstractmethod
    def _split_tables(self, dl_manager: Any) -> Mapping[str, pl.DataFrame | Iterable[pl.DataFrame]]:
        """Returns one table per split, or its parts, with exactly the columns of `self.info.features`."""

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, bytes]]]:
        tables = self._split_tables(dl_manager)
        return {
            name: self._generate_examples([table] if isinstance(table, pl.DataFrame) else table)
            for name, table in tables.items()
        }

    def _generate_examples(self, tables: Iterable[pl.DataFrame]) -> Iterator[tuple[int, bytes]]:
        columns = list(self.info.features)
        rows = 0
        for table in tables:
            wrong = sorted(set(columns) ^ set(table.columns))
            if wrong:
                raise ValueError(
                    f"The table must have the columns of the features. Received other: {', '.join(wrong)}."
                )
            yield from enumerate(serialize_examples(table.select(columns)), start=rows)
            rows += table.height

    # TFDS has no smaller hook: its split builder encodes what `_generate_examples` yields by itself.
    def _generate_splits(self, dl_manager: Any, download_config: Any) -> list[splits.SplitInfo]:
        serializer = _AlreadySerialized(self.info.features.get_serialized_info())
        shards = download_config.get_shard_config()
        if self.EXAMPLES_PER_FILE is not None:
            shards = _FilesOfSize(num_shards=shards.num_shards, examples_per_file=self.EXAMPLES_PER_FILE)
        infos = []
        for name, examples in self._split_generators(dl_manager).items():
            template = self._get_filename_template(split_name=name)
            split = writer.Writer(
                serializer=serializer,
                filename_template=template,
                hash_salt=name,
                disable_shuffling=self.info.disable_shuffling,
                example_writer=self._example_writer(),
                shard_config=shards,
                ignore_duplicates=download_config.ignore_duplicates,
            )
            limited = itertools.islice(examples, download_config.max_examples_per_split)
            progress = tfds.core.utils.tqdm(
                limited, desc=f"Generating {name} examples...", unit=" examples", leave=False, mininterval=1.0
            )
            for key, example in progress:
                split.write(key, example)
            lengths, size = split.finalize()
            infos.append(splits.SplitInfo(name=name, shard_lengths=lengths, num_bytes=size, filename_template=template))
        return infos
