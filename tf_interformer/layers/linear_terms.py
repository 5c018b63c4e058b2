"""First-order terms of tokens."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import Shape, Tensor, stack_tokens, tokens_shape


@register
class LinearTerms(keras.layers.Layer):
    """First-order terms: a learned scalar per token, `y_n = w_n . e_n`.

    Factorization machines have a weight for every id instead, in a table of its own. Here the weight of an id is read
    off its embedding, which is ours: no table beside the embeddings is needed. The terms are not added up, the tower
    behind them does that.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, tokens]`.

    Raises:
        ValueError: If the number of tokens or their width is unknown.

    Example:

    >>> LinearTerms()(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20])
    """

    def build(self, input_shape: Any) -> None:
        _, tokens, width = tokens_shape(input_shape)
        initializer = keras.initializers.RandomNormal(stddev=(width or 1) ** -0.5)
        self.kernel = self.add_weight(name="kernel", shape=(tokens, width), initializer=initializer)
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        tokens = stack_tokens(inputs)
        return ops.sum(tokens * ops.cast(self.kernel, tokens.dtype), axis=2)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return tokens_shape(input_shape)[:2]
