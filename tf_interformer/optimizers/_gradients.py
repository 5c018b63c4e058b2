"""Gradients of tables, which hold values for the rows of a batch only, kept that way."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._tensorflow import is_a, tf


def summed_rows(gradient: Any) -> Any:
    """The gradient with every row once, what a batch gives to one row added up; a dense gradient as it is."""
    if not is_a(gradient, "IndexedSlices"):
        return gradient
    rows, positions = tf.unique(gradient.indices)
    values = tf.math.unsorted_segment_sum(gradient.values, positions, tf.size(rows))
    return tf.IndexedSlices(values, rows, gradient.dense_shape)


def clipped(gradients: Sequence[Any], optimizer: Any) -> list[Any]:
    """Gradients of distinct rows, clipped as the optimiser is told, rows that are not there counting as zeros."""
    if optimizer.clipnorm:
        return [tf.clip_by_norm(gradient, optimizer.clipnorm) for gradient in gradients]
    if optimizer.global_clipnorm:
        return list(tf.clip_by_global_norm(gradients, optimizer.global_clipnorm)[0])
    if optimizer.clipvalue:
        limit = optimizer.clipvalue
        return [tf.clip_by_value(gradient, -limit, limit) for gradient in gradients]
    return list(gradients)
