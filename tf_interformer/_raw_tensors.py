"""Raw columns as tensors: checked by their values where these are known, and by a graph where they are not yet."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_interformer import columns
from tf_interformer._tensorflow import tf
from tf_interformer.arrays.tensor_arrays import is_symbolic, required
from tf_interformer.schema import RawColumn, SchemaError


def read(column: RawColumn, raw: Mapping[str, Any], length: tf.Tensor | None = None) -> tf.Tensor:
    """A column of a raw batch, of its type and rank; of values the first `width`, of events the last.

    Args:
        column: `RawColumn`.
        raw: The raw batch.
        length: Of events how many are real, int32 `[batch]`.

    Raises:
        SchemaError or ColumnError: The column is missing, or holds what it may not.
    """
    given = column.of(raw)
    if column.kind == "events":
        assert length is not None
        return _window(column, given, length)
    if not is_symbolic(given):
        found = column.read(given)
        if isinstance(found, columns.Lists):
            found = found.first(column.width or 0, column.missing)
        return tf.convert_to_tensor(found.astype(np.int32) if column.kind == "length" else found, column.dtype)
    if column.kind == "values":
        return _several(column, given)
    if column.kind == "vector":
        return _vectors(column, _symbolic(column, given, rank=2))
    if column.kind == "length":
        found = tf.cast(_symbolic(column, given, rank=1), tf.int32)
        message = f"sequence {column.sequence}: {column.name} is negative"
        return required(found, tf.reduce_all(found >= 0), message)
    if column.kind in ("label", "weight"):  # of any rank
        return _typed(column, tf.convert_to_tensor(given))
    return _symbolic(column, given, rank=1)


def count_rows(given: Any) -> Any:
    """How many rows a column has, as a tensor where that is not known yet."""
    if not is_symbolic(given):
        return columns.count_rows(given)
    return given.nrows() if isinstance(given, tf.RaggedTensor) else tf.shape(given)[0]


def _several(column: RawColumn, given: Any) -> tf.Tensor:
    """The first `width` values of each row, padded with the missing value."""
    width = column.width
    if isinstance(given, tf.RaggedTensor):
        given = given.to_tensor(column.missing, shape=[None, width])
    values = _symbolic(column, given, rank=2)
    padded = tf.pad(values, [[0, 0], [0, width]], constant_values=column.missing)
    return tf.ensure_shape(padded[:, :width], [None, width])


def _vectors(column: RawColumn, value: tf.Tensor) -> tf.Tensor:
    if value.shape[-1] not in (None, column.width):
        raise SchemaError(
            f"column {column.name!r} must hold vectors of length {column.width}. Received: shape {tuple(value.shape)}"
        )
    return tf.ensure_shape(value, [None, column.width])


def _window(column: RawColumn, given: Any, length: tf.Tensor) -> tf.Tensor:
    """The most recent events `[batch, width]`: one window per row, which starts where these start."""
    name, limit = column.name, column.width or 0
    if not is_symbolic(given):
        lists: Any = column.read(given)
        if not is_symbolic(length):
            counts = length.numpy().astype(np.int64)
            columns.check_lengths(column.length or "", counts, name, lists)
            return tf.convert_to_tensor(lists.last(counts, limit, column.missing), column.dtype)
        given = tf.RaggedTensor.from_row_lengths(
            tf.convert_to_tensor(lists.values, column.dtype), lists.lengths, validate=False
        )
    if isinstance(given, tf.RaggedTensor):
        if given.ragged_rank != 1 or given.shape.rank not in (None, 2):
            raise SchemaError(f"column {name!r} must hold a list of values in each row. Received: {given.shape}")
        flat, starts, counts = given.flat_values, given.row_starts(), given.row_lengths()
    else:
        events = _rank(name, tf.convert_to_tensor(given), 2)
        rows, width = tf.unstack(tf.shape(events, tf.int64))
        flat, starts, counts = tf.reshape(events, [-1]), tf.range(rows) * width, tf.fill([rows], width)
    enough = tf.reduce_all(tf.cast(length, counts.dtype) <= counts)
    message = f"sequence {column.sequence}: {column.length} exceeds the events in {name}"
    starts = required(tf.cast(starts, tf.int32), enough, message)
    # What lies behind a row's events is another row's, or nothing: `Encoding` masks it.
    places = (starts + length - tf.minimum(length, limit))[:, None] + tf.range(limit)[None]
    padded = tf.concat([flat, tf.zeros([limit], flat.dtype)], axis=0)
    return _typed(column, tf.gather(padded, tf.minimum(places, tf.shape(flat)[0])))


def _symbolic(column: RawColumn, value: Any, rank: int) -> tf.Tensor:
    """A column of a graph, of one type and rank, checked as `tf_interformer.columns` checks arrays."""
    if isinstance(value, tf.RaggedTensor):
        raise SchemaError(f"column {column.name!r} must hold one value in each row. Received: a ragged tensor")
    return _typed(column, _rank(column.name, tf.convert_to_tensor(value), rank))


def _rank(name: str, value: tf.Tensor, rank: int) -> tf.Tensor:
    if value.shape.rank == rank + 1 and value.shape[-1] == 1:
        return tf.squeeze(value, -1)  # Keras hands over [batch, 1] where [batch] was meant
    if value.shape.rank is None:
        return tf.ensure_shape(value, [None] * rank)
    if value.shape.rank != rank:
        raise SchemaError(f"column {name!r} must have rank {rank}. Received: shape {tuple(value.shape)}")
    return value


def _typed(column: RawColumn, value: tf.Tensor) -> tf.Tensor:
    name, given = column.name, value.dtype
    if column.dtype == "string":
        if given != tf.string:
            raise SchemaError(f"column {name!r} must hold strings. Received: {given.name}")
        return tf.strings.strip(value)
    if not (given.is_floating or given.is_integer or given.is_bool):
        wanted = "numbers" if column.dtype == "float32" else "integers"
        raise SchemaError(f"column {name!r} must hold {wanted}. Received: {given.name}")
    if column.dtype == "float32":
        value = tf.cast(value, tf.float32)
        finite = tf.logical_not(tf.reduce_any(tf.math.is_inf(value)))
        message = f"column {name} must hold {columns.FINITE}"
        return required(value, finite, message) if given.is_floating else value
    if given.is_floating:
        known = tf.logical_not(tf.math.is_nan(value))
        whole = tf.reduce_all(tf.equal(value, tf.floor(value)) | ~known)
        missing = -1 if column.missing is None else column.missing  # of a length, which is refused then
        value = tf.where(known, value, tf.cast(missing, given))
        return tf.cast(required(value, whole, f"column {name} must hold integers"), tf.int64)
    found = tf.cast(value, tf.int64)
    if given == tf.uint64:
        message = f"column {name} must hold integers of 64 bits, signed: give larger ones as strings"
        return required(found, tf.reduce_all(found >= 0), message)
    return found
