"""What the layers over behaviour sequences share."""

from typing import Any

from tf_interformer._keras import ops
from tf_interformer.layers._common import Tensor, sequence_shape, softmax, valid_positions, wide
from tf_interformer.layers.multi_head_attention import MASKED


def check_target(input_shape: Any) -> tuple[int | None, int | None, int]:
    """Returns the shape of the sequence, once the target is as wide as its events."""
    batch, time, width = sequence_shape(input_shape["sequence"])
    target = tuple(input_shape["target"])
    if len(target) != 2 or target[1] != width:
        raise ValueError(
            "`target` must have the shape [batch, width] with the width of the sequence's events. "
            f"Received: shape {target}, events of width {width}"
        )
    return batch, time, width or 0


def append_target(sequence: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
    """Returns `[B, T + 1, D]`, the target right behind the last event of each history and zeros behind it.

    The events beyond `lengths` must be zeros already.
    """
    positions = ops.arange(ops.shape(sequence)[1] + 1)
    here = ops.expand_dims(positions, 0) == ops.expand_dims(ops.cast(lengths, "int32"), 1)
    longer = ops.pad(sequence, ((0, 0), (0, 1), (0, 0)))
    return longer + ops.expand_dims(ops.cast(here, sequence.dtype), 2) * ops.expand_dims(target, 1)


def masked_softmax(scores: Tensor, lengths: Tensor) -> Tensor:
    """Softmax of `[B, T]` over the events of each history, zeros at padding and for an empty one."""
    valid = valid_positions(lengths, ops.shape(scores)[1])
    bias = ops.where(valid, ops.zeros((), scores.dtype), ops.cast(MASKED, scores.dtype))
    return softmax(scores + bias) * ops.cast(valid, scores.dtype)


def weighted_sum(weights: Tensor, sequence: Tensor) -> Tensor:
    """Sums `[B, T, D]` with the weights `[B, T]`: `[B, D]`."""
    weights = ops.expand_dims(ops.cast(weights, sequence.dtype), 1)
    return ops.squeeze(ops.matmul(weights, sequence), axis=1)


def next_event_loss(states: Tensor, events: Tensor, lengths: Tensor) -> Tensor:
    """Mean over the pairs of neighbours of `-log s(h_t e_{t+1}) - log(1 - s(h_t e'_{t+1}))`, with s the sigmoid.

    The wrong event e' is that of the row before, at the same position; where that history is shorter there is none.
    """
    states, following = wide(states[:, :-1]), wide(events[:, 1:])
    valid = ops.cast(valid_positions(lengths, ops.shape(events)[1])[:, 1:], states.dtype)
    negative = valid * ops.roll(valid, 1, axis=0)
    right = ops.sum(states * following, axis=-1)
    wrong = ops.sum(states * ops.roll(following, 1, axis=0), axis=-1)
    total = ops.sum(ops.softplus(-right) * valid) + ops.sum(ops.softplus(wrong) * negative)
    return total / ops.maximum(ops.sum(valid), 1.0)


def check_weight(name: str, value: Any) -> float:
    """Returns a number of at least zero."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not value >= 0:
        raise ValueError(f"`{name}` must be a number of at least 0. Received: {name}={value!r}")
    return float(value)
