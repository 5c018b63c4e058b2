"""What the layers that pool a history by attention share."""

from typing import Any

import numpy as np

from tf_interformer._keras import ops
from tf_interformer.layers._common import Tensor, project, softmax, valid_positions
from tf_interformer.layers._recording import record
from tf_interformer.layers.multi_head_attention import MASKED


def pool_by_scores(layer: Any, sequence: Tensor, lengths: Tensor, scores: Tensor) -> Tensor:
    """Pools `[B, T, D]` by the scores `[B, k H, T]` of k queries with H heads each: `[B, k, D]`.

    With scores `[N k H, T]`, those of N examples with one history `[1, T, D]`: `[N, k, D]`.

    `W_V` is applied to what was pooled: the same numbers without a value for every event.

    The padding of the sequence must be finite.

    Args:
        layer: has `num_tokens` (k), `num_heads` (H), `value_kernel` and `output_kernel`, both `[D, D]`.
    """
    _, time, width = ops.shape(sequence)
    heads, count = layer.num_heads, layer.num_tokens
    valid = valid_positions(lengths, time)
    bias = ops.where(valid, ops.zeros((), scores.dtype), ops.cast(MASKED, scores.dtype))
    found = ops.cast(valid[:, :1], sequence.dtype)  # nothing, in an empty history
    if len(scores.shape) == 2:  # plain products, of which a processor makes one operation with what is added
        bias, sequence = bias[0], sequence[0]
    else:
        bias, found = bias[:, None, :], found[:, None, :]
    weights = softmax(scores + bias)
    record(layer, lambda: ops.transpose(ops.reshape(weights, (-1, count, heads, time)), (0, 2, 1, 3)))
    pooled = ops.matmul(ops.cast(weights, sequence.dtype), sequence) * found  # [B, k H, D]

    value_kernel = ops.reshape(for_each_head(ops.cast(layer.value_kernel, pooled.dtype), heads, 0), (-1, width))
    kernel = ops.matmul(value_kernel, ops.cast(layer.output_kernel, pooled.dtype))
    return project(ops.reshape(pooled, (-1, count, heads * width)), kernel)


def for_each_head(kernel: Tensor, heads: int, axis: int) -> Tensor:
    """`[..., H E]` with an axis more, on which each of the H heads has its own E columns and zeros in the others'.

    A product by what comes out is one of each head by itself. Kernels are few, and one product of them is faster than
    many small ones between transposes.
    """
    width = kernel.shape[-1]
    own = np.repeat(np.eye(heads), width // heads, axis=1)  # [H, H E]
    own = own.reshape(heads, *[1] * (len(kernel.shape) - 1 - axis), width)
    return ops.expand_dims(kernel, axis) * ops.convert_to_tensor(own, dtype=kernel.dtype)
