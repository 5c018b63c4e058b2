"""Layers of HSTU over tokens without an order."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_positive,
    check_rate,
    project,
    stack_tokens,
    tokens_shape,
    wide,
)
from tf_interformer.layers._token_norm import TokenNorm
from tf_interformer.layers.multi_head_attention import check_heads


@register
class HSTUInteraction(keras.layers.Layer):
    """Hierarchical sequential transduction units over features: `X' = X + (LN(A V) * U) W_2`.

    `U, V, Q, K = split(SiLU(LN(X) W_1))` and, per head, `A = SiLU(Q K^T + r) / N`: each pair of tokens has a weight of
    its own, and there is no softmax (section 3).

    Printed: these equations, for sequences. Ours: all tokens see each other, since features have no order; `r`, which
    is a bias by position and time there, is a learned number for each head and pair of tokens; and there are no biases
    in the two projections.

    Args:
        num_layers: int. Defaults to `1`.
        num_heads: int. Must divide the width of the tokens. Defaults to `4`.
        dropout: float. Rate before the sum of each layer. Defaults to `0.0`.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, tokens, dim]`.

    Raises:
        ValueError: If an argument is out of range, or `num_heads` does not divide the width.

    Example:

    >>> HSTUInteraction(num_heads=2)(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [HSTU, arXiv 2402.17152](https://arxiv.org/abs/2402.17152)
    """

    def __init__(self, num_layers: int = 1, num_heads: int = 4, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_layers = check_positive("num_layers", num_layers)
        self.num_heads = check_positive("num_heads", num_heads)
        self.dropout = check_rate("dropout", dropout)

    def build(self, input_shape: Any) -> None:
        shape = tokens_shape(input_shape)
        _, tokens, width = shape
        check_heads(width or 0, self.num_heads)
        self.input_norms, self.input_kernels, self.biases, self.norms, self.output_kernels = ([] for _ in range(5))
        for i in range(self.num_layers):
            self.input_norms.append(TokenNorm(dtype=self.dtype_policy, name=f"input_norm_{i}"))
            self.norms.append(TokenNorm(dtype=self.dtype_policy, name=f"norm_{i}"))
            for norm in (self.input_norms[i], self.norms[i]):
                build_sublayer(norm, shape)
            self.input_kernels.append(
                self.add_weight(name=f"input_kernel_{i}", shape=(width, 4 * (width or 0)), initializer="lecun_normal")
            )
            self.biases.append(
                self.add_weight(name=f"bias_{i}", shape=(self.num_heads, tokens, tokens), initializer="zeros")
            )
            self.output_kernels.append(
                self.add_weight(name=f"output_kernel_{i}", shape=(width, width), initializer="lecun_normal")
            )
        self.dropout_layer = None
        if self.dropout:
            self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy, name="dropout")
            build_sublayer(self.dropout_layer, shape)
        super().build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = stack_tokens(inputs)
        tokens, width = x.shape[1:]
        for i in range(self.num_layers):
            parts = ops.silu(project(self.input_norms[i](x), self.input_kernels[i]))
            heads = ops.reshape(parts[..., width:], (-1, tokens, 3, self.num_heads, width // self.num_heads))
            values, queries, keys = ops.unstack(ops.transpose(heads, (2, 0, 3, 1, 4)), 3)  # [B, H, N, D / H]
            scores = wide(ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2))))
            weights = ops.cast(ops.silu(scores + ops.cast(self.biases[i], scores.dtype)) / tokens, values.dtype)
            mixed = ops.reshape(ops.transpose(ops.matmul(weights, values), (0, 2, 1, 3)), (-1, tokens, width))
            mixed = project(self.norms[i](mixed) * parts[..., :width], self.output_kernels[i])
            if self.dropout_layer is not None:
                mixed = self.dropout_layer(mixed, training=training)
            x = x + mixed
        return x

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return tokens_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
        }
