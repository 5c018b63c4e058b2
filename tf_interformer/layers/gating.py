"""The gate of InterFormer's summaries."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_choice,
    check_units,
    shape_of,
    small,
)
from tf_interformer.layers.mlp import MLP

ACTIVATIONS = ("identity", "tanh", "sigmoid", "glu")


@register
class Gating(keras.layers.Layer):
    """Lets every token select its own dimensions: `sigma(X * MLP(X))` (InterFormer, Eqs. 10 and 11).

    The paper lists sigmoid, tanh and identity for `sigma` without choosing one. Identity is our default, because
    it keeps the sign and the scale of a token. `"glu"` is the usual gate `X * sigmoid(MLP(X))`. The MLP acts on
    the embedding axis of each token; its last bias starts at one (at zero for `"glu"`) and its last kernel small, so
    that a fresh gate lets a token pass, whatever the token's scale.

    Args:
        activation: str. `"identity"`, `"tanh"`, `"sigmoid"` or `"glu"`. Defaults to `"identity"`.
        hidden_units: list of int. Widths of hidden layers with swish before the MLP's last layer. Defaults to `()`.

    Input shape: `[batch, ..., dim]`. Output shape: the same.

    Raises:
        ValueError: If `activation` is unknown.

    Example:

    >>> Gating("tanh")(np.ones((2, 8, 16), "float32")).shape
    TensorShape([2, 8, 16])

    Reference:
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
    """

    def __init__(self, activation: str = "identity", hidden_units: Sequence[int] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = check_choice("activation", activation, ACTIVATIONS)
        self.hidden_units = check_units("hidden_units", hidden_units)

    def build(self, input_shape: Any) -> None:
        shape = shape_of(input_shape)
        self.mlp = MLP(
            (*self.hidden_units, shape[-1] or 0),
            final_kernel_initializer=small(),
            final_bias_initializer="zeros" if self.activation == "glu" else "ones",
            dtype=self.dtype_policy,
            name="mlp",
        )
        build_sublayer(self.mlp, shape)
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        gate = self.mlp(inputs)
        if self.activation == "glu":
            return inputs * ops.sigmoid(gate)
        gated = inputs * gate
        if self.activation == "tanh":
            return ops.tanh(gated)
        if self.activation == "sigmoid":
            return ops.sigmoid(gated)
        return gated

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return shape_of(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "activation": self.activation,
            "hidden_units": list(self.hidden_units),
        }
