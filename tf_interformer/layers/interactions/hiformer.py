"""Hiformer as an interaction of tokens."""

from typing import Any

from tf_interformer._keras import register
from tf_interformer.layers._common import Shape, Tensor, stack_tokens, tokens_shape
from tf_interformer.layers._hiformer_blocks import HiformerBlocks, Ranks
from tf_interformer.layers._soft_norms import WithSoftNorms


@register
class HiformerInteraction(HiformerBlocks, WithSoftNorms):
    """Layers of Hiformer on the tokens, `X <- HiformerBlock(X)`, for any Interaction Arch.

    There is no task token and nothing is pruned: every token goes on. See `backbones.Hiformer` for the whole model.

    Args:
        num_layers: int. Defaults to `1`.
        attention: str. `"composite"` or `"heterogeneous"`, see `HiformerBlock`. Defaults to `"composite"`.
        num_heads: int. Must divide the width of the tokens unless `key_dim` and `value_dim` are given. Defaults to
            `4`.
        key_dim: int or `None`. `None` means the width of the tokens divided by the heads. Defaults to `None`.
        value_dim: int or `None`. `None` means the same. Defaults to `None`.
        rank_k: int, list or `None`. Rank of the composite queries and keys, one for all layers or one for each;
            `None` means full matrices. Defaults to `None`.
        rank_v: int, list or `None`. Rank of the composite values. Defaults to `None`.
        rank_per_head: bool. Ranks and factors for each head, not for all heads together. Defaults to `False`.
        composite_query: bool. Whether queries are composite too. Defaults to `True`.
        ffn_dim: int or `None`. Hidden width of the feed-forward networks; `None` means four times the width of the
            tokens. Defaults to `None`.
        activation: str or callable. Of the feed-forward networks. Defaults to `"gelu"`.
        norm: str. `"post"` or `"pre"`. Defaults to `"post"`.
        dropout: float. Rate after each attention and feed-forward network. Defaults to `0.0`.
        norm_epsilon: float. What the norms of `"post"`, where residuals join, add to the variance, see `Backbone`.
            Defaults to `1.0`.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, tokens, dim]`.

    Raises:
        ValueError: If an argument is out of range or several do not go together.

    Example:

    >>> HiformerInteraction(num_heads=2, rank_k=16, rank_v=[32])(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [Hiformer, arXiv 2311.05884](https://arxiv.org/abs/2311.05884)
    """

    def __init__(
        self,
        num_layers: int = 1,
        attention: str = "composite",
        num_heads: int = 4,
        key_dim: int | None = None,
        value_dim: int | None = None,
        rank_k: Ranks = None,
        rank_v: Ranks = None,
        rank_per_head: bool = False,
        composite_query: bool = True,
        ffn_dim: int | None = None,
        activation: Any = "gelu",
        norm: str = "post",
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set_blocks(
            num_layers=num_layers,
            attention=attention,
            num_heads=num_heads,
            key_dim=key_dim,
            value_dim=value_dim,
            rank_k=rank_k,
            rank_v=rank_v,
            rank_per_head=rank_per_head,
            composite_query=composite_query,
            ffn_dim=ffn_dim,
            activation=activation,
            norm=norm,
            dropout=dropout,
        )

    def build(self, input_shape: Any) -> None:
        self._build_blocks(tokens_shape(input_shape))
        super().build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = stack_tokens(inputs)
        for block in self.blocks:
            x = block(x, training=training)
        return x

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return tokens_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._blocks_config()}
