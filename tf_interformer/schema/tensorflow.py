"""A schema's raw columns in TensorFlow; imported only where a schema is asked for them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tf_interformer._names import safe_name
from tf_interformer._tensorflow import tf
from tf_interformer.schema.raw_column import RawColumn


def signature(columns: Iterable[RawColumn], candidates: bool = False) -> dict[str, tf.TensorSpec]:
    """Tensor specs by column: see `FeatureSchema.signature` and, with `candidates`, `candidate_signature`."""

    def spec(column: RawColumn) -> tf.TensorSpec:
        rows = 1 if candidates and column.side == "user" else None
        return tf.TensorSpec([rows, *column.shape[1:]], tf.as_dtype(column.dtype), safe_name(column.name))

    return {column.name: spec(column) for column in columns}


def parsing_spec(columns: Iterable[RawColumn]) -> dict[str, Any]:
    """The spec with which `tf.io.parse_example` reads some columns; lengths are those of the events."""
    return {column.name: _parsed(column) for column in columns if column.kind != "length"}


def _parsed(column: RawColumn) -> Any:
    dtype = tf.as_dtype(column.stored_dtype)
    if column.has_lists:
        return tf.io.RaggedFeature(dtype, row_splits_dtype=tf.int32)
    # No default where nothing is missing: an example without its label, or key, is an error, not a negative.
    if column.kind == "vector":
        return tf.io.FixedLenFeature([column.width], dtype, default_value=[column.missing] * (column.width or 0))
    return tf.io.FixedLenFeature([], dtype, default_value=column.missing)


def parse_examples(columns: Sequence[RawColumn], serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """A raw batch of serialized `tf.train.Example`s `[batch]`."""
    return dense_batch(columns, tf.io.parse_example(serialized, parsing_spec(columns)))


def dense_batch(columns: Sequence[RawColumn], parsed: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """A raw batch of parsed columns: see `FeatureSchema.dense_batch`."""
    batch: dict[str, tf.Tensor] = {}
    for column in columns:
        if column.kind == "length":
            events = [other for other in columns if other.length == column.name]
            batch[column.name] = _length(column, {event.name: parsed[event.name].row_lengths() for event in events})
            continue
        value = parsed[column.name]
        if isinstance(value, tf.RaggedTensor):
            width = column.width if column.kind == "values" else None
            value = value.to_tensor(column.missing, shape=[None, width])
        batch[column.name] = tf.cast(value, column.dtype) if column.kind == "label" else value
    return batch


def _length(column: RawColumn, counts: Mapping[str, tf.Tensor]) -> tf.Tensor:
    (first, length), *others = counts.items()
    checks = [
        tf.debugging.assert_equal(
            length,
            count,
            message=f"sequence {column.sequence}: the columns {first} and {other} must hold the same number of events",
        )
        for other, count in others
    ]
    with tf.control_dependencies([check for check in checks if check is not None]):
        return tf.cast(length, tf.int32)
