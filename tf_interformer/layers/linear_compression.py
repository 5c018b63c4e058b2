"""Linear compressed embedding: fewer tokens, each a mixture of all."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import Shape, Tensor, check_positive, stack_tokens, tokens_shape


@register
class LinearCompression(keras.layers.Layer):
    """Linear compressed embedding (LCE): `[B, N, D] -> [B, M, D]`, linear over the token axis.

    `LCE(X) = X W`, `X` in `R^{d x N}`, `W` in `R^{N x M}` (InterFormer, appendix A.2.1): every output token is a
    weighted sum of the input tokens with weights shared over the embedding axis; no bias, no activation. `M` may
    exceed `N`.

    Args:
        num_tokens: int. `M`, the number of output tokens.
        kernel_initializer: str or initializer. The default keeps the variance of independent tokens. Defaults to
            `"lecun_normal"`.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, num_tokens, dim]`.

    Raises:
        ValueError: If `num_tokens` is not a positive integer or the number of input tokens is unknown.

    Example:

    >>> LinearCompression(4)(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 4, 16])

    Reference:
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
    """

    def __init__(self, num_tokens: int, kernel_initializer: Any = "lecun_normal", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_tokens = check_positive("num_tokens", num_tokens)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Any) -> None:
        tokens = tokens_shape(input_shape)[1]
        self.kernel = self.add_weight(
            name="kernel", shape=(tokens, self.num_tokens), initializer=self.kernel_initializer
        )
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        tokens = stack_tokens(inputs)
        return mix(tokens, ops.cast(self.kernel, tokens.dtype))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, _, width = tokens_shape(input_shape)
        return (batch, self.num_tokens, width)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_tokens": self.num_tokens,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


def mix(tokens: Tensor, kernel: Tensor) -> Tensor:
    """`[B, N, D]` mixed by a kernel `[N, M]` to `[B, M, D]`."""
    # A product for each example: an einsum would transpose all of them, twice.
    return ops.matmul(ops.transpose(kernel), tokens)
