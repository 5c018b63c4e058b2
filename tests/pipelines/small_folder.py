"""The log of `tests.small_log` on disk, as TFRecord and as Parquet."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from tests.small_log import declared_schema, raw_batch
from tf_interformer.schema import FeatureSchema

ROWS = 50


def rows(seed: int, lists: bool = False) -> list[dict[str, Any]]:
    """A raw batch as one dict per example, padding taken off.

    With `lists` every ten examples are of one user, every five of one list, `shown`.
    """
    batch = raw_batch(ROWS, seed)
    batch["user"] = np.arange(ROWS) // (10 if lists else 1) + 100 * seed  # tells the examples apart
    examples = []
    for i in range(ROWS):
        example = {name: batch[name][i] for name in ("item", "user", "country", "price", "age")}
        example["tags"] = [int(tag) for tag in batch["tags"][i] if tag != -1]
        example["viewed_item"] = list(batch["viewed_item"][i][: batch["viewed_length"][i]])
        example["viewed_tag"] = [int(t) for t in batch["viewed_tag"][i][: batch["viewed_length"][i]]]
        example["bought_item"] = list(batch["bought_item"][i][: batch["bought_length"][i]])
        example["click"] = int(batch["click"][i])
        if lists:
            example["shown"] = f"{seed}-{i // 5}"
        examples.append(example)
    return examples


def serialized(example: dict[str, Any]) -> bytes:
    """The example as a serialized `tf.train.Example`."""
    features = {}
    for name, value in example.items():
        values = value if isinstance(value, list) else [value]
        if name in ("item", "country", "viewed_item", "bought_item", "shown"):
            features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[v.encode() for v in values]))
        elif name in ("price", "age"):
            features[name] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
        else:
            features[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def folder_schema(lists: bool = False) -> FeatureSchema:
    """The schema of `rows`."""
    named = {"request": "shown", "request_dtype": "string"} if lists else {}
    return declared_schema().model_copy(update=named)


def write_folders(base: Path, lists: bool = False) -> Path:
    """Write `base/tfrecord` and `base/parquet`, with two files of the training split each."""
    for file_format in ("tfrecord", "parquet"):
        (base / file_format).mkdir(parents=True)
        folder_schema(lists).to_json(base / file_format / "schema.json")
    for seed, name in enumerate(["train-0", "train-1", "validation", "test"]):
        with tf.io.TFRecordWriter(str(base / "tfrecord" / f"{name}.tfrecord")) as writer:
            for example in rows(seed, lists):
                writer.write(serialized(example))
        pq.write_table(pa.Table.from_pylist(rows(seed, lists)), base / "parquet" / f"{name}.parquet")
    return base
