"""Counts the multiplications that a TensorFlow function does in matrix products."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf


def multiplications(call: Callable[..., Any], *specs: Any) -> int:
    """Returns how many multiplications the matrix products of `call` take for inputs of the given shapes.

    Each is one multiplication and one addition, so the FLOPs are twice as many. Elementwise work is left out.

    Args:
        call: function of tensors.
        *specs: nests of `tf.TensorSpec` with known shapes.

    Example:

    >>> multiplications(tf.matmul, tf.TensorSpec((4, 3)), tf.TensorSpec((3, 5)))
    60
    """
    graph = tf.function(call, autograph=False).get_concrete_function(*specs).graph
    return sum(_of(operation) for operation in graph.get_operations())


def _of(operation: tf.Operation) -> int:
    if operation.type == "MatMul":
        inner = operation.inputs[0].shape[0 if operation.get_attr("transpose_a") else 1]
    elif operation.type in ("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"):
        inner = operation.inputs[0].shape[-2 if operation.get_attr("adj_x") else -1]
    elif operation.type == "Einsum":
        return _of_einsum(operation)
    else:
        return 0
    return int(np.prod(operation.outputs[0].shape.as_list())) * int(inner)


def _of_einsum(operation: tf.Operation) -> int:
    letters = operation.get_attr("equation").decode().split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for names, tensor in zip(letters, operation.inputs, strict=True):
        sizes |= dict(zip(names, tensor.shape.as_list(), strict=True))
    return int(np.prod(list(sizes.values())))
