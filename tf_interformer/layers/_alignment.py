"""Where the events of several sequences meet when these are made one."""

from typing import Any

from tf_interformer._keras import ops
from tf_interformer.layers._common import Tensor, events_at, read_history

ALIGNMENTS = ("oldest", "recent")
# More than the logarithm of any age that float32 holds.
_OLDEST = 128.0


def longest_of(times: list[Any]) -> Any:
    """The largest of some lengths: of tensors in time, of which a graph may not know all, or of histories, `[B]`."""
    if all(isinstance(time, int) for time in times):
        return max(times)
    longest = times[0]
    for time in times[1:]:
        longest = ops.maximum(longest, time)
    return longest


def extend(sequence: Tensor, time: Any) -> Tensor:
    batch, own, width = ops.shape(sequence)
    if isinstance(time, int) and own == time:
        return sequence
    return ops.concatenate([sequence, ops.zeros((batch, time - own, width), dtype=sequence.dtype)], axis=1)


def shift(sequence: Tensor, lengths: Tensor, longest: Tensor) -> Tensor:
    """Moves each history to the right, so that it ends where the longest history of its example ends."""
    time = ops.shape(sequence)[1]
    return events_at(sequence, ops.expand_dims(ops.arange(time), 0) - ops.expand_dims(longest - lengths, 1))


def merged_ages(ages: dict[str, Tensor], lengths: dict[str, Tensor], alignment: str) -> Tensor:
    """Of the events that meet when sequences are merged, the age of the youngest, `[B, T]`.

    Args:
        ages: Name -> `[B, time]`.
        lengths: Name -> `[B]`.
        alignment: As of `MaskNetMerge`.
    """
    youth = [read_history(ops.expand_dims(_OLDEST - ages[name], -1), lengths[name]) for name in sorted(ages)]
    time = longest_of([ops.shape(values)[1] for values, _ in youth])
    longest = longest_of([own for _, own in youth])
    found = None
    for values, own in youth:
        values = extend(values, time)
        values = shift(values, own, longest) if alignment == "recent" and len(youth) > 1 else values
        found = values if found is None else ops.maximum(found, values)
    return _OLDEST - ops.squeeze(found, -1)
