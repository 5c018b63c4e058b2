"""Where the events of several sequences meet when these are made one."""

from typing import Any

from tf_interformer._keras import ops
from tf_interformer.layers._common import Tensor

ALIGNMENTS = ("oldest", "recent")


def extend(sequence: Tensor, time: Any) -> Tensor:
    batch, own, width = ops.shape(sequence)
    if isinstance(time, int) and own == time:
        return sequence
    return ops.concatenate([sequence, ops.zeros((batch, time - own, width), dtype=sequence.dtype)], axis=1)


def shift(sequence: Tensor, lengths: Tensor, longest: Tensor) -> Tensor:
    """Moves each history to the right, so that it ends where the longest history of its example ends."""
    batch, time, width = ops.shape(sequence)
    source = ops.expand_dims(ops.arange(time), 0) - ops.expand_dims(longest - lengths, 1)  # [B, T]
    rows = ops.expand_dims(ops.arange(batch), 1) * time + ops.clip(source, 0, time - 1)
    shifted = ops.reshape(ops.take(ops.reshape(sequence, (-1, width)), rows, axis=0), (batch, time, width))
    return ops.where(ops.expand_dims(source >= 0, -1), shifted, ops.zeros_like(shifted))
