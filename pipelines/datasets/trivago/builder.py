"""The TensorFlow Datasets builder of trivago."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl
import tensorflow_datasets as tfds

from pipelines.datasets.table_builder import TableBuilder
from pipelines.datasets.tables import DataError
from pipelines.datasets.trivago.features import Examples
from pipelines.datasets.trivago.raw import HOMEPAGE, WHERE, find_file, read_events
from pipelines.datasets.trivago.schema import schema

_CITATION = """
@inproceedings{knees2019recsys,
  title     = {RecSys Challenge 2019: Session-based Hotel Recommendations},
  author    = {Peter Knees and Yashar Deldjoo and Farshad Bakhshandegan Moghaddam and Jens Adamczak and
               Gerard-Paul Leyson and Philipp Monreal},
  booktitle = {Proceedings of the 13th ACM Conference on Recommender Systems},
  year      = {2019},
  doi       = {10.1145/3298689.3346974}
}
"""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(eq=False)
class TrivagoConfig(tfds.core.BuilderConfig):
    """As of when a row knows what the user did.

    Args:
        name: str. Name of the configuration.
        strict: bool. `False`: up to the click-out. `True`: up to when its list was asked for. Defaults to `False`.
        features: str. Which of the columns, all of which are written, are features: see `schema`. Defaults to `"raw"`.
    """

    name: str = "default"
    strict: bool = False
    features: str = "raw"

    @property
    def schema_options(self) -> dict[str, str]:
        """Further arguments of `schema`."""
        return {"features": self.features}


class Trivago(TableBuilder):
    """Lists of hotels with one clicked out; see the package's docstring for the rules.

    Reads a session file from the manual folder: the challenge gives them to registered users only. The examples are
    flat: the columns of `schema(features="made")`, and `timestamp`, which is no feature.

    Example:

    ```python
    builder = Trivago(data_dir="~/tensorflow_datasets")
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir="trivago"))
    train = builder.as_dataset(split="train")
    ```
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [
        TrivagoConfig(description="What the user did before the click-out."),
        TrivagoConfig(name="strict", strict=True, description="What the user did before asking for the list."),
        TrivagoConfig(name="made", features="made", description="As `default`, with numbers made of it by hand."),
        TrivagoConfig(
            name="strict_made",
            strict=True,
            features="made",
            description="As `strict`, with numbers made of it by hand.",
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    {WHERE}. Put `train.csv`, or one session file as Parquet, into the manual folder.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description="Lists of hotels shown by trivago, and which one was clicked out (RecSys Challenge 2019).",
            features=schema(features="made").tfds_features(timestamp=tfds.features.Scalar(np.int64)),
            homepage=HOMEPAGE,
            citation=_CITATION,
            license="Terms of the RecSys Challenge 2019; not to be redistributed.",
            # The rows of a list stay together.
            disable_shuffling=True,
        )

    def _split_tables(self, dl_manager: Any) -> Mapping[str, Iterator[pl.DataFrame]]:
        try:
            # TFDS raises AssertionError when the manual folder is not there or is empty.
            path = find_file(dl_manager.manual_dir)
        except AssertionError as error:
            raise DataError(
                f"There is no folder with a session file of trivago: {error} {WHERE}, and pass their folder "
                "(`--data-dir`, or `manual_dir` in Python)."
            ) from None
        _log.info("Reading %s ...", path)
        examples = Examples(read_events(path), self.builder_config.strict)
        bounds = examples.bounds()
        _log.info("Computing examples of %d click-outs ...", len(examples.lists.row))
        for name, (start, end) in bounds.items():
            if start == end:
                raise DataError(
                    f"`{path}` must hold click-outs of a clicked item for the split `{name}`. Received: "
                    f"{len(examples.lists.row)} in all. Get the complete file."
                )
        return {name: examples.tables(*bound) for name, bound in bounds.items()}
