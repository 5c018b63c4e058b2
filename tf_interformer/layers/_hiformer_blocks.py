"""What Hiformer as a backbone and as an interaction have in common: their blocks and the arguments of these."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import keras
from tf_interformer.layers._common import Shape, build_sublayer, check_positive
from tf_interformer.layers.hiformer_block import HiformerBlock

Ranks = int | Sequence[int | None] | None


class HiformerBlocks:
    """Mixed into a layer, which then has `blocks` once `_build_blocks` has run."""

    dtype_policy: Any
    norm_epsilon: float

    def _set_blocks(
        self,
        num_layers: int,
        attention: str,
        num_heads: int,
        key_dim: int | None,
        value_dim: int | None,
        rank_k: Ranks,
        rank_v: Ranks,
        rank_per_head: bool,
        composite_query: bool,
        ffn_dim: int | None,
        activation: Any,
        norm: str,
        dropout: float,
    ) -> None:
        self.num_layers = check_positive("num_layers", num_layers)
        self.attention = attention
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.rank_k = rank_k if rank_k is None or isinstance(rank_k, int) else tuple(rank_k)
        self.rank_v = rank_v if rank_v is None or isinstance(rank_v, int) else tuple(rank_v)
        self.rank_per_head = rank_per_head
        self.composite_query = composite_query
        self.ffn_dim = ffn_dim
        self.activation = keras.activations.get(activation)
        self.norm = norm
        self.dropout = dropout
        for name, ranks in (("rank_k", self.rank_k), ("rank_v", self.rank_v)):
            if isinstance(ranks, tuple) and len(ranks) != num_layers:
                raise ValueError(
                    f"`{name}` must be one rank or a list of one rank per layer. "
                    f"Received: {name}={list(ranks)}, num_layers={num_layers}"
                )
        for i in range(num_layers):
            self._block(i)  # made to check its arguments

    def _block(self, i: int, num_queries: int | None = None) -> HiformerBlock:
        return HiformerBlock(
            attention=self.attention,
            num_heads=self.num_heads,
            key_dim=self.key_dim,
            value_dim=self.value_dim,
            rank_k=self.rank_k[i] if isinstance(self.rank_k, tuple) else self.rank_k,
            rank_v=self.rank_v[i] if isinstance(self.rank_v, tuple) else self.rank_v,
            rank_per_head=self.rank_per_head,
            composite_query=self.composite_query,
            ffn_dim=self.ffn_dim,
            activation=self.activation,
            norm=self.norm,
            num_queries=num_queries,
            dropout=self.dropout,
            norm_epsilon=self.norm_epsilon,
            dtype=self.dtype_policy,
            name=f"block_{i}",
        )

    def _build_blocks(self, shape: Shape, last_queries: int | None = None) -> None:
        self.blocks = []
        for i in range(self.num_layers):
            self.blocks.append(self._block(i, last_queries if i == self.num_layers - 1 else None))
            build_sublayer(self.blocks[i], shape)

    def _blocks_config(self) -> dict[str, Any]:
        return {
            "num_layers": self.num_layers,
            "attention": self.attention,
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "rank_k": list(self.rank_k) if isinstance(self.rank_k, tuple) else self.rank_k,
            "rank_v": list(self.rank_v) if isinstance(self.rank_v, tuple) else self.rank_v,
            "rank_per_head": self.rank_per_head,
            "composite_query": self.composite_query,
            "ffn_dim": self.ffn_dim,
            "activation": keras.activations.serialize(self.activation),
            "norm": self.norm,
            "dropout": self.dropout,
        }
