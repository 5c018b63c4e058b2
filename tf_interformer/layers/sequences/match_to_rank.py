"""Matching inside ranking: DMR."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_positive,
    project,
    read_history,
    valid_positions,
    wide,
)
from tf_interformer.layers.mlp import MLP
from tf_interformer.layers.recent_tokens import RecentTokens
from tf_interformer.layers.sequences._common import check_target, check_weight, masked_softmax, weighted_sum
from tf_interformer.layers.sequences.recency_positions import RecencyPositions


@register
class MatchToRank(keras.layers.Layer):
    """User-to-item and item-to-item networks of DMR.

    User to item: `u = g(sum_t softmax_t(z^T tanh(W_p p_t + W_e s_t + b)) s_t)`, relevance `r = u^T v`.
    Item to item: `b_t = z'^T tanh(W_c e + W'_p p_t + W'_e s_t + b')`, relevance `r' = sum_t b_t`, interest
    `u' = sum_t softmax_t(b_t) s_t`. The output is `[u' || r || r']`.

    In training an auxiliary loss lets the u of all events but the last match that last event rather than a wrong one.

    Printed: all of this. Ours: the target's output vector is a map of its embedding, `v = e W_v`, where the paper has
    a second table; positions are counted from the latest event; one wrong event, that of another row of the batch;
    u has a Swish activation.

    Args:
        attention_dim: int or `None`. Width of the hidden vectors; `None` means that of an event. Defaults to `None`.
        auxiliary_weight: float. Weight of the auxiliary loss; 0 for none. Defaults to `0.1`.
        max_positions: int. See `RecencyPositions`. Defaults to `128`.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch], "target": [batch, dim]}`. Padding may hold anything.
    Output shape: `[batch, dim + 2]`.

    Raises:
        ValueError: If an argument is out of range or the target is not as wide as an event.

    Example:

    >>> MatchToRank()({
    ...     "sequence": np.ones((3, 50, 16), "float32"),
    ...     "lengths": np.array([0, 7, 50]),
    ...     "target": np.ones((3, 16), "float32"),
    ... }).shape
    TensorShape([3, 18])

    Reference:
        [Deep Match to Rank, AAAI 2020](https://doi.org/10.1609/aaai.v34i01.5346)
    """

    def __init__(
        self,
        attention_dim: int | None = None,
        auxiliary_weight: float = 0.1,
        max_positions: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.attention_dim = None if attention_dim is None else check_positive("attention_dim", attention_dim)
        self.auxiliary_weight = check_weight("auxiliary_weight", auxiliary_weight)
        self.max_positions = check_positive("max_positions", max_positions)

    def build(self, input_shape: Any) -> None:
        batch, time, width = check_target(input_shape)
        policy, hidden = self.dtype_policy, self.attention_dim or width
        shapes = {"sequence": (batch, time, width), "lengths": (batch,)}
        self.positions = RecencyPositions(width, self.max_positions, dtype=policy, name="positions")
        build_sublayer(self.positions, shapes)
        # Both networks see [s_t || p_t], so their products are one.
        self.event_kernel = self.add_weight(
            name="event_kernel", shape=(2 * width, 2 * hidden), initializer="glorot_uniform"
        )
        self.event_bias = self.add_weight(name="event_bias", shape=(2 * hidden,), initializer="zeros")
        self.target_kernel = self.add_weight(name="target_kernel", shape=(width, hidden), initializer="glorot_uniform")
        self.user_query = self.add_weight(name="user_query", shape=(hidden, 1), initializer="glorot_uniform")
        self.item_query = self.add_weight(name="item_query", shape=(hidden, 1), initializer="glorot_uniform")
        self.output_item_kernel = self.add_weight(
            name="output_item_kernel", shape=(width, width), initializer="glorot_uniform"
        )
        self.user_mlp = MLP((width,), final_activation="swish", dtype=policy, name="user_mlp")
        build_sublayer(self.user_mlp, (batch, width))
        self.latest = RecentTokens(1, dtype=policy, name="latest")
        build_sublayer(self.latest, shapes)
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> Tensor:
        events, lengths = read_history(inputs["sequence"], inputs["lengths"])
        positions = self.positions({"sequence": events, "lengths": lengths})
        hidden = project(ops.concatenate([events, positions], axis=-1), self.event_kernel)
        hidden = hidden + ops.cast(self.event_bias, hidden.dtype)
        for_user, for_item = ops.split(hidden, 2, axis=-1)

        user_scores = _scores(for_user, self.user_query)
        user = self.user_mlp(weighted_sum(masked_softmax(user_scores, lengths), events))
        if training and self.auxiliary_weight:
            self.add_loss(self.auxiliary_weight * self._matching_loss(user_scores, events, lengths))
        user_relevance = _product(user, project(inputs["target"], self.output_item_kernel))

        target = ops.expand_dims(project(inputs["target"], self.target_kernel), 1)
        item_scores = _scores(for_item + target, self.item_query)
        interest = weighted_sum(masked_softmax(item_scores, lengths), events)
        valid = ops.cast(valid_positions(lengths, ops.shape(events)[1]), item_scores.dtype)
        item_relevance = ops.sum(item_scores * valid, axis=1, keepdims=True)
        relevances = ops.concatenate([user_relevance, item_relevance], axis=1)
        return ops.concatenate([interest, ops.cast(relevances, interest.dtype)], axis=1)

    def _matching_loss(self, scores: Tensor, events: Tensor, lengths: Tensor) -> Tensor:
        """Mean over the histories of two events or more."""
        user = self.user_mlp(weighted_sum(masked_softmax(scores, lengths - 1), events))
        last = ops.squeeze(self.latest({"sequence": events, "lengths": lengths}), axis=1)
        item = project(last, self.output_item_kernel)
        right = _product(user, item)
        wrong = _product(user, ops.roll(item, 1, axis=0))
        valid = ops.cast(lengths > 1, right.dtype)[:, None]
        negative = valid * ops.roll(ops.cast(lengths > 0, right.dtype)[:, None], 1, axis=0)
        total = ops.sum(ops.softplus(-right) * valid) + ops.sum(ops.softplus(wrong) * negative)
        return total / ops.maximum(ops.sum(valid), 1.0)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, _, width = check_target(input_shape)
        return batch, width + 2

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "attention_dim": self.attention_dim,
            "auxiliary_weight": self.auxiliary_weight,
            "max_positions": self.max_positions,
        }


def _scores(hidden: Tensor, query: Any) -> Tensor:
    return ops.squeeze(wide(project(ops.tanh(hidden), query)), axis=-1)


def _product(a: Tensor, b: Tensor) -> Tensor:
    return ops.sum(wide(a) * wide(b), axis=1, keepdims=True)
