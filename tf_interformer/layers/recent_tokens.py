"""The most recent behaviours of a history."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    check_positive,
    read_history,
    sequence_shape,
)


@register
class RecentTokens(keras.layers.Layer):
    """Selects the k most recent tokens of right-padded histories, the latest first (InterFormer, S_recent of Eq. 11).

    "Recent" goes by the length of each history, never by the end of the tensor. Where a history is shorter than k
    the remaining tokens are zero.

    Args:
        num_tokens: int. k. Defaults to `2`.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch]}`. Output shape: `[batch, num_tokens, dim]`.

    Raises:
        ValueError: If `num_tokens` is not a positive integer.

    Example:

    >>> RecentTokens(2)({"sequence": np.arange(3.0).reshape(1, 3, 1), "lengths": np.array([2])})[0, :, 0]
    <tf.Tensor: shape=(2,), dtype=float32, numpy=array([1., 0.], dtype=float32)>

    Reference:
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
    """

    def __init__(self, num_tokens: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_tokens = check_positive("num_tokens", num_tokens)

    def build(self, input_shape: Any) -> None:
        sequence_shape(input_shape["sequence"])
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        sequence, lengths = read_history(inputs["sequence"], inputs["lengths"])
        last = ops.expand_dims(lengths, 1) - 1
        wanted = last - ops.expand_dims(ops.arange(self.num_tokens), 0)  # [B, k], negative where there is none
        positions = ops.arange(ops.shape(sequence)[1])
        # A product with ones and zeros, because XLA, ONNX and accelerators run it faster than a gather.
        selection = ops.cast(wanted[:, :, None] == positions[None, None, :], sequence.dtype)
        return ops.matmul(selection, sequence)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, _, width = sequence_shape(input_shape["sequence"])
        return (batch, self.num_tokens, width)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_tokens": self.num_tokens}
