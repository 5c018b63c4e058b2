"""Weights of tokens by what all tokens hold."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import Shape, Tensor, check_positive, stack_tokens, tokens_shape


@register
class SqueezeExcitationInteraction(keras.layers.Layer):
    """SENET of FiBiNET: `v'_i = a_i v_i`, `a = relu(relu(z W_1) W_2)`, `z_i` the mean of token i (section 3.2).

    Ours: the first layer has at least one unit.

    Args:
        reduction: int. How many times fewer units than tokens the first layer has. Defaults to `3`.

    Input shape: `[batch, tokens, dim]`, or a list of tensors `[batch, dim]`.
    Output shape: `[batch, tokens, dim]`.

    Raises:
        ValueError: If `reduction` is not a positive integer.

    Example:

    >>> SqueezeExcitationInteraction()(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])

    Reference:
        [FiBiNET, arXiv 1905.09433](https://arxiv.org/abs/1905.09433)
    """

    def __init__(self, reduction: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reduction = check_positive("reduction", reduction)

    def build(self, input_shape: Any) -> None:
        tokens = tokens_shape(input_shape)[1] or 0
        hidden = max(1, tokens // self.reduction)
        self.squeeze_kernel = self.add_weight(
            name="squeeze_kernel", shape=(tokens, hidden), initializer="glorot_uniform"
        )
        self.excite_kernel = self.add_weight(name="excite_kernel", shape=(hidden, tokens), initializer="glorot_uniform")
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        tokens = stack_tokens(inputs)
        weights = ops.relu(ops.matmul(ops.mean(tokens, axis=2), ops.cast(self.squeeze_kernel, tokens.dtype)))
        weights = ops.relu(ops.matmul(weights, ops.cast(self.excite_kernel, tokens.dtype)))
        return tokens * ops.expand_dims(weights, 2)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return tokens_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "reduction": self.reduction}
