"""Cross network of DCN."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import Shape, Tensor, check_positive, stack_tokens, tokens_shape


@register
class VectorCrossInteraction(keras.layers.Layer):
    """Cross network of DCN on the flattened tokens: `x_{l+1} = x_0 (x_l . w_l) + b_l + x_l` (DCN, equation 3).

    `x_0` is the concatenation of all tokens. DCNv2 has a matrix where this has the vector `w_l`: see
    `CrossInteraction`.

    Args:
        num_layers: int. Defaults to `1`.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, tokens, dim]`.

    Raises:
        ValueError: If `num_layers` is not a positive integer.

    Example:

    >>> VectorCrossInteraction(num_layers=2)(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [DCN, arXiv 1708.05123](https://arxiv.org/abs/1708.05123)
    """

    def __init__(self, num_layers: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_layers = check_positive("num_layers", num_layers)

    def build(self, input_shape: Any) -> None:
        _, tokens, width = tokens_shape(input_shape)
        size = (tokens or 0) * (width or 0)
        self.kernels, self.biases = [], []
        for i in range(self.num_layers):
            self.kernels.append(self.add_weight(name=f"kernel_{i}", shape=(size, 1), initializer="lecun_normal"))
            self.biases.append(self.add_weight(name=f"bias_{i}", shape=(size,), initializer="zeros"))
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        tokens = stack_tokens(inputs)
        _, number, width = ops.shape(tokens)
        start = ops.reshape(tokens, (-1, number * width))
        x = start
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            x = start * ops.matmul(x, ops.cast(kernel, x.dtype)) + ops.cast(bias, x.dtype) + x
        return ops.reshape(x, (-1, number, width))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return tokens_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_layers": self.num_layers}
