"""A feed-forward network with a gate."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_positive,
    check_rate,
    project,
    shape_of,
)


@register
class GatedFeedForward(keras.layers.Layer):
    """SwiGLU on the last axis: `(swish(x W_3) * (x W_1)) W_2`, without biases.

    `HeterogeneousFeedForward(gated=True)` has weights for each token.

    Args:
        hidden_dim: int or `None`. `None` means four times the width, which is our choice. Defaults to `None`.
        dropout: float. Rate after the last product. Defaults to `0.0`.

    Input shape: `[batch, ..., dim]`. Output shape: that of the input.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> GatedFeedForward(32)(np.ones((2, 50, 16), "float32")).shape
    TensorShape([2, 50, 16])

    Reference:
        [GLU Variants Improve Transformer, arXiv 2002.05202](https://arxiv.org/abs/2002.05202)
    """

    def __init__(self, hidden_dim: int | None = None, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hidden_dim = None if hidden_dim is None else check_positive("hidden_dim", hidden_dim)
        self.dropout = check_rate("dropout", dropout)

    def build(self, input_shape: Any) -> None:
        width = shape_of(input_shape)[-1] or 0
        hidden = self.hidden_dim or 4 * width
        self.kernel = self.add_weight(name="kernel", shape=(width, 2 * hidden), initializer="lecun_normal")
        self.output_kernel = self.add_weight(name="output_kernel", shape=(hidden, width), initializer="lecun_normal")
        self.dropout_layer = None
        if self.dropout:
            self.dropout_layer = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy, name="dropout")
            build_sublayer(self.dropout_layer, shape_of(input_shape))
        super().build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        hidden, gate = ops.split(project(inputs, self.kernel), 2, axis=-1)
        output = project(ops.silu(gate) * hidden, self.output_kernel)
        return output if self.dropout_layer is None else self.dropout_layer(output, training=training)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return shape_of(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "hidden_dim": self.hidden_dim, "dropout": self.dropout}
