"""What the streaming metrics share."""

from __future__ import annotations

from typing import Any

from tf_interformer._keras import keras, ops


def sum_dtype() -> str:
    """Returns the type of the running sums.

    A float32 sum stops resolving single batches after some ten million examples, and gains of interest are as
    small as 1e-4: hence float64 wherever the backend has it (JAX switches it off by default).
    """
    return "float32" if keras.backend.backend() == "jax" else "float64"


def flatten(y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    """Returns labels, predictions and weights as `[n]`, in the type of the sums."""
    labels = ops.reshape(ops.cast(y_true, sum_dtype()), (-1,))
    predictions = ops.reshape(ops.cast(y_pred, sum_dtype()), (-1,))
    sizes = (labels.shape[0], predictions.shape[0])
    if None not in sizes and sizes[0] != sizes[1]:
        raise ValueError(f"`y_pred` must hold one prediction per label. Received: {sizes[1]} against {sizes[0]}")
    if sample_weight is None:
        weights = ops.ones_like(labels)
    else:
        weights = ops.reshape(ops.cast(sample_weight, sum_dtype()), (-1,))
        weights = ops.broadcast_to(weights, ops.shape(labels))
    return labels, predictions, weights
