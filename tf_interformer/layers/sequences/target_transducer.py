"""HSTU over a history that ends with the target."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_positive,
    check_rate,
    read_history,
)
from tf_interformer.layers.recent_tokens import RecentTokens
from tf_interformer.layers.sequences._common import append_target, check_target
from tf_interformer.layers.sequences.hstu_block import HSTUBlock


@register
class TargetTransducer(keras.layers.Layer):
    """HSTU for ranking: the target follows the events, and its vector after the last `HSTUBlock` is the output.

    Printed: that the target stands in the sequence, so that every block is target-aware. Left out: actions as tokens
    between the items, stochastic length, time in the attention's bias.

    Args:
        num_blocks: int. Defaults to `2`.
        num_heads: int. Must divide the width of an event. Defaults to `4`.
        max_positions: int. See `HSTUBlock`. Defaults to `128`.
        dropout: float. Defaults to `0.0`.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch], "target": [batch, dim]}`. Padding may hold anything.
    Output shape: `[batch, dim]`.

    Raises:
        ValueError: If an argument is out of range or the target is not as wide as an event.

    Example:

    >>> TargetTransducer()({
    ...     "sequence": np.ones((3, 50, 16), "float32"),
    ...     "lengths": np.array([0, 7, 50]),
    ...     "target": np.ones((3, 16), "float32"),
    ... }).shape
    TensorShape([3, 16])

    Reference:
        [Actions Speak Louder than Words, arXiv 2402.17152](https://arxiv.org/abs/2402.17152)
    """

    def __init__(
        self,
        num_blocks: int = 2,
        num_heads: int = 4,
        max_positions: int = 128,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_blocks = check_positive("num_blocks", num_blocks)
        self.num_heads = check_positive("num_heads", num_heads)
        self.max_positions = check_positive("max_positions", max_positions)
        self.dropout = check_rate("dropout", dropout)

    def build(self, input_shape: Any) -> None:
        batch, time, width = check_target(input_shape)
        shapes = {"sequence": (batch, None if time is None else time + 1, width), "lengths": (batch,)}
        self.blocks = []
        for i in range(self.num_blocks):
            self.blocks.append(
                HSTUBlock(self.num_heads, self.max_positions, self.dropout, dtype=self.dtype_policy, name=f"block_{i}")
            )
            build_sublayer(self.blocks[i], shapes)
        self.latest = RecentTokens(1, dtype=self.dtype_policy, name="latest")
        build_sublayer(self.latest, shapes)
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        events, lengths = read_history(inputs["sequence"], inputs["lengths"])
        x = append_target(events, inputs["target"], lengths)
        for block in self.blocks:
            x = block({"sequence": x, "lengths": lengths + 1}, training=training)
        return ops.squeeze(self.latest({"sequence": x, "lengths": lengths + 1}), axis=1)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, _, width = check_target(input_shape)
        return batch, width

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_blocks": self.num_blocks,
            "num_heads": self.num_heads,
            "max_positions": self.max_positions,
            "dropout": self.dropout,
        }
