"""A personalised feed-forward network in the form of an attention."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import Shape, Tensor, check_positive, project, sequence_shape, tokens_shape
from tf_interformer.layers.multi_head_attention import check_heads


@register
class GeneralizedAttention(keras.layers.Layer):
    """Generalised dot-product attention (GDPA) of Kunlun: `S' = S + [head_1 || .. || head_H]`.

    `head_h = act(S_h K_h(X_sum)^T / t) V_h(X_sum)`: InterFormer's personalised feed-forward network, whose two matrices
    are made of the summary of the features, so that its hidden layer has a unit for each summary token and head. No
    softmax: what an event gets does not depend on the other events. Ours: S_h is the part h of an event, K_h and V_h
    are linear, t is the root of its width, and the activation.

    Args:
        num_heads: int. H; must divide the width. Defaults to `4`.
        activation: str or callable. Defaults to `"swish"`.

    Input: `{"sequence": [batch, time, dim], "summary": [batch, n, dim]}`. Output shape: that of the sequence.

    Raises:
        ValueError: If `num_heads` does not divide the width.

    Example:

    >>> GeneralizedAttention(num_heads=2)({
    ...     "sequence": np.ones((3, 50, 16), "float32"), "summary": np.ones((3, 4, 16), "float32")
    ... }).shape
    TensorShape([3, 50, 16])

    Reference:
        [Kunlun, arXiv 2602.10016](https://arxiv.org/abs/2602.10016)
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
    """

    def __init__(self, num_heads: int = 4, activation: Any = "swish", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = check_positive("num_heads", num_heads)
        self.activation = keras.activations.get(activation)

    def build(self, input_shape: Any) -> None:
        width = sequence_shape(input_shape["sequence"])[2] or 0
        summary = tokens_shape(input_shape["summary"])[2]
        check_heads(width, self.num_heads)
        self.kernel = self.add_weight(name="kernel", shape=(summary, 2 * width), initializer="lecun_normal")
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        sequence = inputs["sequence"]
        keys, values = ops.split(project(inputs["summary"], self.kernel), 2, axis=-1)
        events, keys, values = (self._heads(x) for x in (sequence, keys, values))
        head = sequence.shape[-1] // self.num_heads
        hidden = self.activation(ops.matmul(events * head**-0.5, ops.transpose(keys, (0, 1, 3, 2))))
        made = ops.transpose(ops.matmul(hidden, values), (0, 2, 1, 3))
        return sequence + ops.reshape(made, ops.shape(sequence))

    def _heads(self, x: Tensor) -> Tensor:
        batch, count, width = ops.shape(x)
        return ops.transpose(ops.reshape(x, (batch, count, self.num_heads, width // self.num_heads)), (0, 2, 1, 3))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return sequence_shape(input_shape["sequence"])

    def get_config(self) -> dict[str, Any]:
        activation = keras.activations.serialize(self.activation)
        return {**super().get_config(), "num_heads": self.num_heads, "activation": activation}
