"""One layer of InterFormer."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Tensor,
    build_sublayer,
    histories_read,
    read_history,
    sequence_shape,
    tokens_shape,
)
from tf_interformer.layers._copies import config_of, copy_of
from tf_interformer.layers.cross_arch import CrossArch
from tf_interformer.layers.interaction_arch import InteractionArch
from tf_interformer.layers.sequence_arch import SequenceArch


@register
class InterFormerBlock(keras.layers.Layer):
    """One layer of InterFormer: both sides are summarised, and each changes by the other's summary (Algorithm 1).

        X_sum, S_sum = CrossArch(X, S)
        X' = InteractionArch([X || S_sum])
        S' = SequenceArch(X_sum, [S_CLS || S])

    What flows is what the arches are made for: without a Cross Arch, or with one that makes only one of the summaries,
    the other side sees nothing of it.

    Args:
        cross_arch: `CrossArch`, of which a copy is taken, its Keras config, or `None` where nothing is exchanged.
        interaction_arch: `InteractionArch`, likewise.
        sequence_arch: `SequenceArch`, likewise. Its `num_cls_tokens` are those that the block keeps.

    Input: `{"features": [batch, N, dim], "sequence": [batch, time, dim], "lengths": [batch], "cls": [batch, C, dim],
    "target": [batch, any], "ids": [batch, n], "positions": [batch, time]}`, of which the first three are needed. The
    sequence holds the behaviours, `"positions"` say where they stand, for a Sequence Arch that asks.
    Without `"cls"` the CLS tokens are `X_sum`, as in the first layer. `"target"` is the candidate, for the Cross Arch,
    `"ids"` are those of the features, for an interaction that needs them.
    Output: the same dict, with the features, the sequence and the CLS tokens that the layer makes, and what it told of
    the sequence and of the features as `"summary"` and `"feature_summary"`; lengths are within the events. It is the
    next block's input. What stands at padded positions has no meaning.

    Raises:
        ValueError: The Sequence Arch needs a summary of the features that nothing makes.

    Example:

    >>> block = InterFormerBlock(CrossArch(num_heads=2), InteractionArch("dhen"), SequenceArch(num_heads=2))
    >>> state = block({
    ...     "features": np.ones((3, 20, 16), "float32"),
    ...     "sequence": np.ones((3, 50, 16), "float32"),
    ...     "lengths": np.array([0, 7, 50]),
    ... })
    >>> state["features"].shape, state["sequence"].shape
    (TensorShape([3, 20, 16]), TensorShape([3, 50, 16]))

    Reference:
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
    """

    def __init__(self, cross_arch: Any, interaction_arch: Any, sequence_arch: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cross_arch: CrossArch | None = copy_of(cross_arch, self.dtype_policy)
        self.interaction_arch: InteractionArch = copy_of(interaction_arch, self.dtype_policy)
        self.sequence_arch: SequenceArch = copy_of(sequence_arch, self.dtype_policy)

    @property
    def _num_cls(self) -> int:
        return self.sequence_arch.num_cls_tokens

    def build(self, input_shape: Any) -> None:
        batch, _, width = tokens_shape(input_shape["features"])
        _, time, _ = sequence_shape(input_shape["sequence"])
        summaries: dict[str, Any] = {}
        if self.cross_arch is not None:
            build_sublayer(self.cross_arch, input_shape)
            summaries = self.cross_arch.compute_output_shape(input_shape)
        if "features" not in summaries and (
            self.sequence_arch.needs_summary or (self._num_cls and "cls" not in input_shape)
        ):
            raise ValueError(
                "The Sequence Arch's PFFN, and CLS tokens that are not among the inputs, are made of a summary of the "
                f"features. Received: a Cross Arch that makes {sorted(summaries) or 'none'}"
            )
        shapes = {"features": input_shape["features"]}
        if "sequence" in summaries:
            shapes["summary"] = summaries["sequence"]
        build_sublayer(self.interaction_arch, shapes)
        joined = (batch, None if time is None else time + self._num_cls, width)
        shapes = {"sequence": joined, "lengths": input_shape["lengths"]}
        if self.sequence_arch.needs_summary:
            shapes["summary"] = summaries["features"]
        build_sublayer(self.sequence_arch, shapes)
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor], training: bool | None = None) -> dict[str, Tensor]:
        sequence, lengths = read_history(inputs["sequence"], inputs["lengths"])
        state = {**inputs, "sequence": sequence, "lengths": lengths}
        with histories_read():
            summaries = {} if self.cross_arch is None else self.cross_arch(state)
            if self._num_cls:
                state.setdefault("cls", summaries.get("features"))
            x: dict[str, Tensor] = {key: state[key] for key in ("features", "ids") if key in state}
            if "sequence" in summaries:
                x["summary"] = state["summary"] = summaries["sequence"]
            if "features" in summaries:
                state["feature_summary"] = summaries["features"]
            s = {"sequence": sequence, "lengths": lengths}
            if "positions" in state:
                s["positions"] = state["positions"]
            if self._num_cls:
                s["sequence"] = ops.concatenate([state["cls"], sequence], axis=1)
            if self.sequence_arch.needs_summary:
                s["summary"] = summaries["features"]
            state["features"] = self.interaction_arch(x, training=training)
            sequence = self.sequence_arch(s, training=training)
        if self._num_cls:
            # The reshape tells a graph with histories of unknown length how many CLS tokens there are.
            state["cls"] = ops.reshape(sequence[:, : self._num_cls], (-1, self._num_cls, sequence.shape[-1]))
            sequence = sequence[:, self._num_cls :]
        return {**state, "sequence": sequence}

    def compute_output_shape(self, input_shape: Any) -> dict[str, Any]:
        made = dict(input_shape)
        if self.cross_arch is not None:
            summaries = self.cross_arch.compute_output_shape(input_shape)
            names = {"sequence": "summary", "features": "feature_summary"}
            made |= {names[side]: shape for side, shape in summaries.items()}
        batch, _, width = tokens_shape(input_shape["features"])
        return {**made, "cls": (batch, self._num_cls, width)} if self._num_cls else made

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "cross_arch": config_of(self.cross_arch),
            "interaction_arch": config_of(self.interaction_arch),
            "sequence_arch": config_of(self.sequence_arch),
        }
