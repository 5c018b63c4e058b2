"""How many examples a second the input pipeline gives, against what a training step takes.

`python -m benchmarks.input_pipeline --output input.json` writes the standard work as TFRecord, reads it as
`pipelines.train` does (parsed and encoded by the batch, in parallel), and trains InterFormer on batches that are in
memory, both in turns.
"""

import argparse
import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import tensorflow as tf

from benchmarks import standard_work
from benchmarks.results import write
from benchmarks.timing import side_by_side
from pipelines.config import DatasetConfig
from pipelines.datasets.tf_examples import serialize_examples
from pipelines.input import open_source, training_dataset

_BATCHES = 20


def measure(rows: int, rounds: int) -> dict[str, Any]:
    """Returns examples a second of input and of training, and their ratio.

    Args:
        rows: int. Rows of all embedding tables.
        rounds: int. Measurements of 20 batches each.
    """
    schema = standard_work.schema(rows)
    ranker = standard_work.interformer(schema)
    size = standard_work.BATCH_SIZE
    in_memory = itertools.cycle(standard_work.batches(schema))
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), rows)
        source = open_source(DatasetConfig(name=schema.name, format="tfrecord"), folder)

        def forever() -> Iterator[Any]:
            while True:
                yield from training_dataset(
                    source, ranker.preprocessor, size, examples=2 * _BATCHES * size, shuffle_buffer=4 * size
                )

        batches = forever()

        def read() -> None:
            for _ in range(_BATCHES):
                next(batches)

        def train() -> None:
            for _ in range(_BATCHES):
                ranker.train_on_batch(*next(in_memory))

        seconds = side_by_side({"input": read, "training": train}, rounds)
    rates = {name: _BATCHES * size / taken for name, taken in seconds.items()}
    return {"rows": rows, **rates, "input_to_training": rates["input"] / rates["training"]}


def _write(folder: Path, rows: int) -> None:
    """Raw integers of the standard work; the preprocessor hashes them."""
    schema = standard_work.schema(rows)
    schema.to_json(folder / "schema.json")
    random = np.random.default_rng(0)
    count = 2 * _BATCHES * standard_work.BATCH_SIZE

    def ids(name: str, size: int) -> np.ndarray:
        return np.floor((schema.tables[name].num_ids - 2) ** random.random(size)).astype(np.int64)

    columns: dict[str, Any] = {feature.name: ids(feature.name, count) for feature in schema.categoricals}
    for sequence in schema.sequences:
        for field in sequence.fields:
            drawn = ids(field.name, count * sequence.max_length).reshape(count, sequence.max_length)
            columns[sequence.column(field.name)] = drawn.tolist()
    columns["click"] = random.integers(0, 2, count)
    with tf.io.TFRecordWriter(str(folder / "train.tfrecord")) as writer:
        for example in serialize_examples(pl.DataFrame(columns)):
            writer.write(example)
    for split in ("validation", "test"):
        (folder / f"{split}.tfrecord").write_bytes(b"")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    result = measure(given.rows, given.rounds)
    print(json.dumps(result, indent=1))
    if given.output:
        write(given.output, result)


if __name__ == "__main__":
    main()
