"""Counts the multiplications that a TensorFlow function does in matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tf_interformer._tensorflow import tf


def multiplications(call: Callable[..., Any], *specs: Any) -> int:
    """Returns how many multiplications the matrix products of `call` take for inputs of the given shapes.

    Each is one multiplication and one addition, so the FLOPs are twice as many. Elementwise work is left out. A loop
    over the steps of a sequence, as in a recurrent network, counts once for each step.

    Args:
        call: function of tensors.
        *specs: nests of `tf.TensorSpec` with known shapes.

    Raises:
        ValueError: If the graph does not tell how often a loop with matrix products runs.

    Example:

    >>> multiplications(tf.matmul, tf.TensorSpec((4, 3)), tf.TensorSpec((3, 5)))
    60
    """
    return _of_graph(tf.function(call, autograph=False).get_concrete_function(*specs).graph)


def _of_graph(graph: Any) -> int:
    return sum(_of(operation) for operation in needed(graph))


def needed(graph: Any) -> Iterator[tf.Operation]:
    """What the outputs of a function's graph, and its updates of variables, need: TensorFlow runs nothing else."""
    waiting = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    seen = set()
    while waiting:
        operation = waiting.pop()
        if operation not in seen:
            seen.add(operation)
            yield operation
            waiting += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)


def _of(operation: tf.Operation) -> int:
    if operation.type == "MatMul":
        inner = operation.inputs[0].shape[0 if operation.get_attr("transpose_a") else 1]
    elif operation.type in ("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"):
        inner = operation.inputs[0].shape[-2 if operation.get_attr("adj_x") else -1]
    elif operation.type == "Einsum":
        return _of_einsum(operation)
    elif operation.type in ("While", "StatelessWhile"):
        return _of_loop(operation)
    else:
        return 0
    return int(np.prod(operation.outputs[0].shape.as_list())) * int(inner)


def _of_einsum(operation: tf.Operation) -> int:
    letters = operation.get_attr("equation").decode().split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for names, tensor in zip(letters, operation.inputs, strict=True):
        sizes |= dict(zip(names, tensor.shape.as_list(), strict=True))
    return int(np.prod(list(sizes.values())))


def _of_loop(operation: tf.Operation) -> int:
    each = _of_graph(operation._body_graph)
    # What the loop goes through comes in as a list, one entry for each step.
    lists = [tensor.op for tensor in operation.inputs if tensor.op.type == "TensorListFromTensor"]
    steps = [source.inputs[0].shape[0] for source in lists]
    if each and (not steps or None in steps):
        raise ValueError(f"cannot count the matrix products of {operation.name!r}: how often it runs is not known")
    return each * max(steps, default=0)
