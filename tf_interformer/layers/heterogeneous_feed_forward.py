"""A feed-forward network with weights of its own for every feature."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_factor,
    check_positive,
    check_rate,
    gelu,
    stack_tokens,
    tokens_shape,
)


@register
class HeterogeneousFeedForward(keras.layers.Layer):
    """Heterogeneous feed-forward network of Hiformer: `FFN_i(o) = GELU(o W1_i + b1_i) W2_i + b2_i` (Eq. 4).

    Each token i has its own weights; all tokens together are two batched matrix products. With a gate it is the SwiGLU
    of TokenMixer-Large, `(act(o W3_i + b3_i) * (o W1_i + b1_i)) W2_i + b2_i`.

    Args:
        hidden_dim: int or `None`. `None` means four times the width of the tokens, which is our choice. Defaults to
            `None`.
        activation: str or callable. `"gelu"` is the form with tanh, which ONNX converters know. Defaults to `"gelu"`.
        dropout: float. Rate after the second product. Defaults to `0.0`.
        gated: bool. With a gate, for which `activation` is `"swish"` in the paper. Defaults to `False`.
        start: float. Scale of a fresh `W2`, relative to the usual one. Defaults to `1.0`.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, tokens, dim]`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> HeterogeneousFeedForward(hidden_dim=32)(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [Hiformer, arXiv 2311.05884](https://arxiv.org/abs/2311.05884)
        [TokenMixer-Large, arXiv 2602.06563](https://arxiv.org/abs/2602.06563)
    """

    def __init__(
        self,
        hidden_dim: int | None = None,
        activation: Any = "gelu",
        dropout: float = 0.0,
        gated: bool = False,
        start: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_dim = None if hidden_dim is None else check_positive("hidden_dim", hidden_dim)
        self.activation = keras.activations.get(activation)
        self.dropout = check_rate("dropout", dropout)
        self.gated = gated
        self.start = check_factor("start", start)

    def build(self, input_shape: Any) -> None:
        shape = tokens_shape(input_shape)
        tokens, width = shape[1] or 0, shape[2] or 0
        hidden = self.hidden_dim or 4 * width
        gate = [("gate", width, hidden, 1.0)] if self.gated else []
        for name, rows, columns, start in (("first", width, hidden, 1.0), ("second", hidden, width, self.start), *gate):
            # Not "lecun_normal", which would count the tokens as inputs.
            initializer = keras.initializers.RandomNormal(stddev=start * rows**-0.5)
            kernel = self.add_weight(name=f"{name}_kernel", shape=(tokens, rows, columns), initializer=initializer)
            setattr(self, f"{name}_kernel", kernel)
            bias = self.add_weight(name=f"{name}_bias", shape=(tokens, columns), initializer="zeros")
            setattr(self, f"{name}_bias", bias)
        self.dropout_layer = None
        if self.dropout:
            self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy, name="dropout")
            build_sublayer(self.dropout_layer, shape)
        super().build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = ops.transpose(stack_tokens(inputs), (1, 0, 2))  # [L, B, D]
        hidden = _per_token(x, self.first_kernel, self.first_bias)
        gate = _per_token(x, self.gate_kernel, self.gate_bias) if self.gated else hidden
        act = gelu(gate) if self.activation is keras.activations.gelu else self.activation(gate)
        x = _per_token(act * hidden if self.gated else act, self.second_kernel, self.second_bias)
        output = ops.transpose(x, (1, 0, 2))
        return output if self.dropout_layer is None else self.dropout_layer(output, training=training)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return tokens_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "activation": keras.activations.serialize(self.activation),
            "dropout": self.dropout,
            "gated": self.gated,
            "start": self.start,
        }


def _per_token(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """`[L, B, D]` times a kernel for each token."""
    x = ops.matmul(x, kernel)
    return x + ops.expand_dims(ops.cast(bias, x.dtype), 1)
