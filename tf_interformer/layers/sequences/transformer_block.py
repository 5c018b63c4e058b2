"""A Transformer block over a sequence."""

from typing import Any

from tf_interformer._keras import keras, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_positive,
    check_rate,
    read_history,
    sequence_shape,
)
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers.mlp import MLP
from tf_interformer.layers.sequences.sequence_attention import SequenceAttention


@register
class TransformerBlock(WithSoftNorms):
    """A Transformer block: `S' = LN(X + MHA(X))`, `F = LN(S' + FFN(S'))` with a hidden layer.

    Given a query, it is a decoder's block without attention among the queries: X is the query, and attends to the
    sequence.

    Args:
        num_heads: int. Must divide the width. Defaults to `4`.
        ffn_dim: int or `None`. Hidden width; `None` means the width of the sequence. Defaults to `None`.
        activation: str or callable. Defaults to `"leaky_relu"`.
        causal: bool. Events attend to themselves and older ones only. Defaults to `False`.
        dropout: float. Rate after the attention and the feed-forward network. Defaults to `0.0`.
        norm_epsilon: float. What the norms where residuals join add to the variance, see `Backbone`. Defaults to `1.0`.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch]}`, optionally with `"query": [batch, Q, dim]`.
    Output shape: `[batch, Q or time, dim]`. What stands at padded positions has no meaning.

    Raises:
        ValueError: If an argument is out of range or `num_heads` does not divide the width.

    Example:

    >>> inputs = {"sequence": np.ones((3, 50, 16), "float32"), "lengths": np.array([0, 7, 50])}
    >>> TransformerBlock(num_heads=2)(inputs).shape
    TensorShape([3, 50, 16])

    Reference:
        [Attention Is All You Need, arXiv 1706.03762](https://arxiv.org/abs/1706.03762)
    """

    def __init__(
        self,
        num_heads: int = 4,
        ffn_dim: int | None = None,
        activation: Any = "leaky_relu",
        causal: bool = False,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = check_positive("num_heads", num_heads)
        self.ffn_dim = None if ffn_dim is None else check_positive("ffn_dim", ffn_dim)
        self.activation = keras.activations.get(activation)
        self.causal = causal
        self.dropout = check_rate("dropout", dropout)

    def build(self, input_shape: Any) -> None:
        policy = self.dtype_policy
        shape = self.compute_output_shape(input_shape)
        width = shape[2] or 0
        self.attention = SequenceAttention(self.num_heads, self.causal, dtype=policy, name="attention")
        build_sublayer(self.attention, input_shape)
        self.feed_forward = MLP((self.ffn_dim or width, width), self.activation, dtype=policy, name="feed_forward")
        self.attention_norm = self.make_norm("attention_norm")
        self.output_norm = self.make_norm("output_norm")
        for layer in (self.feed_forward, self.attention_norm, self.output_norm):
            build_sublayer(layer, shape)
        self.dropout_layer = None
        if self.dropout:
            self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=policy, name="dropout")
            build_sublayer(self.dropout_layer, shape)
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        x = inputs["query"] if "query" in inputs else read_history(inputs["sequence"], inputs["lengths"])[0]
        x = self.attention_norm(x + self._drop(self.attention(inputs), training))
        return self.output_norm(x + self._drop(self.feed_forward(x), training))

    def _drop(self, x: Tensor, training: bool | None) -> Tensor:
        return x if self.dropout_layer is None else self.dropout_layer(x, training=training)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return sequence_shape(input_shape.get("query", input_shape["sequence"]))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "ffn_dim": self.ffn_dim,
            "activation": keras.activations.serialize(self.activation),
            "causal": self.causal,
            "dropout": self.dropout,
        }
