"""Behavior Sequence Transformer."""

from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_choice,
    check_positive,
    check_rate,
    masked_mean,
    read_history,
)
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers.recent_tokens import RecentTokens
from tf_interformer.layers.sequences._common import append_target, check_target
from tf_interformer.layers.sequences.recency_positions import RecencyPositions
from tf_interformer.layers.sequences.transformer_block import TransformerBlock

POOLINGS = ("mean", "target")


@register
class SequenceTransformer(WithSoftNorms):
    """Sequence part of BST: events and target as one sequence through Transformer blocks.

    The target follows the last event, each of them with a learned position beside it (concatenated, as an input
    feature of the event); then `TransformerBlock`s with leaky ReLU.

    Printed: all of this, with one block and eight heads. Ours: positions are distances in events, as the tokens carry
    no time; the output is pooled, where the paper joins the vectors of a history of fixed length.

    Args:
        num_blocks: int. Defaults to `1`.
        num_heads: int. Must divide twice the width of an event. Defaults to `4`.
        ffn_dim: int or `None`. `None` means the width of the blocks. Defaults to `None`.
        pooling: str. `"mean"` over events and target, or `"target"`, the target's vector. Defaults to `"mean"`.
        max_positions: int. See `RecencyPositions`. Defaults to `128`.
        dropout: float. Defaults to `0.0`.
        norm_epsilon: float. What the norms where residuals join add to the variance, see `Backbone`. Defaults to `1.0`.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch], "target": [batch, dim]}`. Padding may hold anything.
    Output shape: `[batch, 2 * dim]`.

    Raises:
        ValueError: If an argument is out of range or the target is not as wide as an event.

    Example:

    >>> SequenceTransformer()({
    ...     "sequence": np.ones((3, 50, 16), "float32"),
    ...     "lengths": np.array([0, 7, 50]),
    ...     "target": np.ones((3, 16), "float32"),
    ... }).shape
    TensorShape([3, 32])

    Reference:
        [Behavior Sequence Transformer, arXiv 1905.06874](https://arxiv.org/abs/1905.06874)
    """

    def __init__(
        self,
        num_blocks: int = 1,
        num_heads: int = 4,
        ffn_dim: int | None = None,
        pooling: str = "mean",
        max_positions: int = 128,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_blocks = check_positive("num_blocks", num_blocks)
        self.num_heads = check_positive("num_heads", num_heads)
        self.ffn_dim = None if ffn_dim is None else check_positive("ffn_dim", ffn_dim)
        self.pooling = check_choice("pooling", pooling, POOLINGS)
        self.max_positions = check_positive("max_positions", max_positions)
        self.dropout = check_rate("dropout", dropout)

    def build(self, input_shape: Any) -> None:
        batch, time, width = check_target(input_shape)
        policy = self.dtype_policy
        longer = None if time is None else time + 1
        self.positions = RecencyPositions(width, self.max_positions, dtype=policy, name="positions")
        build_sublayer(self.positions, {"sequence": (batch, longer, width), "lengths": (batch,)})
        shapes = {"sequence": (batch, longer, 2 * width), "lengths": (batch,)}
        self.blocks = []
        for i in range(self.num_blocks):
            self.blocks.append(
                TransformerBlock(
                    self.num_heads,
                    self.ffn_dim,
                    dropout=self.dropout,
                    norm_epsilon=self.norm_epsilon,
                    dtype=policy,
                    name=f"block_{i}",
                )
            )
            build_sublayer(self.blocks[i], shapes)
        self.latest = RecentTokens(1, dtype=policy, name="latest")
        build_sublayer(self.latest, shapes)
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        events, lengths = read_history(inputs["sequence"], inputs["lengths"])
        events = append_target(events, inputs["target"], lengths)
        lengths = lengths + 1
        positions = self.positions({"sequence": events, "lengths": lengths})
        x = ops.concatenate([events, positions], axis=-1)
        for block in self.blocks:
            x = block({"sequence": x, "lengths": lengths}, training=training)
        if self.pooling == "target":
            return ops.squeeze(self.latest({"sequence": x, "lengths": lengths}), axis=1)
        return masked_mean(x, lengths)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, _, width = check_target(input_shape)
        return batch, 2 * width

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_blocks": self.num_blocks,
            "num_heads": self.num_heads,
            "ffn_dim": self.ffn_dim,
            "pooling": self.pooling,
            "max_positions": self.max_positions,
            "dropout": self.dropout,
        }
