"""Rows that look like requests, made of the schema alone."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tf_interformer.schema import Categorical, FeatureSchema, Numeric, Vector

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
    rows: dict[str, np.ndarray] = {}
    for name in (f.name for f in schema.features if f.name not in schema.served_as):
        feature = schema[name]
        if isinstance(feature, Numeric):
            rows[name] = _numbers(feature, count, random)
        elif isinstance(feature, Vector):
            rows[name] = random.normal(size=(count, feature.dim)).astype(np.float32)
        else:
            shape = (count,) if feature.max_values is None else (count, feature.max_values)
            rows[name] = _values(schema, name, shape, random)
    for sequence in schema.sequences:
        lengths = random.integers(0, sequence.max_length + 1, count).astype(np.int32)
        padded = np.arange(sequence.max_length) >= lengths[:, None]
        for field in sequence.fields:
            column = sequence.column(field.name)
            shape = (count, sequence.max_length)
            if isinstance(field, Numeric):
                events = _numbers(field, shape, random)
            else:
                events = _values(schema, column, shape, random)
            rows[column] = np.where(padded, np.array(field.missing, events.dtype), events)
        rows[sequence.length_column] = lengths
    return rows


def candidate_rows(schema: FeatureSchema, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """The raw columns of one user and so many candidates."""
    rows = example_rows(schema, count, seed)
    return {name: value if name in schema.candidate else value[:1] for name, value in rows.items()}


def serialized_examples(schema: FeatureSchema, rows: Mapping[str, Any]) -> list[bytes]:
    """The rows of a raw batch as serialised `tf.train.Example`s, as `FeatureSchema.parse_examples` reads them.

    What is missing is left out of the example.
    """
    lengths = {s.column(f.name): rows[s.length_column] for s in schema.sequences for f in s.fields}
    columns = [name for name in schema.signature() if name not in {s.length_column for s in schema.sequences}]
    count = len(rows[columns[0]])
    return [
        tf.train.Example(
            features=tf.train.Features(
                feature={
                    name: _feature(schema[name], rows[name][row], lengths[name][row] if name in lengths else None)
                    for name in columns
                }
            )
        ).SerializeToString()
        for row in range(count)
    ]


def _feature(feature: Any, value: Any, length: int | None) -> tf.train.Feature:
    values = np.atleast_1d(np.asarray(value))
    if length is not None:
        values = values[:length]
    elif isinstance(feature, Categorical):
        values = values[values != feature.missing]
    elif np.isnan(values).any():
        values = values[:0]
    if not len(values):
        return tf.train.Feature()
    if values.dtype.kind == "f":
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    if values.dtype.kind in "iu":
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    texts = [text if isinstance(text, bytes) else str(text).encode() for text in values]
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=texts))


def _numbers(feature: Numeric, shape: int | tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    mean, std = feature.mean or 0.0, feature.std or 1.0
    values = random.normal(mean, std, shape)
    if feature.transform == "log":
        values = np.sign(values) * np.expm1(np.minimum(np.abs(values), 30.0))
    values[random.random(shape) < _MISSING] = np.nan
    return values.astype(np.float32)


def _values(schema: FeatureSchema, key: str, shape: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    owner = schema.tables[schema.table_of(key)]
    missing: Any = schema[key].missing  # type: ignore[union-attr]
    text = owner.dtype == "string"
    known = owner.vocabulary or tuple(f"value {i}" if text else i for i in range(100))
    unknown = "never seen" if text else 1 + max(0, *(int(value) for value in (*known, missing)))
    values = np.array(known, object if text else np.int64)[random.integers(0, len(known), shape)]
    draws = random.random(shape)
    values[draws < _MISSING + _UNKNOWN] = unknown
    values[draws < _MISSING] = missing
    return values
