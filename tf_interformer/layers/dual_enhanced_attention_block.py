"""A Transformer layer around Dual Enhanced Attention."""

import json
from typing import Any

from tf_interformer._keras import keras, register
from tf_interformer.layers._common import Shape, Tensor, build_sublayer, check_positive, check_rate
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers.dual_enhanced_attention import DualEnhancedAttention, attention_shape, split_ids
from tf_interformer.layers.mlp import MLP


@register
class DualEnhancedAttentionBlock(WithSoftNorms):
    """One Transformer layer: `Z = LN(X + DEA(X))`, `Y = LN(Z + MLP(Z))` (arXiv 2503.11233).

    The paper puts its attention into a Transformer; where the norms stand and the form of the MLP are ours.

    Args:
        num_heads: int. Must divide the width of the tokens. Defaults to `4`.
        ffn_dim: int or `None`. Hidden width of the MLP; `None` for four times the width of the tokens. Defaults to
            `None`.
        ffn_activation: str or callable. Defaults to `"swish"`.
        dropout: float. Rate after the attention and after the MLP. Defaults to `0.0`.
        combo, collapse_avoiding, fusion, value_embedding, combo_config, collapse_config: see `DualEnhancedAttention`.
        norm_epsilon: float. What the norms where residuals join add to the variance, see `Backbone`. Defaults to `1.0`.

    Input: `{"tokens": [batch, N, dim], "ids": [batch, N]}`; without `combo` also the tokens alone or a list of tensors
        `[batch, dim]`.
    Output shape: `[batch, N, dim]`.

    Raises:
        ValueError: If an argument is out of range, or `combo` has no ids.

    Example:

    >>> block = DualEnhancedAttentionBlock(num_heads=2, combo=False)
    >>> block(np.ones((3, 5, 16), "float32")).shape
    TensorShape([3, 5, 16])

    Reference:
        [Dual Enhanced Attention, arXiv 2503.11233](https://arxiv.org/abs/2503.11233)
    """

    def __init__(
        self,
        num_heads: int = 4,
        ffn_dim: int | None = None,
        ffn_activation: Any = "swish",
        dropout: float = 0.0,
        combo: bool = True,
        collapse_avoiding: bool = True,
        fusion: str = "gated",
        value_embedding: bool = False,
        combo_config: dict[str, Any] | None = None,
        collapse_config: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.ffn_dim = None if ffn_dim is None else check_positive("ffn_dim", ffn_dim)
        self.ffn_activation = keras.activations.get(ffn_activation)
        self.dropout = check_rate("dropout", dropout)
        self._attention_config = json.dumps(
            {
                "num_heads": num_heads,
                "combo": combo,
                "collapse_avoiding": collapse_avoiding,
                "fusion": fusion,
                "value_embedding": value_embedding,
                "combo_config": combo_config,
                "collapse_config": collapse_config,
            }
        )
        self.attention = DualEnhancedAttention(
            **json.loads(self._attention_config), dtype=self.dtype_policy, name="attention"
        )

    def build(self, input_shape: Any) -> None:
        shape = attention_shape(input_shape)
        width = shape[2] or 0
        build_sublayer(self.attention, input_shape)
        policy = self.dtype_policy
        self.attention_norm = self.make_norm("attention_norm")
        self.ffn = MLP((self.ffn_dim or 4 * width, width), self.ffn_activation, dtype=policy, name="ffn")
        self.ffn_norm = self.make_norm("ffn_norm")
        parts: list[Any] = [self.attention_norm, self.ffn, self.ffn_norm]
        self.dropout_layer = None
        if self.dropout:
            self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=policy, name="dropout")
            parts.append(self.dropout_layer)
        for part in parts:
            build_sublayer(part, shape)
        super().build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        tokens, _ = split_ids(inputs, needed=False)
        mixed = self._drop(self.attention(inputs, training=training), training)
        tokens = self.attention_norm(tokens + mixed)
        mixed = self._drop(self.ffn(tokens, training=training), training)
        return self.ffn_norm(tokens + mixed)

    def _drop(self, tokens: Tensor, training: bool | None) -> Tensor:
        return tokens if self.dropout_layer is None else self.dropout_layer(tokens, training=training)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return attention_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "ffn_dim": self.ffn_dim,
            "ffn_activation": keras.activations.serialize(self.ffn_activation),
            "dropout": self.dropout,
            **json.loads(self._attention_config),
        }
