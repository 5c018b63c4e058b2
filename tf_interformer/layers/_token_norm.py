"""Layer normalisation of tokens, the same arithmetic in both Kerases."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import Shape, Tensor, shape_of, wide

# Of torch's LayerNorm; Keras's own is 1e-3.
EPSILON = 1e-5


@register
class TokenNorm(keras.layers.Layer):
    """Normalises the last axis to mean 0 and variance 1 (or to root mean square 1), in float32 or wider.

    Args:
        rms: bool. Divide by the root mean square only, as RMSNorm does. Defaults to `False`.
        epsilon: float. Added to the variance. Defaults to `1e-5`.
    """

    def __init__(self, rms: bool = False, epsilon: float = EPSILON, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rms = rms
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        width = shape_of(input_shape)[-1]
        self.gamma = self.add_weight(name="gamma", shape=(width,), initializer="ones")
        if not self.rms:
            self.beta = self.add_weight(name="beta", shape=(width,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        x = wide(inputs)
        gamma = ops.cast(self.gamma, x.dtype)
        if self.rms:
            scale = ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + self.epsilon)
            return ops.cast(x * scale * gamma, self.compute_dtype)
        x = x - ops.mean(x, axis=-1, keepdims=True)
        scale = ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + self.epsilon)
        return ops.cast(x * scale * gamma + ops.cast(self.beta, x.dtype), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return shape_of(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rms": self.rms, "epsilon": self.epsilon}
