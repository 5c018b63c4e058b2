"""Self-attention of AutoInt as an interaction of tokens."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    check_positive,
    project,
    softmax,
    stack_tokens,
    tokens_shape,
    wide,
)
from tf_interformer.layers.multi_head_attention import check_heads


@register
class AutoIntInteraction(keras.layers.Layer):
    """Interacting layers of AutoInt: `X' = relu(MHA(X) + X W_res)` (section 4.4).

    `head_h = softmax(Q_h K_h^T) V_h`, `MHA = [head_1 || .. || head_H]`. Scores are not divided by the root of their
    width and no projection follows the heads, as printed. Queries, keys, values and the residual come from one
    product.

    Args:
        num_layers: int. Defaults to `1`.
        num_heads: int. Defaults to `2`.
        head_dim: int or `None`. Width of a head; `None` means the width of the tokens divided by the heads, which
            keeps the tokens' width, as an Interaction Arch needs it. Defaults to `None`.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, tokens, num_heads * head_dim]`.

    Raises:
        ValueError: If an argument is out of range, or `num_heads` does not divide the width.

    Example:

    >>> AutoIntInteraction(num_layers=2)(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [AutoInt, arXiv 1810.11921](https://arxiv.org/abs/1810.11921)
    """

    def __init__(self, num_layers: int = 1, num_heads: int = 2, head_dim: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_layers = check_positive("num_layers", num_layers)
        self.num_heads = check_positive("num_heads", num_heads)
        self.head_dim = None if head_dim is None else check_positive("head_dim", head_dim)

    def build(self, input_shape: Any) -> None:
        width = tokens_shape(input_shape)[2] or 0
        after = self._width(width)
        self.kernels = []
        for i in range(self.num_layers):
            shape = (width if i == 0 else after, 4 * after)
            self.kernels.append(self.add_weight(name=f"kernel_{i}", shape=shape, initializer="lecun_normal"))
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        x = stack_tokens(inputs)
        tokens = x.shape[1]
        for kernel in self.kernels:
            width = kernel.shape[1] // 4
            parts = project(x, kernel)
            heads = ops.reshape(parts[..., : 3 * width], (-1, tokens, 3, self.num_heads, width // self.num_heads))
            queries, keys, values = ops.unstack(ops.transpose(heads, (2, 0, 3, 1, 4)), 3)  # [B, H, N, D / H]
            scores = wide(ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2))))
            weights = ops.cast(softmax(scores), values.dtype)
            mixed = ops.transpose(ops.matmul(weights, values), (0, 2, 1, 3))
            x = ops.relu(ops.reshape(mixed, (-1, tokens, width)) + parts[..., 3 * width :])
        return x

    def _width(self, width: int) -> int:
        if self.head_dim is None:
            check_heads(width, self.num_heads)
            return width
        return self.num_heads * self.head_dim

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, tokens, width = tokens_shape(input_shape)
        return batch, tokens, self._width(width or 0)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "head_dim": self.head_dim,
        }
