"""Dual Enhanced Attention as an interaction."""

import json
from typing import Any

from tf_interformer._keras import register
from tf_interformer.layers._common import Shape, Tensor, build_sublayer, check_positive
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers.dual_enhanced_attention import attention_shape, split_ids
from tf_interformer.layers.dual_enhanced_attention_block import DualEnhancedAttentionBlock

# What is not passed on to the blocks as it is.
OWN = ("name", "dtype", "trainable", "norm_epsilon")


@register
class DualEnhancedAttentionInteraction(WithSoftNorms):
    """Layers of Dual Enhanced Attention (arXiv 2503.11233) as an interaction of tokens.

    It remembers pairs of ids, so an Interaction Arch passes it the ids along with the tokens.

    Args:
        num_layers: int. Defaults to `1`.
        num_heads, ffn_dim, ffn_activation, dropout, combo, collapse_avoiding, fusion, value_embedding, combo_config,
            collapse_config, norm_epsilon: see `DualEnhancedAttentionBlock`.

    Input: `{"tokens": [batch, N, dim], "ids": [batch, N]}`; without `combo` also the tokens alone or a list of tensors
        `[batch, dim]`.
    Output shape: `[batch, N, dim]`.

    Raises:
        ValueError: If an argument is out of range, or `combo` has no ids.

    Example:

    >>> interaction = DualEnhancedAttentionInteraction(num_heads=2, combo_config={"codebook_size": 1000})
    >>> interaction({"tokens": np.ones((3, 5, 16), "float32"), "ids": np.array([[0, 1, 2, 3, 4]] * 3)}).shape
    TensorShape([3, 5, 16])

    Reference:
        [Dual Enhanced Attention, arXiv 2503.11233](https://arxiv.org/abs/2503.11233)
    """

    needs_ids = True

    def __init__(self, num_layers: int = 1, **kwargs: Any) -> None:
        own = {key: kwargs.pop(key) for key in OWN if key in kwargs}
        super().__init__(**own)
        self.num_layers = check_positive("num_layers", num_layers)
        # A layer's config is the block's, of which it checks and completes the arguments.
        block = DualEnhancedAttentionBlock(**kwargs).get_config()
        self._block_config = json.dumps({k: v for k, v in block.items() if k not in OWN})
        self._combo = block["combo"]

    def build(self, input_shape: Any) -> None:
        shape = attention_shape(input_shape)
        self.blocks = []
        for i in range(self.num_layers):
            config = {**json.loads(self._block_config), "norm_epsilon": self.norm_epsilon}
            self.blocks.append(DualEnhancedAttentionBlock(**config, dtype=self.dtype_policy, name=f"block_{i}"))
            build_sublayer(self.blocks[i], shape)
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        tokens, ids = split_ids(inputs, self._combo)
        for block in self.blocks:
            tokens = block(tokens if ids is None else {"tokens": tokens, "ids": ids}, training=training)
        return tokens

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return attention_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_layers": self.num_layers, **json.loads(self._block_config)}
