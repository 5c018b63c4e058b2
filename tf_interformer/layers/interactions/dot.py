"""Inner products of all pairs of tokens."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import Shape, Tensor, stack_tokens, tokens_shape
from tf_interformer.layers._pairs import circle_pairs


@register
class DotInteraction(keras.layers.Layer):
    """Inner products of all pairs of tokens, mapped back to tokens: `reshape(triu(X X^T) W + b)`.

    This is the DOT backbone of InterFormer (section 5) and of DLRM; the strict upper triangle holds each pair of
    different tokens once. Row `p` of `W` belongs to a pair in the order `(0, 1), (1, 2), .., (N-1, 0), (0, 2),
    (1, 3), ..`: first all neighbours, then all tokens two apart, and so on around the circle of tokens.

    Input shape: `[batch, tokens, dim]` with at least two tokens, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, tokens, dim]`.

    Raises:
        ValueError: If there are fewer than two tokens.

    Example:

    >>> DotInteraction()(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [DLRM, arXiv 1906.00091](https://arxiv.org/abs/1906.00091)
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
    """

    def build(self, input_shape: Any) -> None:
        _, tokens, width = tokens_shape(input_shape)
        tokens, width = tokens or 0, width or 0
        if tokens < 2:
            raise ValueError(f"Inner products need at least two tokens. Received: {tokens}")
        pairs = tokens * (tokens - 1) // 2
        # An inner product of tokens of unit variance has the variance `width`.
        initializer = keras.initializers.RandomNormal(stddev=(pairs * width) ** -0.5)
        self.kernel = self.add_weight(name="kernel", shape=(pairs, tokens * width), initializer=initializer)
        self.bias = self.add_weight(name="bias", shape=(tokens * width,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        x = stack_tokens(inputs)
        _, tokens, width = ops.shape(x)
        gram = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
        output = ops.matmul(circle_pairs(gram, tokens), self.kernel)
        return ops.reshape(output + ops.cast(self.bias, output.dtype), (-1, tokens, width))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return tokens_shape(input_shape)
