"""The summaries that the two other arches exchange."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.layers._common import (
    Tensor,
    build_sublayer,
    check_choice,
    check_positive,
    check_units,
    histories_read,
    masked_mean,
    read_history,
    sequence_shape,
    shape_of,
    tokens_shape,
    valid_positions,
    zero_where_not,
)
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers.gating import ACTIVATIONS, Gating
from tf_interformer.layers.linear_compression import LinearCompression
from tf_interformer.layers.multi_head_attention import MultiHeadAttention
from tf_interformer.layers.pooling_by_attention import PoolingByAttention
from tf_interformer.layers.recent_tokens import RecentTokens
from tf_interformer.layers.target_pooling import TargetPooling

AGGREGATIONS = ("selective", "average", "mlp", "mha")


@register
class CrossArch(WithSoftNorms):
    """Cross Arch of InterFormer: selective summaries of the features and of the sequence (Eqs. 10 and 11).

    `X_sum = Gating(LCE(X))`, `S_sum = Gating([S_CLS || S_PMA || S_recent])`. PMA and the recent tokens see
    behaviours only, not the CLS tokens. Ours: with `num_target_tokens` S_sum also holds what the candidate asks of the
    events (`TargetPooling`).

    The other aggregations of the paper's ablation (Figure 3) replace the selection of `S_sum`. The paper does not
    define them; here `"average"` is the mean of the events, `"mlp"` mixes all positions linearly into as many
    tokens as the selection would have, and `"mha"` is the mean of a self-attention over the events.

    Args:
        num_summary_tokens: int. Tokens of `X_sum`. Defaults to `4`.
        num_pma_tokens: int. Seeds of the pooling by attention; 0 leaves it out. Defaults to `2`.
        num_recent_tokens: int. Most recent events; 0 leaves them out. Defaults to `2`.
        num_target_tokens: int. Queries that the candidate makes, each a token; the paper has none. Defaults to `0`.
        num_heads: int. Heads of the attentions; must divide the width of the sequence. Defaults to `4`.
        gating: str or `None`. Activation of the gates, see `Gating`; `None` leaves them out. Defaults to
            `"identity"`.
        gating_units: list of int. Hidden layers of the gates. Defaults to `()`.
        cls_tokens: bool. Whether `S_sum` holds the CLS tokens. Defaults to `True`.
        aggregation: str. `"selective"`, `"average"`, `"mlp"` or `"mha"`. Defaults to `"selective"`.
        summarize_features: bool. Whether to make `X_sum`. Defaults to `True`.
        summarize_sequence: bool. Whether to make `S_sum`. Defaults to `True`.
        normalize: bool. Normalise the tokens before the gates. The paper does not. Defaults to `True`.
        norm_epsilon: float. What these norms add to the variance, see `Backbone`. Defaults to `1.0`.

    Input: `{"features": [batch, N, dim], "sequence": [batch, time, dim], "lengths": [batch], "cls": [batch, C,
    dim], "target": [batch, any]}`. The sequence holds the behaviours. Without `"cls"` the CLS tokens are `X_sum`
    itself, as before the first layer. `"target"` is the candidate, for its queries.
    Output: `{"features": X_sum, "sequence": S_sum}`, or the one of the two that is asked for.

    Raises:
        ValueError: If an argument is out of range, nothing is left to make, or an input is missing.

    Example:

    >>> summaries = CrossArch(num_heads=2)({
    ...     "features": np.ones((3, 20, 16), "float32"),
    ...     "sequence": np.ones((3, 50, 16), "float32"),
    ...     "lengths": np.array([0, 7, 50]),
    ... })
    >>> summaries["features"].shape, summaries["sequence"].shape
    (TensorShape([3, 4, 16]), TensorShape([3, 8, 16]))

    Reference:
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
    """

    def __init__(
        self,
        num_summary_tokens: int = 4,
        num_pma_tokens: int = 2,
        num_recent_tokens: int = 2,
        num_target_tokens: int = 0,
        num_heads: int = 4,
        gating: str | None = "identity",
        gating_units: Sequence[int] = (),
        cls_tokens: bool = True,
        aggregation: str = "selective",
        summarize_features: bool = True,
        summarize_sequence: bool = True,
        normalize: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_summary_tokens = check_positive("num_summary_tokens", num_summary_tokens)
        self.num_pma_tokens = check_positive("num_pma_tokens", num_pma_tokens, minimum=0)
        self.num_recent_tokens = check_positive("num_recent_tokens", num_recent_tokens, minimum=0)
        self.num_target_tokens = check_positive("num_target_tokens", num_target_tokens, minimum=0)
        self.num_heads = check_positive("num_heads", num_heads)
        self.gating = check_choice("gating", gating, (*ACTIVATIONS, None))
        self.gating_units = check_units("gating_units", gating_units)
        self.cls_tokens = cls_tokens
        self.aggregation = check_choice("aggregation", aggregation, AGGREGATIONS)
        self.summarize_features = summarize_features
        self.summarize_sequence = summarize_sequence
        self.normalize = normalize
        if not (summarize_features or summarize_sequence):
            raise ValueError(
                "At least one of `summarize_features` and `summarize_sequence` must be true. Received: neither"
            )
        if aggregation in ("selective", "mlp") and not (cls_tokens or self._num_own_tokens):
            raise ValueError(
                "At least one of `cls_tokens`, `num_pma_tokens`, `num_recent_tokens` and `num_target_tokens` must be "
                "set. Received: none"
            )

    @property
    def _num_own_tokens(self) -> int:
        return self.num_pma_tokens + self.num_recent_tokens + self.num_target_tokens

    def build(self, input_shape: Any) -> None:
        if self.summarize_features:
            shape = tokens_shape(input_shape["features"])
            self.compression = self._add(
                LinearCompression(self.num_summary_tokens, dtype=self.dtype_policy, name="compression"), shape
            )
            self._build_norm_and_gate("feature", (shape[0], self.num_summary_tokens, shape[2]))
        if self.summarize_sequence:
            self._build_aggregation(input_shape)
            self._build_norm_and_gate("sequence", self._sequence_summary_shape(input_shape))
        super().build(input_shape)

    def _add(self, layer: Any, input_shape: Any) -> Any:
        build_sublayer(layer, input_shape)
        return layer

    def _build_norm_and_gate(self, kind: str, shape: Any) -> None:
        if self.normalize:
            norm = self._add(self.make_norm(f"{kind}_norm"), shape)
            setattr(self, f"{kind}_norm", norm)
        if self.gating is not None:
            gate = Gating(self.gating, self.gating_units, dtype=self.dtype_policy, name=f"{kind}_gate")
            setattr(self, f"{kind}_gate", self._add(gate, shape))

    def _build_aggregation(self, input_shape: Any) -> None:
        shape = sequence_shape(input_shape["sequence"])
        history = {"sequence": shape, "lengths": (shape[0],)}
        policy = self.dtype_policy
        if self.aggregation == "selective":
            if self.num_pma_tokens:
                pma = PoolingByAttention(self.num_pma_tokens, self.num_heads, dtype=policy, name="pma")
                self.pma = self._add(pma, history)
            if self.num_recent_tokens:
                self.recent = self._add(RecentTokens(self.num_recent_tokens, dtype=policy, name="recent"), history)
            if self.num_target_tokens:
                target = TargetPooling(self.num_target_tokens, self.num_heads, dtype=policy, name="target")
                self.target = self._add(target, {**history, "target": input_shape["target"]})
            if self.cls_tokens and "cls" not in input_shape and not self.summarize_features:
                raise ValueError('`cls_tokens` needs "cls" among the inputs or `summarize_features`. Received: neither')
        elif self.aggregation == "mha":
            attention = MultiHeadAttention(self.num_heads, rotary=False, dtype=policy, name="attention")
            self.attention = self._add(attention, {"sequence": shape, "mask": shape[:2]})
        elif self.aggregation == "mlp":
            if shape[1] is None:
                raise ValueError(f'`aggregation="mlp"` needs sequences of known length. Received: shape {shape}')
            tokens = self._sequence_summary_shape(input_shape)[1]
            self.mixing = self._add(LinearCompression(tokens, dtype=policy, name="mixing"), shape)

    def call(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        summaries = {}
        if self.summarize_features:
            summaries["features"] = self._norm_and_gate("feature", self.compression(inputs["features"]))
        if self.summarize_sequence:
            tokens = self._aggregate(inputs, summaries.get("features"))
            summaries["sequence"] = self._norm_and_gate("sequence", tokens)
        return summaries

    def _norm_and_gate(self, kind: str, tokens: Tensor) -> Tensor:
        if self.normalize:
            tokens = getattr(self, f"{kind}_norm")(tokens)
        if self.gating is not None:
            tokens = getattr(self, f"{kind}_gate")(tokens)
        return tokens

    def _aggregate(self, inputs: dict[str, Tensor], summary: Tensor | None) -> Tensor:
        sequence, lengths = read_history(inputs["sequence"], inputs["lengths"])
        if self.aggregation == "average":
            return ops.expand_dims(masked_mean(sequence, lengths), 1)
        if self.aggregation == "mlp":
            # Padding that blocks have filled, too
            return self.mixing(zero_where_not(valid_positions(lengths, ops.shape(sequence)[1]), sequence))
        with histories_read():
            if self.aggregation == "mha":
                valid = valid_positions(lengths, ops.shape(sequence)[1])
                attended = self.attention({"sequence": sequence, "mask": valid})
                return ops.expand_dims(masked_mean(attended, lengths), 1)
            history = {"sequence": sequence, "lengths": lengths}
            parts = []
            if self.cls_tokens:
                parts.append(inputs.get("cls", summary))
            if self.num_pma_tokens:
                parts.append(self.pma(history))
            if self.num_recent_tokens:
                parts.append(self.recent(history))
            if self.num_target_tokens:
                parts.append(self.target({**history, "target": inputs["target"]}))
        return ops.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]

    def _sequence_summary_shape(self, input_shape: Any) -> tuple[Any, int, Any]:
        batch, _, width = sequence_shape(input_shape["sequence"])
        if self.aggregation in ("average", "mha"):
            return (batch, 1, width)
        tokens = self._num_own_tokens
        if self.cls_tokens:
            tokens += (shape_of(input_shape["cls"])[1] or 0) if "cls" in input_shape else self.num_summary_tokens
        return (batch, tokens, width)

    def compute_output_shape(self, input_shape: Any) -> dict[str, Any]:
        shapes = {}
        if self.summarize_features:
            batch, _, width = tokens_shape(input_shape["features"])
            shapes["features"] = (batch, self.num_summary_tokens, width)
        if self.summarize_sequence:
            shapes["sequence"] = self._sequence_summary_shape(input_shape)
        return shapes

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_summary_tokens": self.num_summary_tokens,
            "num_pma_tokens": self.num_pma_tokens,
            "num_recent_tokens": self.num_recent_tokens,
            "num_target_tokens": self.num_target_tokens,
            "num_heads": self.num_heads,
            "gating": self.gating,
            "gating_units": list(self.gating_units),
            "cls_tokens": self.cls_tokens,
            "aggregation": self.aggregation,
            "summarize_features": self.summarize_features,
            "summarize_sequence": self.summarize_sequence,
            "normalize": self.normalize,
        }
