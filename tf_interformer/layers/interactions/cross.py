"""Cross network of DCNv2."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import Shape, Tensor, check_positive, stack_tokens, tokens_shape


@register
class CrossInteraction(keras.layers.Layer):
    """Cross network of DCNv2 on the flattened tokens: `x_{l+1} = x_0 * (W_l x_l + b_l) + x_l`.

    `x_0` is the concatenation of all tokens. With a rank r the matrix is `W_l = U_l V_l^T` (DCNv2, section 3).

    Args:
        num_layers: int. Defaults to `1`.
        rank: int or `None`. r; `None` means full matrices. InterFormer's experiments use 32. Defaults to `None`.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, tokens, dim]`.

    Raises:
        ValueError: If an argument is not a positive integer.

    Example:

    >>> CrossInteraction(num_layers=2, rank=8)(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [DCN V2, arXiv 2008.13535](https://arxiv.org/abs/2008.13535)
    """

    def __init__(self, num_layers: int = 1, rank: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_layers = check_positive("num_layers", num_layers)
        self.rank = None if rank is None else check_positive("rank", rank)

    def build(self, input_shape: Any) -> None:
        _, tokens, width = tokens_shape(input_shape)
        size = (tokens or 0) * (width or 0)
        self.down_kernels = []
        self.up_kernels = []
        self.biases = []
        for i in range(self.num_layers):
            if self.rank is not None:
                self.down_kernels.append(
                    self.add_weight(name=f"down_kernel_{i}", shape=(size, self.rank), initializer="lecun_normal")
                )
            self.up_kernels.append(
                self.add_weight(name=f"up_kernel_{i}", shape=(self.rank or size, size), initializer="lecun_normal")
            )
            self.biases.append(self.add_weight(name=f"bias_{i}", shape=(size,), initializer="zeros"))
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        tokens = stack_tokens(inputs)
        _, number, width = ops.shape(tokens)
        start = ops.reshape(tokens, (-1, number * width))
        x = start
        for i in range(self.num_layers):
            mixed = ops.matmul(x, self.down_kernels[i]) if self.rank is not None else x
            mixed = ops.matmul(mixed, self.up_kernels[i])
            x = start * (mixed + ops.cast(self.biases[i], x.dtype)) + x
        return ops.reshape(x, (-1, number, width))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return tokens_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_layers": self.num_layers, "rank": self.rank}
