"""Cross network of DCNv2 with a mixture of low-rank experts."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    check_positive,
    fresh,
    softmax,
    stack_tokens,
    tokens_shape,
    wide,
)


@register
class ExpertCrossInteraction(keras.layers.Layer):
    """Mixture of low-rank cross networks on the flattened tokens (DCN V2, section 3).

    `x_{l+1} = sum_i G_i(x_l) E_i(x_l) + x_l`, `E_i(x_l) = x_0 * (U_i g(C_i g(V_i^T x_l)) + b_l)` with `g = tanh`.
    The gates are `G = softmax(x_l W_g)`; the paper leaves their form open. Gates that add up to one make the bias of
    the experts one and the same.

    Args:
        num_layers: int. Defaults to `1`.
        rank: int. Of each expert. Defaults to `32`.
        num_experts: int. At least two. Defaults to `4`.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, tokens, dim]`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> ExpertCrossInteraction(rank=8)(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [DCN V2, arXiv 2008.13535](https://arxiv.org/abs/2008.13535)
    """

    def __init__(self, num_layers: int = 1, rank: int = 32, num_experts: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_layers = check_positive("num_layers", num_layers)
        self.rank = check_positive("rank", rank)
        self.num_experts = check_positive("num_experts", num_experts, minimum=2)

    def build(self, input_shape: Any) -> None:
        _, tokens, width = tokens_shape(input_shape)
        size, all_ranks = (tokens or 0) * (width or 0), self.num_experts * self.rank
        square = keras.initializers.RandomNormal(stddev=self.rank**-0.5)
        up = keras.initializers.RandomNormal(stddev=self.rank**-0.5)
        self.gate_kernels, self.down_kernels, self.square_kernels, self.up_kernels, self.biases = [], [], [], [], []
        for i in range(self.num_layers):
            self.gate_kernels.append(
                self.add_weight(name=f"gate_kernel_{i}", shape=(size, self.num_experts), initializer="lecun_normal")
            )
            self.down_kernels.append(
                self.add_weight(name=f"down_kernel_{i}", shape=(size, all_ranks), initializer="lecun_normal")
            )
            self.square_kernels.append(
                self.add_weight(
                    name=f"square_kernel_{i}", shape=(self.num_experts, self.rank, self.rank), initializer=fresh(square)
                )
            )
            self.up_kernels.append(
                self.add_weight(name=f"up_kernel_{i}", shape=(all_ranks, size), initializer=fresh(up))
            )
            self.biases.append(self.add_weight(name=f"bias_{i}", shape=(size,), initializer="zeros"))
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        tokens = stack_tokens(inputs)
        _, number, width = ops.shape(tokens)
        start = ops.reshape(tokens, (-1, number * width))
        x = start
        for i in range(self.num_layers):
            gates = ops.cast(softmax(wide(self._product(x, self.gate_kernels[i]))), x.dtype)
            low = ops.reshape(ops.tanh(self._product(x, self.down_kernels[i])), (-1, self.num_experts, self.rank))
            low = ops.einsum("ber,ers->bes", low, ops.cast(self.square_kernels[i], x.dtype))
            low = ops.tanh(low) * ops.expand_dims(gates, -1)
            mixed = self._product(ops.reshape(low, (-1, self.num_experts * self.rank)), self.up_kernels[i])
            x = start * (mixed + ops.cast(self.biases[i], x.dtype)) + x
        return ops.reshape(x, (-1, number, width))

    @staticmethod
    def _product(x: Tensor, kernel: Tensor) -> Tensor:
        return ops.matmul(x, ops.cast(kernel, x.dtype))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return tokens_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "rank": self.rank,
            "num_experts": self.num_experts,
        }
