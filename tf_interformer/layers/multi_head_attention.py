"""Self-attention over a sequence."""

from typing import Any

from tf_interformer._keras import keras, keras_backend, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    check_positive,
    project,
    read_events,
    sequence_shape,
    softmax,
    wide,
)
from tf_interformer.layers._recording import is_recording, record
from tf_interformer.layers.rotary import rotary_angles, rotate

MASKED = -1e30
# Attention that never holds the weights in memory: Keras has it on JAX and PyTorch, not on TensorFlow.
FUSED = keras_backend() != "tensorflow"


@register
class MultiHeadAttention(keras.layers.Layer):
    """Multi-head self-attention with optional rotary positions: InterFormer's MHA (Eq. 3).

    `head_h = softmax(Q_h K_h^T / sqrt(D / H)) V_h`, `MHA(S) = [head_1 || ... || head_H] W_out`, bidirectional.
    Queries, keys and values come from one fused projection; there are no biases. The softmax is computed in float32
    or wider. A masked key gets the weight zero; where all keys of an example are masked its output is zero.

    Args:
        num_heads: int. H; must divide the width of the input. Defaults to `4`.
        rotary: bool. Rotate queries and keys by their positions. Needs heads of even width. Defaults to `True`.

    Input: `[batch, time, dim]`, or `{"sequence": [batch, time, dim], "mask": [batch, time], "positions": [time] or
    [batch, time]}` with a mask that is true where a position may be attended to, and where each token stands, for the
    rotation. Without a mask all are attended to, without positions they are counted from 0.
    Output shape: `[batch, time, dim]`. What stands at masked positions of the output has no meaning.

    Raises:
        ValueError: If `num_heads` does not divide the width, or heads are of odd width with `rotary=True`.

    Example:

    >>> attention = MultiHeadAttention(num_heads=2)
    >>> attention({"sequence": np.ones((2, 50, 16), "float32"), "mask": np.ones((2, 50), bool)}).shape
    TensorShape([2, 50, 16])

    Reference:
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
    """

    def __init__(self, num_heads: int = 4, rotary: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = check_positive("num_heads", num_heads)
        self.rotary = rotary

    def build(self, input_shape: Any) -> None:
        shape = _sequence(input_shape)
        width = sequence_shape(shape)[2] or 0
        check_heads(width, self.num_heads, self.rotary)
        self.qkv_kernel = self.add_weight(name="qkv_kernel", shape=(width, 3 * width), initializer="lecun_normal")
        self.output_kernel = self.add_weight(name="output_kernel", shape=(width, width), initializer="lecun_normal")
        super().build(input_shape)

    def call(self, inputs: Any) -> Tensor:
        sequence = _sequence(inputs)
        given = inputs if isinstance(inputs, dict) else {}
        mask = given.get("mask")
        if mask is not None:
            sequence = read_events(mask, sequence)
        batch, time, width = ops.shape(sequence)
        head = width // self.num_heads
        qkv = ops.reshape(project(sequence, self.qkv_kernel), (batch, time, 3, self.num_heads, head))
        queries, keys, values = ops.unstack(ops.transpose(qkv, (2, 0, 3, 1, 4)), 3)  # [B, H, T, D / H]
        queries = queries * head**-0.5
        if self.rotary:
            angles = rotary_angles(given.get("positions", time), head, dtype=wide_name(self.compute_dtype))
            if len(angles.shape) == 3:
                angles = ops.expand_dims(angles, 1)  # [B, 1, T, D / 2H]
            queries, keys = rotate(queries, angles), rotate(keys, angles)
        attend = _fused if FUSED and not is_recording() else self._attend
        attended = ops.reshape(attend(queries, keys, values, mask), (batch, time, width))
        if mask is not None:
            # A row without keys comes out uniform over padding: cheaper to clear it here than in the weights.
            attended = ops.where(ops.any(mask, axis=1)[:, None, None], attended, ops.zeros_like(attended))
        return project(attended, self.output_kernel)

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        scores = wide(ops.matmul(queries, ops.transpose(keys, (0, 1, 3, 2))))
        if mask is not None:
            bias = ops.where(mask, ops.zeros((), scores.dtype), ops.cast(MASKED, scores.dtype))
            scores = scores + bias[:, None, None, :]
        weights = ops.cast(softmax(scores), values.dtype)
        record(self, weights)
        return ops.transpose(ops.matmul(weights, values), (0, 2, 1, 3))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return sequence_shape(_sequence(input_shape))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "rotary": self.rotary,
        }


def _fused(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Attention `[B, T, H, D / H]` as the backend has it, from `[B, H, T, D / H]`."""
    queries, keys, values = (ops.transpose(x, (0, 2, 1, 3)) for x in (queries, keys, values))
    if mask is not None:
        # A row without any key would come out as NaN.
        mask = ops.logical_or(mask, ops.logical_not(ops.any(mask, axis=1, keepdims=True)))[:, None, None, :]
    return ops.dot_product_attention(queries, keys, values, mask=mask, scale=1.0)


def _sequence(inputs: Any) -> Any:
    return inputs["sequence"] if isinstance(inputs, dict) else inputs


def wide_name(dtype: str) -> str:
    """The precision of angles, scores and norms in a layer that computes in `dtype`."""
    return "float64" if dtype == "float64" else "float32"


def check_heads(width: int, num_heads: int, rotary: bool = False) -> None:
    """Raises unless `num_heads` heads share `width` evenly (and each is of even width, if rotary)."""
    if width % num_heads:
        raise ValueError(
            f"`num_heads` must divide the width of the sequence. Received: num_heads={num_heads}, width {width}"
        )
    if rotary and (width // num_heads) % 2:
        raise ValueError(
            "Rotary positions need heads of even width: choose another `num_heads` or switch rotary off. "
            f"Received: num_heads={num_heads}, width {width}"
        )
