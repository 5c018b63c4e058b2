"""Target attention of Deep Interest Network."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_units,
    project,
    read_history,
    valid_positions,
    wide,
)
from tf_interformer.layers._recording import record
from tf_interformer.layers.mlp import MLP
from tf_interformer.layers.sequences._common import check_target, masked_softmax, weighted_sum


@register
class TargetAttention(keras.layers.Layer):
    """Local activation unit of DIN: events are summed up by their relevance to the target (Eq. 3).

    `a_t = MLP([e, s_t, e - s_t, e * s_t])`, `sum_t a_t s_t`. The paper feeds the network with both vectors and
    "their out product" and does not normalise the weights; difference and elementwise product are those of the
    authors' code. The activation and `normalize` are ours to choose.

    Args:
        units: list of int. Hidden layers of the network. Defaults to `(36,)`, as printed.
        activation: str or callable. Of the hidden layers; the paper has PReLU or Dice. Defaults to `"swish"`.
        normalize: bool. Softmax over the events of a history. Defaults to `False`.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch], "target": [batch, dim]}`, optionally with
    `"context": [batch, time, any]`, which the network sees too, such as positions.
    Output shape: `[batch, dim]`; zeros for an empty history. Padding may hold anything.

    Raises:
        ValueError: If an argument is out of range or the target is not as wide as an event.

    Example:

    >>> TargetAttention()({
    ...     "sequence": np.ones((3, 50, 16), "float32"),
    ...     "lengths": np.array([0, 7, 50]),
    ...     "target": np.ones((3, 16), "float32"),
    ... }).shape
    TensorShape([3, 16])

    Reference:
        [Deep Interest Network, arXiv 1706.06978](https://arxiv.org/abs/1706.06978)
    """

    def __init__(
        self, units: Sequence[int] = (36,), activation: Any = "swish", normalize: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.units = check_units("units", units)
        self.activation = keras.activations.get(activation)
        self.normalize = normalize

    def build(self, input_shape: Any) -> None:
        batch, time, width = check_target(input_shape)
        size = 4 * width + (input_shape["context"][2] if "context" in input_shape else 0)
        self.mlp = None
        if self.units:
            self.mlp = MLP(self.units, self.activation, self.activation, dtype=self.dtype_policy, name="mlp")
            build_sublayer(self.mlp, (batch, time, size))
            size = self.units[-1]
        self.score_kernel = self.add_weight(name="score_kernel", shape=(size, 1), initializer="glorot_uniform")
        # A softmax would not notice one.
        self.score_bias = None
        if not self.normalize:
            self.score_bias = self.add_weight(name="score_bias", shape=(1,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        events, lengths = read_history(inputs["sequence"], inputs["lengths"])
        target = ops.broadcast_to(ops.expand_dims(inputs["target"], 1), ops.shape(events))
        parts = [target, events, target - events, target * events]
        if "context" in inputs:
            parts.append(read_history(inputs["context"], lengths)[0])
        x = ops.concatenate(parts, axis=-1)
        if self.mlp is not None:
            x = self.mlp(x)
        scores = wide(project(x, self.score_kernel))
        if self.score_bias is not None:
            scores = scores + ops.cast(self.score_bias, scores.dtype)
        scores = ops.squeeze(scores, axis=-1)  # [B, T]
        if self.normalize:
            weights = masked_softmax(scores, lengths)
        else:
            weights = scores * ops.cast(valid_positions(lengths, ops.shape(events)[1]), scores.dtype)
        record(self, weights[:, None, None, :])
        return weighted_sum(weights, events)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, _, width = check_target(input_shape)
        return batch, width

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": list(self.units),
            "activation": keras.activations.serialize(self.activation),
            "normalize": self.normalize,
        }
