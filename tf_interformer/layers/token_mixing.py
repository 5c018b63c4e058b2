"""Mixing of tokens without parameters."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import Shape, Tensor, stack_tokens, tokens_shape


@register
class TokenMixing(keras.layers.Layer):
    """Token mixing of RankMixer: slice h of every token, side by side, is token h.

    Each of T tokens is cut in T slices: `y_h = [x_1^h || ... || x_T^h]`. There are no weights. Twice it
    is the identity, so that it also is the step back of TokenMixer-Large. The paper lets the number of slices differ
    from T; its models, whose residuals add a token to its mixture, have as many.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`; `dim` a multiple of the number of tokens.
    Output shape: `[batch, tokens, dim]`.

    Raises:
        ValueError: If the number of tokens does not divide their width.

    Example:

    >>> TokenMixing()(np.arange(8.0, dtype="float32").reshape(1, 2, 4))[0, 0]
    <tf.Tensor: shape=(4,), dtype=float32, numpy=array([0., 1., 4., 5.], dtype=float32)>

    Reference:
        [RankMixer, arXiv 2507.15551](https://arxiv.org/abs/2507.15551)
        [TokenMixer-Large, arXiv 2602.06563](https://arxiv.org/abs/2602.06563)
    """

    def build(self, input_shape: Any) -> None:
        _, tokens, width = tokens_shape(input_shape)
        if not tokens or (width or 0) % tokens:
            raise ValueError(
                "The number of tokens must divide their width, so that each is cut in as many slices. "
                f"Received: {tokens} tokens of width {width}"
            )
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        x = stack_tokens(inputs)
        tokens, width = x.shape[1:]
        apart = ops.reshape(x, (-1, tokens, tokens, width // tokens))
        return ops.reshape(ops.transpose(apart, (0, 2, 1, 3)), (-1, tokens, width))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return tokens_shape(input_shape)
