"""Heterogeneous attention as an interaction of tokens."""

from typing import Any

from tf_interformer._keras import register
from tf_interformer.layers.interactions.hiformer import HiformerInteraction


@register
class HeterogeneousAttentionInteraction(HiformerInteraction):
    """`HiformerInteraction` with the heterogeneous attention (Hiformer, section 3.3) in place of the composite one.

    Args:
        num_layers: int. Defaults to `1`.
        **kwargs: Those of `HiformerInteraction` that do not belong to the composite attention.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, tokens, dim]`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> HeterogeneousAttentionInteraction(num_heads=2)(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [Hiformer, arXiv 2311.05884](https://arxiv.org/abs/2311.05884)
    """

    def __init__(self, num_layers: int = 1, **kwargs: Any) -> None:
        super().__init__(num_layers, attention="heterogeneous", **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for name in ("attention", "rank_k", "rank_v", "rank_per_head", "composite_query"):
            del config[name]
        return config
