"""Compressed interaction network of xDeepFM."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import Shape, Tensor, check_units, stack_tokens, tokens_shape


@register
class CompressedInteraction(keras.layers.Layer):
    """Compressed interaction network (CIN): `X^k_h = sum_ij W^{k,h}_ij (X^{k-1}_i * X^0_j)`, layer by layer.

    Each layer's vectors are summed over the embedding axis, `p^k_h = sum_d X^k_hd`, and the sums of all layers lie
    side by side (xDeepFM, section 3). There is no activation, which the paper found to be best.

    Args:
        units: list of int. `H_k`, the vectors of each layer. Defaults to `(32, 32)`.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, sum(units)]`.

    Raises:
        ValueError: If `units` is empty or holds anything but positive integers.

    Example:

    >>> CompressedInteraction((10, 5))(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 15])

    Reference:
        [xDeepFM, arXiv 1803.05170](https://arxiv.org/abs/1803.05170)
    """

    def __init__(self, units: Sequence[int] = (32, 32), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = check_units("units", units)
        if not self.units:
            raise ValueError(f"`units` must name at least one layer. Received: units={units!r}")

    def build(self, input_shape: Any) -> None:
        tokens = tokens_shape(input_shape)[1] or 0
        self.kernels = []
        for i, (before, after) in enumerate(zip((tokens, *self.units), self.units, strict=False)):
            # Row `i * tokens + j` belongs to the product of `X^{k-1}_i` and `X^0_j`.
            self.kernels.append(
                self.add_weight(name=f"kernel_{i}", shape=(before * tokens, after), initializer="lecun_normal")
            )
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        start = ops.transpose(stack_tokens(inputs), (0, 2, 1))  # [B, D, N]
        width, tokens = start.shape[1:]
        x, sums = start, []
        for kernel in self.kernels:
            before, after = kernel.shape[0] // tokens, kernel.shape[1]
            products = ops.expand_dims(x, 3) * ops.expand_dims(start, 2)  # [B, D, H, N]
            x = ops.matmul(ops.reshape(products, (-1, before * tokens)), ops.cast(kernel, start.dtype))
            x = ops.reshape(x, (-1, width, after))
            sums.append(ops.sum(x, axis=1))
        return ops.concatenate(sums, axis=1) if len(sums) > 1 else sums[0]

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return tokens_shape(input_shape)[0], sum(self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": list(self.units)}
