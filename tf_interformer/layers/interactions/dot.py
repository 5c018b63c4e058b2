"""Inner products of all pairs of tokens."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import Shape, Tensor, stack_tokens, tokens_shape


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
        output = ops.matmul(_pairs(gram, tokens), self.kernel)
        return ops.reshape(output + ops.cast(self.bias, output.dtype), (-1, tokens, width))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return tokens_shape(input_shape)


def _pairs(gram: Tensor, tokens: int) -> Tensor:
    # Two copies side by side, re-read with rows one longer: column k is then the k-th diagonal around the circle.
    # Only copies and slices, whose gradients are cheap where that of a gather is not (XLA runs it serially).
    twice = ops.reshape(ops.concatenate([gram, gram], axis=2), (-1, 2 * tokens * tokens))
    twice = ops.pad(twice, ((0, 0), (0, tokens)))
    diagonals = ops.reshape(twice, (-1, tokens, 2 * tokens + 1))
    whole = (tokens - 1) // 2
    parts = []
    if whole:
        by_distance = ops.transpose(diagonals[:, :, 1 : whole + 1], (0, 2, 1))
        parts.append(ops.reshape(by_distance, (-1, whole * tokens)))
    if tokens % 2 == 0:
        # Opposite tokens of an even circle meet twice.
        parts.append(diagonals[:, : tokens // 2, tokens // 2])
    return ops.concatenate(parts, axis=1)
