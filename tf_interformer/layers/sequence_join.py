"""Several behaviour sequences as one, one after another."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Tensor,
    build_sublayer,
    check_positive,
    events_at,
    read_history,
    sequence_shape,
    valid_positions,
    zero_where_not,
)
from tf_interformer.layers.mlp import MLP
from tf_interformer.layers.sequences._common import append_target
from tf_interformer.layers.sequences.recency_positions import RecencyPositions


@register
class SequenceJoin(keras.layers.Layer):
    """Lays k sequences one after another, with a learned token between them: `[S_1; SEP; S_2; ...]` (OneTrans).

    `S_i = E_i W_i + b_i + P_i`: the events of each sequence have a linear map of their own, and a vector for how far
    back the event lies, of a table of the sequence's own, so that it tells of which sequence the event is, too. No
    padding is left between the sequences. OneTrans sorts sequences by how much an action tells, or merges them by
    time; here they stand in the order of their names, since tokens carry no time. The positions are ours.

    Args:
        dim: int. Width of the events.
        max_positions: int. Events further back share a vector. Defaults to `128`.

    Input: `{"sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`.
    Output: `{"sequence": [batch, sum of the times + k - 1, dim], "lengths": [batch]}`. Zeros behind the last event.

    Raises:
        ValueError: If an argument is not a positive integer or there is no sequence.

    Example:

    >>> joined = SequenceJoin(16)({
    ...     "sequences": {"clicks": np.ones((2, 50, 48), "float32"), "buys": np.ones((2, 10, 32), "float32")},
    ...     "lengths": {"clicks": np.array([50, 3]), "buys": np.array([0, 10])},
    ... })
    >>> joined["sequence"].shape, joined["lengths"].numpy().tolist()
    (TensorShape([2, 61, 16]), [51, 14])

    Reference:
        [OneTrans, arXiv 2510.26104](https://arxiv.org/abs/2510.26104)
    """

    def __init__(self, dim: int, max_positions: int = 128, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = check_positive("dim", dim)
        self.max_positions = check_positive("max_positions", max_positions)

    def build(self, input_shape: Any) -> None:
        sequences = input_shape["sequences"]
        if not sequences:
            raise ValueError("There is no sequence to join. Received: sequences={}")
        self.maps, self.positions = [], []
        for i, name in enumerate(sorted(sequences)):
            shape = sequence_shape(sequences[name], name)
            self.maps.append(MLP((self.dim,), dtype=self.dtype_policy, name=f"map_{i}"))
            build_sublayer(self.maps[i], shape)
            self.positions.append(
                RecencyPositions(self.dim, self.max_positions, dtype=self.dtype_policy, name=f"positions_{i}")
            )
            build_sublayer(self.positions[i], {"sequence": shape, "lengths": shape[:1]})
        if len(sequences) > 1:
            self.separators = self.add_weight(
                name="separators",
                shape=(len(sequences) - 1, self.dim),
                initializer=keras.initializers.RandomNormal(stddev=0.05),
            )
        super().build(input_shape)

    def call(self, inputs: dict[str, Any]) -> dict[str, Tensor]:
        parts, counts = [], []
        for i, name in enumerate(sorted(inputs["sequences"])):
            events, lengths = read_history(inputs["sequences"][name], inputs["lengths"][name])
            given = {"sequence": events, "lengths": lengths}
            events = zero_where_not(
                valid_positions(lengths, ops.shape(events)[1]), self.maps[i](events) + self.positions[i](given)
            )
            if i + 1 < len(inputs["sequences"]):
                separator = ops.cast(ops.convert_to_tensor(self.separators), events.dtype)[i]
                separator = ops.broadcast_to(separator[None], ops.shape(events[:, 0]))
                events, lengths = append_target(events, separator, lengths), lengths + 1
            parts.append(events)
            counts.append(lengths)
        if len(parts) == 1:
            return {"sequence": parts[0], "lengths": counts[0]}
        return self._without_gaps(parts, counts)

    def _without_gaps(self, parts: list[Tensor], counts: list[Tensor]) -> dict[str, Tensor]:
        joined = ops.concatenate(parts, axis=1)
        order = ops.expand_dims(ops.arange(ops.shape(joined)[1]), 0)
        source, before = order, ops.zeros_like(counts[0])
        for part, count in zip(parts[:-1], counts[:-1], strict=True):
            before = before + count
            gap = ops.expand_dims(ops.shape(part)[1] - count, 1)
            source = source + gap * ops.cast(order >= ops.expand_dims(before, 1), "int32")
        total = before + counts[-1]
        source = ops.where(order < ops.expand_dims(total, 1), source, -1)
        return {"sequence": events_at(joined, source), "lengths": total}

    def compute_output_shape(self, input_shape: Any) -> dict[str, Any]:
        shapes = [sequence_shape(shape) for shape in input_shape["sequences"].values()]
        times = [shape[1] for shape in shapes]
        time = None if None in times else sum(t for t in times if t is not None) + len(times) - 1
        return {"sequence": (shapes[0][0], time, self.dim), "lengths": (shapes[0][0],)}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim, "max_positions": self.max_positions}
