"""Self-attention whose keys and values are made of all tokens."""

from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.layers._common import Tensor, build_sublayer, check_positive
from tf_interformer.layers.composite_projection import CompositeProjection
from tf_interformer.layers.heterogeneous_attention import HeterogeneousAttention


@register
class CompositeAttention(HeterogeneousAttention):
    """Hiformer's attention: heterogeneous attention with composite keys, values and queries.

    `[k_1 || ... || k_L] = [e_1 || ... || e_L] K_h`, likewise the values with `V_h` (Hiformer, section 3.4), then
    `o_i = concat_h(sum_j softmax_j(q_i^h k_j^h / sqrt(d_k)) v_j^h) O_i` as in `HeterogeneousAttention`. Low rank and
    pruning are those of section 3.5. The queries are composite too, as the paper describes them; the numbers of
    parameters that it prints are those of a pruned layer whose queries are projections of their own token alone,
    which is `composite_query=False` (see `Hiformer.published`). A pruned layer holds only the columns of the tokens
    that query, and so equals the unpruned one exactly.

    Args:
        num_heads: int. H. Defaults to `4`.
        key_dim: int or `None`. d_k; `None` means the width of the tokens divided by the heads. Defaults to `None`.
        value_dim: int or `None`. d_v; `None` means the same. Defaults to `None`.
        rank_k: int or `None`. Rank of the queries' and keys' projections, see `CompositeProjection`; `None` means
            full matrices. Defaults to `None`.
        rank_v: int or `None`. Rank of the values' projection. Defaults to `None`.
        rank_per_head: bool. Ranks and factors for each head, not for all heads together. Defaults to `False`.
        composite_query: bool. Defaults to `True`.
        num_queries: int or `None`. Only the last so many tokens are queries. Defaults to `None`.
        dropout: float. Rate after the output projection. Defaults to `0.0`.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, num_queries, dim]`.

    Raises:
        ValueError: If an argument is out of range, `num_queries` exceeds the number of tokens, or `num_heads` does
            not divide the width and `key_dim` or `value_dim` is not given.

    Example:

    >>> attention = CompositeAttention(num_heads=2, rank_k=16, rank_v=32, num_queries=1)
    >>> attention(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 1, 16])

    Reference:
        [Hiformer, arXiv 2311.05884](https://arxiv.org/abs/2311.05884)
    """

    def __init__(
        self,
        num_heads: int = 4,
        key_dim: int | None = None,
        value_dim: int | None = None,
        rank_k: int | None = None,
        rank_v: int | None = None,
        rank_per_head: bool = False,
        composite_query: bool = True,
        num_queries: int | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_heads, key_dim, value_dim, num_queries, dropout, **kwargs)
        self.rank_k = None if rank_k is None else check_positive("rank_k", rank_k)
        self.rank_v = None if rank_v is None else check_positive("rank_v", rank_v)
        self.rank_per_head = rank_per_head
        self.composite_query = composite_query

    def _build_projections(self, batch: int | None, tokens: int, width: int) -> None:
        shape = (batch, tokens, width)
        if self.composite_query:
            self.query = self._composite("query", shape, self._key_width, self.rank_k, self._queries)
        else:
            self._build_own_queries(width)
        self.key = self._composite("key", shape, self._key_width, self.rank_k)
        self.value = self._composite("value", shape, self._value_width, self.rank_v)

    def _composite(
        self, name: str, shape: Any, width: int, rank: int | None, num_outputs: int | None = None
    ) -> CompositeProjection:
        layer = CompositeProjection(
            self.num_heads,
            width,
            rank,
            num_outputs,
            rank_per_head=self.rank_per_head,
            dtype=self.dtype_policy,
            name=name,
        )
        build_sublayer(layer, shape)
        return layer

    def _project(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        queries = self.query(tokens) if self.composite_query else self._own_queries(ops.transpose(tokens, (1, 0, 2)))
        return queries, self.key(tokens), self.value(tokens)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rank_k": self.rank_k,
            "rank_v": self.rank_v,
            "rank_per_head": self.rank_per_head,
            "composite_query": self.composite_query,
        }
