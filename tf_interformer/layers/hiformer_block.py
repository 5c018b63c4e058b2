"""A Transformer layer over features of different kinds."""

from typing import Any

from tf_interformer._keras import keras, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_choice,
    check_positive,
    stack_tokens,
    tokens_shape,
)
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers.composite_attention import CompositeAttention
from tf_interformer.layers.heterogeneous_attention import HeterogeneousAttention
from tf_interformer.layers.heterogeneous_feed_forward import HeterogeneousFeedForward


@register
class HiformerBlock(WithSoftNorms):
    """One layer of Hiformer: attention and feed-forward network, each with a residual connection and a norm.

    `X' = LN(X + Attention(X))`, `Y = LN(X' + FFN(X'))` for `norm="post"`, as in the first Transformer;
    `X' = X + Attention(LN(X))`, `Y = X' + FFN(LN(X'))` for `norm="pre"`. The attention is Hiformer's (section 3.4 of
    the paper, `CompositeAttention`) or the plain heterogeneous one (section 3.3, `HeterogeneousAttention`). Where the
    norms stand is our choice; all tokens share their weights.

    Args:
        attention: str. `"composite"` or `"heterogeneous"`. Defaults to `"composite"`.
        num_heads: int. Defaults to `4`.
        key_dim: int or `None`. `None` means the width of the tokens divided by the heads. Defaults to `None`.
        value_dim: int or `None`. `None` means the same. Defaults to `None`.
        rank_k: int or `None`. Rank of the composite queries and keys. Defaults to `None`, full matrices.
        rank_v: int or `None`. Rank of the composite values. Defaults to `None`.
        rank_per_head: bool. Ranks and factors for each head, not for all heads together. Defaults to `False`.
        composite_query: bool. Whether queries are composite too. Defaults to `True`.
        ffn_dim: int or `None`. Hidden width of the feed-forward network; `None` means four times the width of the
            tokens. Defaults to `None`.
        activation: str or callable. Of the feed-forward network. Defaults to `"gelu"`.
        norm: str. `"post"` or `"pre"`. Defaults to `"post"`.
        num_queries: int or `None`. Only the last so many tokens are computed. `None` means all. Defaults to `None`.
        dropout: float. Rate after the attention and after the feed-forward network. Defaults to `0.0`.
        norm_epsilon: float. What the norms of `"post"`, where residuals join, add to the variance, see `Backbone`.
            Defaults to `1.0`.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, num_queries, dim]`.

    Raises:
        ValueError: If an argument is out of range, or a rank is given to the heterogeneous attention.

    Example:

    >>> HiformerBlock(num_heads=2, rank_k=16, rank_v=32)(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [Hiformer, arXiv 2311.05884](https://arxiv.org/abs/2311.05884)
    """

    def __init__(
        self,
        attention: str = "composite",
        num_heads: int = 4,
        key_dim: int | None = None,
        value_dim: int | None = None,
        rank_k: int | None = None,
        rank_v: int | None = None,
        rank_per_head: bool = False,
        composite_query: bool = True,
        ffn_dim: int | None = None,
        activation: Any = "gelu",
        norm: str = "post",
        num_queries: int | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.attention_form = check_choice("attention", attention, ("composite", "heterogeneous"))
        if attention == "heterogeneous" and (rank_k, rank_v) != (None, None):
            raise ValueError(
                '`rank_k` and `rank_v` belong to attention="composite". '
                f'Received: attention="heterogeneous", rank_k={rank_k!r}, rank_v={rank_v!r}'
            )
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.rank_k = rank_k
        self.rank_v = rank_v
        self.rank_per_head = rank_per_head
        self.composite_query = composite_query
        self.ffn_dim = None if ffn_dim is None else check_positive("ffn_dim", ffn_dim)
        self.activation = keras.activations.get(activation)
        self.norm = check_choice("norm", norm, ("post", "pre"))
        self.num_queries = num_queries
        self.dropout = dropout
        self._attention()

    def _attention(self) -> HeterogeneousAttention:
        """The attention, which also checks its arguments."""
        shared = {
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "num_queries": self.num_queries,
            "dropout": self.dropout,
            "dtype": self.dtype_policy,
            "name": "attention",
        }
        if self.attention_form == "heterogeneous":
            return HeterogeneousAttention(**shared)
        return CompositeAttention(
            rank_k=self.rank_k,
            rank_v=self.rank_v,
            rank_per_head=self.rank_per_head,
            composite_query=self.composite_query,
            **shared,
        )

    def build(self, input_shape: Any) -> None:
        shape = tokens_shape(input_shape)
        self.attention = self._attention()
        build_sublayer(self.attention, shape)
        queries = self.attention.compute_output_shape(shape)
        soft = self.norm == "post"  # else it is inside the branch
        self.attention_norm = self.make_norm("attention_norm", soft)
        build_sublayer(self.attention_norm, shape if self.norm == "pre" else queries)
        self.feed_forward = HeterogeneousFeedForward(
            self.ffn_dim, self.activation, self.dropout, dtype=self.dtype_policy, name="feed_forward"
        )
        self.feed_forward_norm = self.make_norm("feed_forward_norm", soft)
        for layer in (self.feed_forward, self.feed_forward_norm):
            build_sublayer(layer, queries)
        super().build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = stack_tokens(inputs)
        own = x if self.num_queries is None else x[:, x.shape[1] - self.num_queries :]
        if self.norm == "pre":
            x = own + self.attention(self.attention_norm(x), training=training)
            return x + self.feed_forward(self.feed_forward_norm(x), training=training)
        x = self.attention_norm(own + self.attention(x, training=training))
        return self.feed_forward_norm(x + self.feed_forward(x, training=training))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, tokens, width = tokens_shape(input_shape)
        return (batch, self.num_queries or tokens, width)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "attention": self.attention_form,
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "rank_k": self.rank_k,
            "rank_v": self.rank_v,
            "rank_per_head": self.rank_per_head,
            "composite_query": self.composite_query,
            "ffn_dim": self.ffn_dim,
            "activation": keras.activations.serialize(self.activation),
            "norm": self.norm,
            "num_queries": self.num_queries,
            "dropout": self.dropout,
        }
