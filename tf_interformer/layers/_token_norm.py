"""Layer normalisation of tokens, the same arithmetic in both Kerases."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import Shape, Tensor, shape_of, wide

# Of torch's LayerNorm; Keras's own is 1e-3.
EPSILON = 1e-5
# Of a soft norm.
SOFT_EPSILON = 1.0


@register
class TokenNorm(keras.layers.Layer):
    """Normalises the last axis to mean 0 and variance 1 (or to root mean square 1), in float32 or wider.

    Args:
        rms: bool. Divide by the root mean square only, as RMSNorm does. Defaults to `False`.
        soft: bool. For where tokens enter a model and where residuals join: what carries how often an id was seen, and
            so how much it knows, is the scale of its token, and a soft norm leaves a token below scale 1 about as it
            is. A norm inside a branch is not soft: products of small tokens would vanish there. Defaults to `False`.
        epsilon: float or `None`. Added to the variance. Defaults to `None`: 1.0 where the norm is soft, else 1e-5.
        start: float. Initial scale of what comes out. Defaults to `1.0`.
    """

    def __init__(
        self,
        rms: bool = False,
        soft: bool = False,
        epsilon: float | None = None,
        start: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rms = rms
        self.soft = soft
        self.epsilon = (SOFT_EPSILON if soft else EPSILON) if epsilon is None else epsilon
        self.start = start

    def build(self, input_shape: Any) -> None:
        width = shape_of(input_shape)[-1]
        initializer = keras.initializers.Constant(self.start)
        self.gamma = self.add_weight(name="gamma", shape=(width,), initializer=initializer)
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
        own = {"rms": self.rms, "soft": self.soft, "epsilon": self.epsilon, "start": self.start}
        return {**super().get_config(), **own}
