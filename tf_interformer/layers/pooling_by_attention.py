"""Pooling by multi-head attention."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._attention_pooling import for_each_head, pool_by_scores
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_positive,
    project,
    read_history,
    sequence_shape,
    wide,
)
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers.mlp import MLP
from tf_interformer.layers.multi_head_attention import check_heads


@register
class PoolingByAttention(WithSoftNorms):
    """Pooling by multi-head attention (PMA): learnable seeds query a sequence (InterFormer, Eq. 4).

    `PMA(S) = MHA(Q, S W_K, S W_V)` with learnable `Q` in `R^{k x d}`. Seeds are parameters, so `W_K` is applied to
    them rather than to the sequence: the same numbers without a key for every event.

    Args:
        num_tokens: int. k, the number of seeds. Defaults to `2`.
        num_heads: int. Must divide the width of the sequence. Defaults to `4`.
        full: bool. Use the whole attention block of Set Transformer, `H = LN(Q + MHA(Q, S, S))`,
            `LN(H + rFF(H))`, in place of the attention alone. Defaults to `False`.
        norm_epsilon: float. What the norms of that block add to the variance, see `Backbone`. Defaults to `1.0`.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch]}`; positions from `lengths` on are padding.
    Output shape: `[batch, num_tokens, dim]`. The attention to an empty history is zero.

    Raises:
        ValueError: If an argument is not positive or `num_heads` does not divide the width.

    Example:

    >>> pooled = PoolingByAttention(num_tokens=2, num_heads=2)({
    ...     "sequence": np.ones((3, 50, 16), "float32"), "lengths": np.array([0, 7, 50])
    ... })
    >>> pooled.shape
    TensorShape([3, 2, 16])

    Reference:
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
        [Set Transformer, arXiv 1810.00825](https://arxiv.org/abs/1810.00825)
    """

    def __init__(self, num_tokens: int = 2, num_heads: int = 4, full: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_tokens = check_positive("num_tokens", num_tokens)
        self.num_heads = check_positive("num_heads", num_heads)
        self.full = full

    def build(self, input_shape: Any) -> None:
        batch, _, width = sequence_shape(input_shape["sequence"])
        width = width or 0
        check_heads(width, self.num_heads)
        unit_normal = keras.initializers.RandomNormal(stddev=1.0)
        self.seeds = self.add_weight(name="seeds", shape=(self.num_tokens, width), initializer=unit_normal)
        for name in ("key_kernel", "value_kernel", "output_kernel"):
            setattr(self, name, self.add_weight(name=name, shape=(width, width), initializer="lecun_normal"))
        if self.full:
            pooled = (batch, self.num_tokens, width)
            self.attention_norm = self.make_norm("attention_norm")
            self.feed_forward = MLP((width, width), dtype=self.dtype_policy, name="feed_forward")
            self.output_norm = self.make_norm("output_norm")
            for layer in (self.attention_norm, self.feed_forward, self.output_norm):
                build_sublayer(layer, pooled)
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        sequence, lengths = read_history(inputs["sequence"], inputs["lengths"])
        width, heads, seeds = sequence.shape[-1], self.num_heads, self.num_tokens
        queries = ops.cast(self.seeds, sequence.dtype) * (width // heads) ** -0.5
        queries = ops.reshape(for_each_head(queries, heads, 1), (seeds * heads, width))
        score_kernel = ops.matmul(ops.cast(self.key_kernel, sequence.dtype), ops.transpose(queries))
        scores = ops.transpose(wide(project(sequence, score_kernel)), (0, 2, 1))  # [B, k H, T]
        tokens = pool_by_scores(self, sequence, lengths, scores)
        if self.full:
            hidden = self.attention_norm(ops.cast(self.seeds, tokens.dtype) + tokens)
            tokens = self.output_norm(hidden + self.feed_forward(hidden))
        return tokens

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, _, width = sequence_shape(input_shape["sequence"])
        return (batch, self.num_tokens, width)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_tokens": self.num_tokens,
            "num_heads": self.num_heads,
            "full": self.full,
        }
