"""Where the events of several sequences meet when these are made one."""

from typing import Any

from tf_interformer._keras import ops
from tf_interformer.layers._common import Tensor, events_at

ALIGNMENTS = ("oldest", "recent")


def extend(sequence: Tensor, time: Any) -> Tensor:
    batch, own, width = ops.shape(sequence)
    if isinstance(time, int) and own == time:
        return sequence
    return ops.concatenate([sequence, ops.zeros((batch, time - own, width), dtype=sequence.dtype)], axis=1)


def shift(sequence: Tensor, lengths: Tensor, longest: Tensor) -> Tensor:
    """Moves each history to the right, so that it ends where the longest history of its example ends."""
    time = ops.shape(sequence)[1]
    return events_at(sequence, ops.expand_dims(ops.arange(time), 0) - ops.expand_dims(longest - lengths, 1))
