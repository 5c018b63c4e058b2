"""Interest evolution of DIEN."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    project,
    read_history,
    wide,
)
from tf_interformer.layers._recording import record
from tf_interformer.layers.sequences._common import check_target, check_weight, masked_softmax, next_event_loss
from tf_interformer.layers.sequences.attentional_gru import AttentionalGRU


@register
class InterestEvolution(keras.layers.Layer):
    """Interest extractor and interest evolution of DIEN.

    `h_1 .. h_T = GRU(S)`, `a_t = softmax_t(h_t W e)` with the target e, and the last state of `AUGRU(h, a)`. In
    training the auxiliary loss lets each `h_t` tell the next event from a wrong one by their scalar product; it is
    added by `add_loss`, its weight is the paper's alpha.

    Printed: all of this. Ours: the wrong event is that of another row of the batch at the same position, and the loss
    is averaged over the events rather than summed over a history. The state is as wide as an event, because the
    scalar product needs it.

    Args:
        auxiliary_weight: float. Weight of the auxiliary loss; 0 for none. Defaults to `1.0`.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch], "target": [batch, dim]}`, optionally with
    `"interests": [batch, time, dim]`, what `before_target` returned.
    Output shape: `[batch, dim]`; zeros for an empty history. Padding may hold anything.

    Raises:
        ValueError: If the weight is negative or the target is not as wide as an event.

    Example:

    >>> InterestEvolution()({
    ...     "sequence": np.ones((3, 50, 16), "float32"),
    ...     "lengths": np.array([0, 7, 50]),
    ...     "target": np.ones((3, 16), "float32"),
    ... }).shape
    TensorShape([3, 16])

    Reference:
        [Deep Interest Evolution Network, arXiv 1809.03672](https://arxiv.org/abs/1809.03672)
    """

    def __init__(self, auxiliary_weight: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.auxiliary_weight = check_weight("auxiliary_weight", auxiliary_weight)

    def build(self, input_shape: Any) -> None:
        batch, time, width = check_target(input_shape)
        shapes = {"sequence": (batch, time, width), "lengths": (batch,)}
        self.extractor = AttentionalGRU(width, dtype=self.dtype_policy, name="extractor")
        build_sublayer(self.extractor, shapes)
        self.attention_kernel = self.add_weight(
            name="attention_kernel", shape=(width, width), initializer="glorot_uniform"
        )
        self.evolution = AttentionalGRU(width, dtype=self.dtype_policy, name="evolution")
        build_sublayer(self.evolution, {**shapes, "attention": (batch, time)})
        super().build(input_shape)

    def before_target(self, inputs: dict[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        """Returns the states of the extractor, which do not depend on the target: `"interests"`."""
        return {"interests": self.extractor({"sequence": inputs["sequence"], "lengths": inputs["lengths"]})}

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        events, lengths = read_history(inputs["sequence"], inputs["lengths"])
        given = inputs if "interests" in inputs else self.before_target(inputs)
        interests = read_history(given["interests"], lengths)[0]
        if training and self.auxiliary_weight:
            self.add_loss(self.auxiliary_weight * next_event_loss(interests, events, lengths))
        query = project(inputs["target"], ops.transpose(ops.convert_to_tensor(self.attention_kernel)))
        scores = ops.squeeze(wide(ops.matmul(interests, ops.expand_dims(query, 2))), axis=2)  # [B, T]
        weights = masked_softmax(scores, lengths)
        record(self, weights[:, None, None, :])
        return self.evolution({"sequence": interests, "lengths": lengths, "attention": weights})[:, -1]

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, _, width = check_target(input_shape)
        return batch, width

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "auxiliary_weight": self.auxiliary_weight}
