"""Neighbouring events as one token."""

from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.layers._common import (
    Tensor,
    build_sublayer,
    check_positive,
    project,
    read_history,
    sequence_shape,
    valid_positions,
    zero_where_not,
)
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers.sequences.transformer_block import TransformerBlock


@register
class EventMerging(WithSoftNorms):
    """Token merging of LONGER: `[x_1 || ... || x_K] W`, K neighbouring events as one token.

    With an inner Transformer the events of a group attend to each other first. Printed: both forms, K of 4 to 8. Ours:
    groups are counted from the oldest event, so that the latest may be short, whose other places are zeros; and the
    projection to the width of an event, where the paper's tokens are K times as wide.

    Args:
        num_events: int. K. Defaults to `4`.
        inner_transformer: bool. Defaults to `False`.
        num_heads: int. Of the inner Transformer; must divide the width. Defaults to `4`.
        norm_epsilon: float. What the norms of the Transformer add to the variance, see `Backbone`. Defaults to `1.0`.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch]}`.
    Output: `{"sequence": [batch, time / num_events, dim], "lengths": [batch]}`, both rounded up.

    Raises:
        ValueError: If an argument is not a positive integer, or `num_heads` does not divide the width.

    Example:

    >>> merged = EventMerging()({"sequence": np.ones((3, 50, 16), "float32"), "lengths": np.array([0, 7, 50])})
    >>> merged["sequence"].shape, merged["lengths"].numpy().tolist()
    (TensorShape([3, 13, 16]), [0, 2, 13])

    Reference:
        [LONGER, arXiv 2505.04421](https://arxiv.org/abs/2505.04421)
    """

    def __init__(self, num_events: int = 4, inner_transformer: bool = False, num_heads: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_events = check_positive("num_events", num_events)
        self.inner_transformer = inner_transformer
        self.num_heads = check_positive("num_heads", num_heads)

    def build(self, input_shape: Any) -> None:
        width = sequence_shape(input_shape["sequence"])[2] or 0
        self.inner = None
        if self.inner_transformer:
            self.inner = TransformerBlock(
                self.num_heads, norm_epsilon=self.norm_epsilon, dtype=self.dtype_policy, name="inner"
            )
            build_sublayer(self.inner, {"sequence": (None, self.num_events, width), "lengths": (None,)})
        self.kernel = self.add_weight(name="kernel", shape=(self.num_events * width, width), initializer="lecun_normal")
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        sequence, lengths = read_history(inputs["sequence"], inputs["lengths"])
        sequence = zero_where_not(valid_positions(lengths, ops.shape(sequence)[1]), sequence)
        batch, time, width = ops.shape(sequence)
        size = self.num_events
        more = -time % size
        if not isinstance(more, int) or more:
            sequence = ops.concatenate([sequence, ops.zeros((batch, more, width), dtype=sequence.dtype)], axis=1)
        groups = (time + more) // size
        if self.inner is not None:
            events = ops.reshape(sequence, (batch * groups, size, width))
            counts = ops.reshape(lengths[:, None] - size * ops.arange(groups)[None], (-1,))
            counts = ops.clip(counts, 0, size)
            events = self.inner({"sequence": events, "lengths": counts}, training=training)
            sequence = zero_where_not(valid_positions(counts, size), events)
        merged = project(ops.reshape(sequence, (batch, groups, size * width)), self.kernel)
        return {"sequence": merged, "lengths": (lengths + size - 1) // size}

    def compute_output_shape(self, input_shape: Any) -> dict[str, Any]:
        batch, time, width = sequence_shape(input_shape["sequence"])
        return {
            "sequence": (batch, None if time is None else -(-time // self.num_events), width),
            "lengths": (batch,),
        }

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_events": self.num_events,
            "inner_transformer": self.inner_transformer,
            "num_heads": self.num_heads,
        }
