"""Raw columns of serialized `tf.train.Example`s, without a TensorFlow session."""

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from tf_interformer.schema import RawColumn


def example_columns(columns: Sequence[RawColumn], serialized: Iterable[bytes | str]) -> dict[str, list[Any]]:
    """The columns as `FeatureSchema.parse_examples` reads them; histories and lists are as long as they are.

    Args:
        columns: `FeatureSchema.served_columns`.
        serialized: Examples that `serving.server.validation` found right.
    """
    features = [
        tf.train.Example.FromString(text if isinstance(text, bytes) else text.encode()).features.feature
        for text in serialized
    ]
    found: dict[str, list[Any]] = {}
    for column in columns:
        if column.kind == "length":
            continue
        values = [_values(given[column.name]) if column.name in given else [] for given in features]
        found[column.name] = values if column.has_lists else [_plain(column, of_row) for of_row in values]
        if column.length is not None:
            found[column.length] = [len(of_row) for of_row in values]
    return found


def _values(feature: Any) -> list[Any]:
    kind = feature.WhichOneof("kind")
    return list(getattr(feature, kind).value) if kind is not None else []


def _plain(column: RawColumn, values: list[Any]) -> Any:
    if column.kind == "vector":
        return values or [column.missing] * (column.width or 0)
    return values[0] if values else column.missing
