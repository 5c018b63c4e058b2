"""A function of raw columns as one graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tf_interformer._tensorflow import tf
from tf_interformer.layers._recording import is_recording
from tf_interformer.schema import SchemaError

Columns = Mapping[str, Any]
_INT32 = np.iinfo(np.int32)


class TracedColumns:
    """Computes a function of raw columns as one graph where they are plainly what its signature says, else eagerly.

    A graph is many times as fast for few rows. What eager execution takes beside such arrays, it still takes; and what
    is wrong, it still refuses, with the same error: the graph is only ever asked first.

    Args:
        function: Gives a dict of tensors for a dict of columns.
        signature: dict of `tf.TensorSpec`, the columns it needs.
    """

    def __init__(self, function: Callable[[Columns], dict[str, Any]], signature: Mapping[str, tf.TensorSpec]) -> None:
        self._function = function
        self._signature = dict(signature)
        # Traced once: rows and lengths of lists are None there, and every array is brought to its dtype before.
        self._traced = tf.function(function, input_signature=[self._signature], autograph=False)

    def __call__(self, raw: Columns) -> dict[str, Any]:
        # A graph leaves no weights in an open recording.
        columns = None if is_recording() or not tf.executing_eagerly() else self._columns(raw)
        if columns is not None:
            try:
                made: dict[str, Any] = self._traced(columns)
                return made
            except (tf.errors.InvalidArgumentError, SchemaError):
                pass  # eager execution says what is wrong in its own words
        return self._function(raw)

    def _columns(self, raw: Columns) -> dict[str, tf.Tensor] | None:
        found = {}
        for name, spec in self._signature.items():
            array = _exact(raw.get(name), spec)
            if array is None:
                return None
            found[name] = tf.convert_to_tensor(array, spec.dtype)
        return found


def _exact(value: Any, spec: tf.TensorSpec) -> np.ndarray | None:
    """The values as an array of the spec's dtype, where that changes none of them."""
    if isinstance(value, tf.Tensor):
        value = value.numpy()
    if type(value) is not np.ndarray or not spec.shape.is_compatible_with(value.shape):
        return None
    kind = value.dtype.kind
    if spec.dtype == tf.string:
        return value if kind == "U" or (kind == "O" and _is_text(value.ravel().tolist())) else None
    if kind not in "iu" and not (kind == "f" and spec.dtype == tf.float32):
        return None
    if spec.dtype == tf.float32:
        with np.errstate(over="ignore"):
            numbers = value.astype(np.float32)
        return None if np.isinf(numbers).any() else numbers
    if value.dtype == np.uint64:
        return None
    if spec.dtype == tf.int32 and value.size and not _INT32.min <= value.min() <= value.max() <= _INT32.max:
        return None
    return value.astype(spec.dtype.as_numpy_dtype)


def _is_text(values: list[Any]) -> bool:
    """Whether all of them are strings, or all of them bytes of UTF-8."""
    kinds = set(map(type, values))
    if kinds == {bytes}:
        try:
            b"\0".join(values).decode()
        except UnicodeDecodeError:
            return False
        return True
    return kinds <= {str}
