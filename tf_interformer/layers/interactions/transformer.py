"""A Transformer encoder as an interaction of tokens."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_choice,
    check_positive,
    check_rate,
    stack_tokens,
    tokens_shape,
)
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers.mlp import MLP
from tf_interformer.layers.multi_head_attention import MultiHeadAttention


@register
class TransformerInteraction(WithSoftNorms):
    """Encoder layers of the Transformer over tokens: `Z = LN(X + MHA(X))`, `X' = LN(Z + FFN(Z))`.

    Positions, if any, are learned: the tokens of a model always come in the same order, so that the position says
    which feature a token is. Ours: no biases in the attention.

    Args:
        num_layers: int. Defaults to `1`.
        num_heads: int. Must divide the width of the tokens. Defaults to `4`.
        ffn_dim: int or `None`. Hidden width of the feed-forward networks; `None` means four times the width of the
            tokens. Defaults to `None`.
        activation: str or callable. Of the feed-forward networks. Defaults to `"relu"`.
        norm: str. `"post"` as printed, or `"pre"`: `Z = X + MHA(LN(X))`, `X' = Z + FFN(LN(Z))`. Defaults to `"post"`.
        positions: bool. Add a learned vector for each position first. Defaults to `False`.
        dropout: float. Rate after each attention and feed-forward network. Defaults to `0.0`.
        norm_epsilon: float. What the norms of `"post"`, where residuals join, add to the variance, see `Backbone`.
            Defaults to `1.0`.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, tokens, dim]`.

    Raises:
        ValueError: If an argument is out of range, or `num_heads` does not divide the width.

    Example:

    >>> TransformerInteraction(positions=True)(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [Attention Is All You Need, arXiv 1706.03762](https://arxiv.org/abs/1706.03762)
    """

    def __init__(
        self,
        num_layers: int = 1,
        num_heads: int = 4,
        ffn_dim: int | None = None,
        activation: Any = "relu",
        norm: str = "post",
        positions: bool = False,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_layers = check_positive("num_layers", num_layers)
        self.num_heads = check_positive("num_heads", num_heads)
        self.ffn_dim = None if ffn_dim is None else check_positive("ffn_dim", ffn_dim)
        self.activation = keras.activations.get(activation)
        self.norm = check_choice("norm", norm, ("post", "pre"))
        self.positions = positions
        self.dropout = check_rate("dropout", dropout)

    def build(self, input_shape: Any) -> None:
        shape = tokens_shape(input_shape)
        width = shape[2] or 0
        policy = self.dtype_policy
        if self.positions:
            self.position_kernel = self.add_weight(
                name="position_kernel", shape=shape[1:], initializer=keras.initializers.RandomNormal(stddev=0.02)
            )
        self.attentions, self.attention_norms, self.ffns, self.ffn_norms = [], [], [], []
        for i in range(self.num_layers):
            units = (self.ffn_dim or 4 * width, width)
            soft = self.norm == "post"  # else it is inside the branch
            self.attentions.append(MultiHeadAttention(self.num_heads, False, dtype=policy, name=f"attention_{i}"))
            self.attention_norms.append(self.make_norm(f"attention_norm_{i}", soft))
            self.ffns.append(MLP(units, activation=self.activation, dtype=policy, name=f"ffn_{i}"))
            self.ffn_norms.append(self.make_norm(f"ffn_norm_{i}", soft))
            for layer in (self.attentions[i], self.attention_norms[i], self.ffns[i], self.ffn_norms[i]):
                build_sublayer(layer, shape)
        self.dropout_layer = None
        if self.dropout:
            self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=policy, name="dropout")
            build_sublayer(self.dropout_layer, shape)
        super().build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = stack_tokens(inputs)
        if self.positions:
            x = x + ops.cast(self.position_kernel, x.dtype)
        for i in range(self.num_layers):
            x = self._residual(x, self.attentions[i], self.attention_norms[i], training)
            x = self._residual(x, self.ffns[i], self.ffn_norms[i], training)
        return x

    def _residual(self, x: Tensor, layer: Any, norm: Any, training: bool | None) -> Tensor:
        mixed = layer(norm(x) if self.norm == "pre" else x)
        if self.dropout_layer is not None:
            mixed = self.dropout_layer(mixed, training=training)
        return x + mixed if self.norm == "pre" else norm(x + mixed)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return tokens_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "ffn_dim": self.ffn_dim,
            "activation": keras.activations.serialize(self.activation),
            "norm": self.norm,
            "positions": self.positions,
            "dropout": self.dropout,
        }
