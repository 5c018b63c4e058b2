"""A function of raw columns as one graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tf_interformer._tensorflow import tf
from tf_interformer.columns import exact
from tf_interformer.layers._recording import is_recording
from tf_interformer.schema import SchemaError

Columns = Mapping[str, Any]


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
            value = raw.get(name)
            value = value.numpy() if isinstance(value, tf.Tensor) else value
            array = exact(value, spec.dtype.name, tuple(spec.shape))
            if array is None:
                return None
            found[name] = tf.convert_to_tensor(array, spec.dtype)
        return found
