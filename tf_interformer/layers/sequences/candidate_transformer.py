"""Sequence part of TransAct."""

from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_positive,
    check_rate,
    read_history,
    valid_positions,
)
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers.mlp import MLP
from tf_interformer.layers.recent_tokens import RecentTokens
from tf_interformer.layers.sequences._common import check_target
from tf_interformer.layers.sequences.transformer_block import TransformerBlock

# Below any normalised vector, and a number in half precision too.
LOWEST = -1e4


@register
class CandidateTransformer(WithSoftNorms):
    """TransAct: every event has the candidate beside it, then a Transformer encoder without positions.

    The output is the vectors of the most recent events, flattened, and a linear map of the maximum over all events.

    Printed: early fusion by concatenation, two blocks with a narrow hidden layer, the first ten columns and the
    pooled vector. Left out: the random time window that hides the latest actions in training, because the tokens
    carry no time. Ours: zeros where a history is shorter than the columns.

    Args:
        num_blocks: int. Defaults to `2`.
        num_heads: int. Must divide twice the width of an event. Defaults to `2`.
        ffn_dim: int. Hidden width of the blocks. Defaults to `32`.
        num_recent_tokens: int. Columns that are kept. Defaults to `10`.
        dropout: float. Defaults to `0.0`.
        norm_epsilon: float. What the norms where residuals join add to the variance, see `Backbone`. Defaults to `1.0`.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch], "target": [batch, dim]}`. Padding may hold anything.
    Output shape: `[batch, (num_recent_tokens + 1) * 2 * dim]`.

    Raises:
        ValueError: If an argument is out of range or the target is not as wide as an event.

    Example:

    >>> CandidateTransformer(num_recent_tokens=3)({
    ...     "sequence": np.ones((3, 50, 16), "float32"),
    ...     "lengths": np.array([0, 7, 50]),
    ...     "target": np.ones((3, 16), "float32"),
    ... }).shape
    TensorShape([3, 128])

    Reference:
        [TransAct, arXiv 2306.00248](https://arxiv.org/abs/2306.00248)
    """

    def __init__(
        self,
        num_blocks: int = 2,
        num_heads: int = 2,
        ffn_dim: int = 32,
        num_recent_tokens: int = 10,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_blocks = check_positive("num_blocks", num_blocks)
        self.num_heads = check_positive("num_heads", num_heads)
        self.ffn_dim = check_positive("ffn_dim", ffn_dim)
        self.num_recent_tokens = check_positive("num_recent_tokens", num_recent_tokens)
        self.dropout = check_rate("dropout", dropout)

    def build(self, input_shape: Any) -> None:
        batch, time, width = check_target(input_shape)
        policy = self.dtype_policy
        shapes = {"sequence": (batch, time, 2 * width), "lengths": (batch,)}
        self.blocks = []
        for i in range(self.num_blocks):
            self.blocks.append(
                TransformerBlock(
                    self.num_heads,
                    self.ffn_dim,
                    "relu",
                    dropout=self.dropout,
                    norm_epsilon=self.norm_epsilon,
                    dtype=policy,
                    name=f"block_{i}",
                )
            )
            build_sublayer(self.blocks[i], shapes)
        self.recent = RecentTokens(self.num_recent_tokens, dtype=policy, name="recent")
        build_sublayer(self.recent, shapes)
        self.pooled_map = MLP((2 * width,), dtype=policy, name="pooled_map")
        build_sublayer(self.pooled_map, (batch, 2 * width))
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        events, lengths = read_history(inputs["sequence"], inputs["lengths"])
        target = ops.broadcast_to(ops.expand_dims(inputs["target"], 1), ops.shape(events))
        x = ops.concatenate([events, target], axis=-1)
        for block in self.blocks:
            x = block({"sequence": x, "lengths": lengths}, training=training)
        width = x.shape[-1]
        recent = ops.reshape(self.recent({"sequence": x, "lengths": lengths}), (-1, self.num_recent_tokens * width))
        valid = valid_positions(lengths, ops.shape(x)[1])[:, :, None]
        highest = ops.max(ops.where(valid, x, ops.cast(LOWEST, x.dtype)), axis=1)
        pooled = ops.where(valid[:, 0], highest, ops.zeros_like(highest))
        return ops.concatenate([recent, self.pooled_map(pooled)], axis=1)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, _, width = check_target(input_shape)
        return batch, (self.num_recent_tokens + 1) * 2 * width

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_blocks": self.num_blocks,
            "num_heads": self.num_heads,
            "ffn_dim": self.ffn_dim,
            "num_recent_tokens": self.num_recent_tokens,
            "dropout": self.dropout,
        }
