"""Cross network of DCNv2."""

from functools import partial
from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import Shape, Tensor, check_positive
from tf_interformer.layers._shared_tokens import SharedTokens, shared_shapes


@register
class CrossInteraction(keras.layers.Layer):
    """Cross network of DCNv2 on the flattened tokens: `x_{l+1} = x_0 * (W_l x_l + b_l) + x_l`.

    `x_0` is the concatenation of all tokens. With a rank r the matrix is `W_l = U_l V_l^T` (DCNv2, section 3).

    Args:
        num_layers: int. Defaults to `1`.
        rank: int or `None`. r; `None` means full matrices. InterFormer's experiments use 32. Defaults to `None`.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`; or, where many examples share some tokens,
        `{"tokens": [N, own, dim], "shared": [R, S, dim], "row": [N]}`: for the first product they are multiplied once.
    Output shape: `[batch, tokens, dim]`.

    Raises:
        ValueError: If an argument is not a positive integer.

    Example:

    >>> CrossInteraction(num_layers=2, rank=8)(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [DCN V2, arXiv 2008.13535](https://arxiv.org/abs/2008.13535)
    """

    takes_shared = True

    def __init__(self, num_layers: int = 1, rank: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_layers = check_positive("num_layers", num_layers)
        self.rank = None if rank is None else check_positive("rank", rank)

    def build(self, input_shape: Any) -> None:
        (_, tokens, width), _ = shared_shapes(input_shape)
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

    def call(self, inputs: Any) -> Tensor:
        parts = self.parts(SharedTokens.of(inputs))
        return ops.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]

    def parts(self, given: SharedTokens) -> list[Tensor]:
        """What becomes of the own tokens, `[N, own, dim]`, and of those that are shared, likewise."""
        start = given.sides()
        x = start
        for i in range(self.num_layers):
            product = given.product if i == 0 else partial(_product, x)
            if self.rank is None:
                mixed = [product(kernel) for kernel in _columns(self.up_kernels[i], start)]
            else:
                low = product(self.down_kernels[i])
                mixed = [ops.matmul(low, kernel) for kernel in _columns(self.up_kernels[i], start)]
            bias = ops.cast(self.biases[i], x[0].dtype)
            # In the first layer x is x_0, so that x_0 * a + x_0 is x_0 * (a + 1).
            biases = _columns(bias + 1 if i == 0 else bias, start)
            made = [first * (more + bias) for first, more, bias in zip(start, mixed, biases, strict=True)]
            x = made if i == 0 else [more + before for more, before in zip(made, x, strict=True)]
        width = given.own.shape[2]
        return [ops.reshape(part, (-1, part.shape[1] // width, width)) for part in x]

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return shared_shapes(input_shape)[0]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_layers": self.num_layers, "rank": self.rank}


def _columns(kernel: Tensor, parts: list[Tensor]) -> list[Tensor]:
    """A kernel `[..., F]` as what belongs to each of the parts, `[N, F_p]`, whose widths add up to F."""
    return list(ops.split(kernel, [parts[0].shape[1]], axis=-1)) if len(parts) > 1 else [kernel]


def _product(parts: list[Tensor], kernel: Tensor) -> Tensor:
    """The parts side by side times a kernel."""
    return ops.matmul(ops.concatenate(parts, axis=1) if len(parts) > 1 else parts[0], kernel)
