"""Encoding in TensorFlow, eagerly or as a graph."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from tf_interformer import columns
from tf_interformer._tensorflow import tf
from tf_interformer.arrays._vocabulary import Vocabulary


class TensorArrays(tf.Module):
    """`Arrays` of TensorFlow; a `tf.Module`, so that its vocabularies are saved with a model.

    Args:
        tables: dict. The owner of each table, by column: `FeatureSchema.tables` of a learned schema.
        dtype: str. What the model computes in, which `fitting` goes by. Defaults to `"float32"`.

    Example:

    >>> from tf_interformer.schema import Categorical
    >>> TensorArrays({"item": Categorical("item", vocabulary=["a", "b"])}).ids(
    ...     "item", tf.constant(["b", "", "?", "none"]), missing="none")
    <tf.Tensor: shape=(4,), dtype=int32, numpy=array([3, 0, 1, 0], dtype=int32)>
    """

    def __init__(self, tables: Mapping[str, Vocabulary], dtype: str = "float32") -> None:
        super().__init__(name="arrays")
        self._owners = MappingProxyType(dict(tables))  # which a module does not take for a part of it
        # float32 and bfloat16 hold whatever a column may hold.
        self._largest = float(np.finfo(np.float16).max) if dtype == "float16" else None
        self._tables = {name: _table(owner) for name, owner in tables.items() if owner.hash_buckets is None}

    def ids(self, table: str, values: tf.Tensor, missing: Any) -> tf.Tensor:
        owner = self._owners[table]
        if owner.hash_buckets is None:
            found = tf.cast(self._tables[table].lookup(values), tf.int32)
        else:
            buckets = tf.strings.to_hash_bucket_fast(as_text(values), owner.hash_buckets)
            found = self.where(self.equal(values, owner.missing), 0, 2 + tf.cast(buckets, tf.int32))
        return found if missing == owner.missing else self.where(self.equal(values, missing), 0, found)

    def cast(self, x: Any, dtype: str) -> tf.Tensor:
        return tf.cast(x, dtype)

    def where(self, condition: tf.Tensor, x: Any, y: Any) -> tf.Tensor:
        dtype = x.dtype if tf.is_tensor(x) else y.dtype
        return tf.where(condition, tf.convert_to_tensor(x, dtype), tf.convert_to_tensor(y, dtype))

    def equal(self, x: tf.Tensor, y: Any) -> tf.Tensor:
        return tf.equal(x, tf.convert_to_tensor(y, x.dtype))

    def is_nan(self, x: tf.Tensor) -> tf.Tensor:
        return tf.math.is_nan(x)

    def any(self, x: tf.Tensor, axis: int, keepdims: bool = False) -> tf.Tensor:
        return tf.reduce_any(x, axis=axis, keepdims=keepdims)

    def sum(self, x: tf.Tensor, axis: int) -> tf.Tensor:
        return tf.reduce_sum(x, axis=axis)

    def max(self, x: tf.Tensor, axis: int) -> tf.Tensor:
        return tf.reduce_max(x, axis=axis)

    def abs(self, x: tf.Tensor) -> tf.Tensor:
        return tf.abs(x)

    def sign(self, x: tf.Tensor) -> tf.Tensor:
        return tf.sign(x)

    def log1p(self, x: tf.Tensor) -> tf.Tensor:
        return tf.math.log1p(x)

    def steps(self, count: int) -> tf.Tensor:
        return tf.range(count)

    def take(self, x: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        return tf.gather(x, rows)

    def bucketize(self, x: tf.Tensor, bounds: Sequence[float]) -> tf.Tensor:
        return tf.raw_ops.Bucketize(input=x, boundaries=list(bounds))

    def unit(self, x: tf.Tensor) -> tf.Tensor:
        return tf.math.l2_normalize(x, axis=1)

    def fitting(self, what: str, x: tf.Tensor) -> tf.Tensor:
        if self._largest is None:
            return x
        fits = tf.reduce_all(tf.abs(x) <= self._largest)
        message = f"{what} must fit float16, in which the model computes"
        if is_symbolic(x):
            return required(x, fits, message)
        if not fits:
            wrong = x.numpy()[np.abs(x.numpy()) > self._largest]
            raise columns.ColumnError(f"{message}. Received: {wrong[0]}")
        return x


def is_symbolic(value: Any) -> bool:
    """Whether it is a tensor whose values are not known yet."""
    if isinstance(value, tf.RaggedTensor):
        value = value.flat_values
    return tf.is_tensor(value) and not hasattr(value, "numpy")


def required(value: tf.Tensor, holds: tf.Tensor, message: str) -> tf.Tensor:
    """The value, whose graph fails with the message, in which TensorFlow escapes quotes, where it does not hold."""
    with tf.control_dependencies([tf.debugging.Assert(holds, [message])]):
        return tf.identity(value)


def as_text(keys: tf.Tensor) -> tf.Tensor:
    """Ids as the strings that are hashed; strings as they are."""
    return keys if keys.dtype == tf.string else tf.strings.as_string(keys)


def _table(owner: Vocabulary) -> tf.lookup.StaticHashTable:
    dtype = tf.as_dtype(owner.dtype)
    ids = columns.ids_by_value(owner.missing, owner.vocabulary)
    initializer = tf.lookup.KeyValueTensorInitializer(list(ids), list(ids.values()), dtype, tf.int64)
    return tf.lookup.StaticHashTable(initializer, default_value=1)
