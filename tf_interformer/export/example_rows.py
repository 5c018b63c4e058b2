"""Rows that look like requests, made of the schema alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_interformer.schema import FeatureSchema, RawColumn

# Shares of values that are missing, and that training never saw.
_MISSING, _UNKNOWN = 0.05, 0.1


def example_rows(schema: FeatureSchema, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """A raw batch: known, unknown and missing values, and histories from empty to full.

    Args:
        schema: `FeatureSchema`. A learned one.
        count: Number of rows.
        seed: Seed of the draws. Defaults to 0.
    """
    random = np.random.default_rng(seed)
    served = schema.served_columns
    rows = {
        column.name: random.integers(0, (column.width or 0) + 1, count).astype(np.int32)
        for column in served
        if column.kind == "length"
    }
    for column in served:
        if column.kind != "length":
            rows[column.name] = _drawn(schema, column, count, random)
        if column.length is not None:
            padded = np.arange(column.width or 0) >= rows[column.length][:, None]
            values = rows[column.name]
            rows[column.name] = np.where(padded, np.array(column.missing, values.dtype), values)
    return rows


def candidate_rows(schema: FeatureSchema, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The raw columns of one user and so many candidates."""
    rows = example_rows(schema, count, seed)
    return {name: value if name in schema.served_candidate else value[:1] for name, value in rows.items()}


def serialized_examples(schema: FeatureSchema, rows: Mapping[str, Any]) -> list[bytes]:
    """The rows of a raw batch as serialised `tf.train.Example`s, as `FeatureSchema.parse_examples` reads them.

    What is missing is left out of the example.
    """
    columns = [column for column in schema.served_columns if column.kind != "length"]
    count = len(rows[columns[0].name])
    return [
        tf.train.Example(
            features=tf.train.Features(
                feature={
                    column.name: _feature(
                        column, rows[column.name][row], None if column.length is None else rows[column.length][row]
                    )
                    for column in columns
                }
            )
        ).SerializeToString()
        for row in range(count)
    ]


def _feature(column: RawColumn, value: Any, length: int | None) -> tf.train.Feature:
    values = np.atleast_1d(np.asarray(value))
    if length is not None:
        values = values[:length]
    elif column.dtype == "float32":
        values = values[:0] if np.isnan(values).any() else values
    else:
        values = values[values != column.missing]
    if not len(values):
        return tf.train.Feature()
    if values.dtype.kind == "f":
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    if values.dtype.kind in "iu":
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    texts = [text if isinstance(text, bytes) else str(text).encode() for text in values]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=texts))


def _drawn(schema: FeatureSchema, column: RawColumn, count: int, random: np.random.Generator) -> np.ndarray:
    shape = (count,) if column.width is None else (count, column.width)
    if column.kind == "vector":
        return random.normal(size=shape).astype(np.float32)
    if column.dtype == "float32":
        return _numbers(schema[column.name], shape, random)
    return _values(schema, column, shape, random)


def _numbers(feature: Any, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    mean, std = feature.mean or 0.0, feature.std or 1.0
    values = random.normal(mean, std, shape)
    if feature.transform == "log":
        values = np.sign(values) * np.expm1(np.minimum(np.abs(values), 30.0))
    values[random.random(shape) < _MISSING] = np.nan
    return values.astype(np.float32)


def _values(schema: FeatureSchema, column: RawColumn, shape: tuple[int, ...], random: np.random.Generator) -> Any:
    owner = schema.tables.get(column.table or "")
    text = column.dtype == "string"
    known = (owner and owner.vocabulary) or tuple(f"value {i}" if text else i for i in range(100))
    unknown = "never seen" if text else 1 + max(0, *(int(value) for value in (*known, column.missing)))
    values = np.array(known, object if text else np.int64)[random.integers(0, len(known), shape)]
    draws = random.random(shape)
    values[draws < _MISSING + _UNKNOWN] = unknown
    values[draws < _MISSING] = column.missing
    return values
