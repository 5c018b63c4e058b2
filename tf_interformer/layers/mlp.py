"""A stack of dense layers on the last axis."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_rate,
    check_units,
    fresh,
    project,
    shape_of,
)
from tf_interformer.layers._shared_tokens import SharedTokens


@register
class MLP(keras.layers.Layer):
    """A multi-layer perceptron: `x -> act(x W_1 + b_1) -> ... -> x W_n + b_n` on the last axis.

    Tensors of rank three are flattened for each product, so that a layer is one large matrix product whatever the
    number of tokens. Swish is the activation of InterFormer's experiments (arXiv 2411.09852, appendix B).

    Args:
        units: list of int. The widths of the layers; the last one is the width of the output.
        activation: str or callable. After every layer but the last. Defaults to `"swish"`.
        final_activation: str, callable or `None`. After the last layer. Defaults to `None`.
        use_bias: bool. Defaults to `True`.
        dropout: float. Rate of the dropout after each activation but the last. Defaults to `0.0`.
        kernel_initializer: str or initializer. Defaults to `"glorot_uniform"`.
        final_kernel_initializer: str, initializer or `None`. Of the last layer's kernel; a gate and a residual branch
            start small. Defaults to `None`: as the others.
        final_bias_initializer: str or initializer. Of the last layer's bias; a gate starts at one. Defaults to
            `"zeros"`.

    Input shape: `[batch, ..., dim]`; or `{"tokens": [batch, own], "shared": [R, rest], "row": [batch]}`, of which the
        rest is multiplied once for each of the R users whose examples share it.
    Output shape: `[batch, ..., units[-1]]`.

    Raises:
        ValueError: If `units` is empty or holds anything but positive integers.

    Example:

    >>> mlp = MLP([32, 8])
    >>> mlp(np.ones((2, 5, 16), "float32")).shape
    TensorShape([2, 5, 8])
    """

    def __init__(
        self,
        units: Sequence[int],
        activation: Any = "swish",
        final_activation: Any = None,
        use_bias: bool = True,
        dropout: float = 0.0,
        kernel_initializer: Any = "glorot_uniform",
        final_kernel_initializer: Any = None,
        final_bias_initializer: Any = "zeros",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = check_units("units", units)
        if not self.units:
            raise ValueError(f"`units` must name at least one layer. Received: units={units!r}")
        self.activation = keras.activations.get(activation)
        self.final_activation = keras.activations.get(final_activation)
        self.use_bias = use_bias
        self.dropout = check_rate("dropout", dropout)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.final_kernel_initializer = keras.initializers.get(final_kernel_initializer or kernel_initializer)
        self.final_bias_initializer = keras.initializers.get(final_bias_initializer)

    def build(self, input_shape: Any) -> None:
        shape = _shape(input_shape)
        if shape[-1] is None:
            raise ValueError(f"The last axis of the input of an MLP must be known. Received: shape {shape}")
        widths = (shape[-1], *self.units)
        last = len(self.units) - 1
        self.kernels = []
        self.biases = []
        for i in range(len(self.units)):
            initializer = self.final_kernel_initializer if i == last else self.kernel_initializer
            self.kernels.append(
                self.add_weight(name=f"kernel_{i}", shape=(widths[i], widths[i + 1]), initializer=fresh(initializer))
            )
            if self.use_bias:
                initializer = self.final_bias_initializer if i == last else "zeros"
                self.biases.append(self.add_weight(name=f"bias_{i}", shape=(widths[i + 1],), initializer=initializer))
        self.dropout_layer = None
        if self.dropout and last:
            self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy, name="dropout")
            build_sublayer(self.dropout_layer, shape)
        super().build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = inputs
        last = len(self.units) - 1
        for i in range(len(self.units)):
            x = SharedTokens.of(x).product(self.kernels[i]) if isinstance(x, dict) else project(x, self.kernels[i])
            if self.use_bias:
                x = x + ops.cast(self.biases[i], x.dtype)
            x = self.final_activation(x) if i == last else self.activation(x)
            if i < last and self.dropout_layer is not None:
                x = self.dropout_layer(x, training=training)
        return x

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return (*_shape(input_shape)[:-1], self.units[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": list(self.units),
            "activation": keras.activations.serialize(self.activation),
            "final_activation": keras.activations.serialize(self.final_activation),
            "use_bias": self.use_bias,
            "dropout": self.dropout,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "final_kernel_initializer": keras.initializers.serialize(self.final_kernel_initializer),
            "final_bias_initializer": keras.initializers.serialize(self.final_bias_initializer),
        }


def _shape(input_shape: Any) -> Shape:
    """The shape of the input, or of what a dict holds side by side."""
    if not isinstance(input_shape, dict):
        return shape_of(input_shape)
    batch, own = shape_of(input_shape["tokens"])
    return batch, (own or 0) + (shape_of(input_shape["shared"])[1] or 0)
