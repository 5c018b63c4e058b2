"""InterFormer."""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.backbones._interformer_plan import InterFormerPlan
from tf_interformer.backbones._request_form import RequestForm, chosen
from tf_interformer.backbones._targets import Targets
from tf_interformer.backbones.base import Backbone, State, sequences_of
from tf_interformer.layers import interactions
from tf_interformer.layers._alignment import ALIGNMENTS, merged_ages
from tf_interformer.layers._common import (
    Tensor,
    build_sublayer,
    check_choice,
    check_positive,
    check_rate,
    check_ratio,
    check_units,
    histories_read,
    rows_of,
    shape_of,
    stack_tokens,
    tokens_shape,
)
from tf_interformer.layers._shared_tokens import SharedTokens
from tf_interformer.layers._token_norm import EPSILON, SOFT_EPSILON
from tf_interformer.layers.cross_arch import AGGREGATIONS, CrossArch
from tf_interformer.layers.gating import ACTIVATIONS
from tf_interformer.layers.interaction_arch import InteractionArch
from tf_interformer.layers.interformer_block import InterFormerBlock
from tf_interformer.layers.masknet_merge import MaskNetMerge
from tf_interformer.layers.multi_head_attention import check_heads
from tf_interformer.layers.personalized_ffn import MODES
from tf_interformer.layers.sequence_arch import ROTARY, SequenceArch
from tf_interformer.layers.sequence_pooling import SequencePooling
from tf_interformer.tokens import Tokens

FLOWS = ("both", "n2s", "s2n", "sep", "sole")
FINAL_FEATURES = ("tokens", "summary")
FINAL_SUMMARIES = ("recompute", "algorithm1")
CANDIDATE_FLOWS = ("printed", "request")


@register
class InterFormer(RequestForm, Targets, Backbone):
    """InterFormer: features and behaviours interact layer by layer (arXiv 2411.09852, Algorithm 1).

    The sequences are merged into one (`MaskNetMerge`). The first summary of the features is put in front of it as
    CLS tokens. Each layer then summarises both sides (`CrossArch`), lets the features interact with the summary of
    the sequence (`InteractionArch`) and the sequence with that of the features (`SequenceArch`). As printed, the
    representation is the last two summaries, flattened: `[X_sum || S_sum]`.

    What the paper leaves open is an argument here. By default the arches have residual connections and, where they
    join and where tokens enter, soft norms, which keep the scale of a quiet token; gates, personalized FFN and
    Interaction Arch start near the identity; positions count back from the last event; the candidate asks the history
    questions of its own; and the head sees the feature tokens themselves: `[X || S_sum]`. All of this is ours, since as
    printed the products of many layers shrink or explode. `faithful=True` is the printed form, without any of these
    (DHEN keeps the norm of its own equation).

    Read literally, Algorithm 1 feeds the head with summaries made *before* the last layer's Interaction and
    Sequence Arch, which then have no effect. `final_summary="recompute"` makes the summaries once more after the
    last layer; `"algorithm1"` is the literal reading and does not create the last layer's two arches.

    With `candidate_flow="request"` the flow is

        user's side       X_u --> X_sum --> S     once for a user, whoever the candidates are
                          X_u <-- S_sum <-- S
        candidate's side  X_c <-- [X_sum || S_sum || P],  P = TargetPooling(x_c, S)     for each candidate

    in each layer, and the representation is `[X_c || P || X_sum || S_sum]` behind the last. As in the paper, the sides
    meet through summaries. What a schema's `match` or `distance` tells of each event is seen by `P` alone, for
    which it changes the event (`ComparedEvents`). Without user tokens the mean of the events is one.

    No variant creates a weight that cannot learn.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. The paper's industrial model has 3. Defaults to `2`.
        interaction: str, dict or layer. What the Interaction Arch holds, see `interactions.get`. Defaults to `"dhen"`,
            as in the paper's experiments. One layer of `"vector_cross"` costs less; it was a little better on
            KuaiRand-Pure, a little worse on trivago, and worse on Globo's log.
        interaction_config: dict or `None`. Arguments for an interaction given by name. Defaults to `None`.
        interaction_mlp: str. `"flatten"` or `"lce"`, see `InteractionArch`. Defaults to `"flatten"`.
        interaction_mlp_units: list of int. Hidden layers of the Interaction Arch's MLP. Defaults to `()`.
        num_summary_tokens: int. Tokens of `X_sum`, and so of CLS tokens. Defaults to `4`.
        num_pma_tokens: int. Defaults to `2`.
        num_recent_tokens: int. Defaults to `2`.
        num_target_tokens: int. Tokens of what the candidate asks of the history, beside CLS, PMA and recent ones; ours.
            They need `targets`. Defaults to `2`.
        targets: dict or `None`. Name of a sequence -> for each field of its events the index of the feature token that
            shares its table, -1 where there is none: together the candidate's tokens, of which its questions are made.
            A `Ranker` that makes the backbone by name fills it in. Without there are no target tokens. Defaults to
            `None`.
        num_heads: int. Must divide the embedding width. Defaults to `2`.
        gating: str or `None`. `"identity"`, `"tanh"`, `"sigmoid"`, `"glu"`; `None` for no gates. Defaults to
            `"identity"`.
        gating_units: list of int. Hidden layers of the gates. Defaults to `()`.
        personalized_ffn: str or `None`. `"linear"`, `"two_layer"`, `"plain"` (not personalised) or `None` for
            none. Defaults to `"linear"`.
        ffn_hidden_dim: int or `None`. Hidden width of the forms that have one. Defaults to `None`.
        attention: bool. Whether the Sequence Arch has an attention. Defaults to `True`.
        cls_tokens: bool. Whether there are CLS tokens. Defaults to `True`.
        rotary: str or `None`. From where positions count: `"recent"`, `"joint"` or `"behaviours"`, see `SequenceArch`.
            `"time"`, ours: events stand where the logarithm of their age has them, so that what counts is how many
            times as old one is as another; every sequence must say how old its events are, `Sequence(age=...)`, and
            of sequences merged to one the youngest event counts. Defaults to `"recent"`.
        information_flow: str. `"both"`; `"n2s"`: the interaction does not see the sequence; `"s2n"`: the sequence
            does not see the features (no CLS, a plain FFN); `"sep"`: neither; `"sole"`: no Sequence Arch, each
            sequence is averaged to one more token of the features, and `S_sum` is left out. Defaults to `"both"`.
        aggregation: str. How the sequence is summarised, see `CrossArch`. Defaults to `"selective"`.
        final_features: str. What of the features the representation holds: `"summary"`, X_sum, as printed, or
            `"tokens"`, the last layer's feature tokens themselves: through a few summary tokens little of the candidate
            reaches the head. Defaults to `"tokens"`.
        final_summary: str. `"recompute"` or `"algorithm1"`. Defaults to `"recompute"`.
        sequence_alignment: str. `"oldest"` or `"recent"`, see `MaskNetMerge`. Defaults to `"recent"`.
        sequence_mask_ratio: float or `None`. Width of the merging mask's hidden layer relative to its input;
            `None` for no mask. Defaults to `1.0`.
        dropout: float. Rate in the Interaction and the Sequence Arch. Defaults to `0.0`.
        faithful: bool. As printed: no residuals, no norms, no target tokens, and the representation is
            `[X_sum || S_sum]`, whatever the other arguments say. Defaults to `False`.
        candidate_flow: str. `"printed"`: the candidate's tokens are among the features, and flow into the sequence; so
            all is computed anew for each candidate. `"request"`, ours: the user's and the context's tokens and the
            sequence form a side of their own, which never sees the candidate and is computed once for all candidates of
            a request. In each layer the candidate's tokens see the summaries of that side and what their own questions
            find in the events, see below. Defaults to `"printed"`.
        candidate_tokens: list of int. With `"request"`: which of the feature tokens are the candidate's. A `Ranker`
            that makes the backbone by name fills it in from the schema. Defaults to none.
        user_tokens: str. With `"request"`: what the candidate's side sees of the user's tokens, `"summary"`, X_sum, or
            `"tokens"`, all of them, for which each candidate pays. Defaults to `"summary"`.
        **kwargs: `norm_epsilon`, as `Backbone` has it; with `faithful` it defaults to `1e-5`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`, and
    what else `Tokens` names in the request form. Histories are oldest first and padded on the right; padding may hold
    anything, even NaN. Without sequences the model is that of `"sole"`.
    Output: `{task: [batch, tokens * dim]}`.

    Raises:
        ValueError: If an argument is out of range or several do not go together; the message names them.

    Example:

    >>> interformer = InterFormer(tasks=["click"])
    >>> interformer({
    ...     "features": np.ones((3, 20, 16), "float32"),
    ...     "sequences": {"views": np.ones((3, 50, 48), "float32")},
    ...     "lengths": {"views": np.array([0, 7, 50])},
    ... })["click"].shape
    TensorShape([3, 448])

    Reference:
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        num_layers: int = 2,
        interaction: Any = "dhen",
        interaction_config: dict[str, Any] | None = None,
        interaction_mlp: str = "flatten",
        interaction_mlp_units: Sequence[int] = (),
        num_summary_tokens: int = 4,
        num_pma_tokens: int = 2,
        num_recent_tokens: int = 2,
        num_target_tokens: int = 2,
        targets: Mapping[str, Sequence[int]] | None = None,
        num_heads: int = 2,
        gating: str | None = "identity",
        gating_units: Sequence[int] = (),
        personalized_ffn: str | None = "linear",
        ffn_hidden_dim: int | None = None,
        attention: bool = True,
        cls_tokens: bool = True,
        rotary: str | None = "recent",
        information_flow: str = "both",
        aggregation: str = "selective",
        final_features: str = "tokens",
        final_summary: str = "recompute",
        sequence_alignment: str = "recent",
        sequence_mask_ratio: float | None = 1.0,
        dropout: float = 0.0,
        faithful: bool = False,
        candidate_flow: str = "printed",
        candidate_tokens: Sequence[int] = (),
        user_tokens: str = "summary",
        **kwargs: Any,
    ) -> None:
        # DHEN's own norm is printed, and so not soft.
        kwargs.setdefault("norm_epsilon", EPSILON if faithful else SOFT_EPSILON)
        super().__init__(tasks=tasks, **kwargs)
        self.num_layers = check_positive("num_layers", num_layers)
        # As text, because tf_keras would wrap a dict into something that no longer serialises.
        self._interaction = json.dumps(interactions.identifier_of(interaction, interaction_config))
        self._interaction_config = json.dumps(interaction_config)
        self.interaction_mlp = check_choice("interaction_mlp", interaction_mlp, ("flatten", "lce"))
        self.interaction_mlp_units = check_units("interaction_mlp_units", interaction_mlp_units)
        self.num_summary_tokens = check_positive("num_summary_tokens", num_summary_tokens)
        self.num_pma_tokens = check_positive("num_pma_tokens", num_pma_tokens, minimum=0)
        self.num_recent_tokens = check_positive("num_recent_tokens", num_recent_tokens, minimum=0)
        self.num_target_tokens = check_positive("num_target_tokens", num_target_tokens, minimum=0)
        self.keep_targets(targets)
        self.num_heads = check_positive("num_heads", num_heads)
        self.gating = check_choice("gating", gating, (*ACTIVATIONS, None))
        self.gating_units = check_units("gating_units", gating_units)
        self.personalized_ffn = check_choice("personalized_ffn", personalized_ffn, (*MODES, None))
        self.ffn_hidden_dim = None if ffn_hidden_dim is None else check_positive("ffn_hidden_dim", ffn_hidden_dim)
        self.attention = attention
        self.cls_tokens = cls_tokens
        self.rotary = check_choice("rotary", rotary, ROTARY)
        self.information_flow = check_choice("information_flow", information_flow, FLOWS)
        self.aggregation = check_choice("aggregation", aggregation, AGGREGATIONS)
        self.final_features = check_choice("final_features", final_features, FINAL_FEATURES)
        self.final_summary = check_choice("final_summary", final_summary, FINAL_SUMMARIES)
        self.sequence_alignment = check_choice("sequence_alignment", sequence_alignment, ALIGNMENTS)
        self.sequence_mask_ratio = check_ratio("sequence_mask_ratio", sequence_mask_ratio)
        self.dropout = check_rate("dropout", dropout)
        self.faithful = faithful
        self.candidate_flow = check_choice("candidate_flow", candidate_flow, CANDIDATE_FLOWS)
        self.candidate_tokens = tuple(check_positive("candidate_tokens", i, minimum=0) for i in candidate_tokens)
        self.user_tokens = check_choice("user_tokens", user_tokens, FINAL_FEATURES)
        if candidate_flow == "request":
            self._check_request()
        self._plan = InterFormerPlan.of(self)

    def build(self, input_shape: Any) -> None:
        sequences = input_shape["sequences"]
        self._has_sequence_arch = bool(sequences) and self.information_flow != "sole"
        if self._has_sequence_arch:
            self._build_interleaved(input_shape)
        else:
            self._build_sole(input_shape)
        super().build(input_shape)

    def _add(self, layer: Any, input_shape: Any) -> Any:
        build_sublayer(layer, input_shape)
        return layer

    def _build_sole(self, input_shape: Any) -> None:
        batch, tokens, width = _features_shape(input_shape)
        self.early_aggregation = None
        if input_shape["sequences"]:
            self.early_aggregation = SequencePooling(width, dtype=self.dtype_policy, name="early_aggregation")
            raw = sequences_of(input_shape)
            self._add(self.early_aggregation, raw)
            tokens += self.early_aggregation.compute_output_shape(raw)[1] or 0
        features = (batch, tokens, width)
        self._build_feature_norm(features)
        self.interaction_arches = [
            self._add(self._interaction_arch(i), {"features": features}) for i in range(self._plan.blocks)
        ]
        if not self._plan.keeps_tokens:
            final = self._cross_arch("final_cross_arch", features=True, sequence=False)
            self.final_cross_arch = self._add(final, {"features": features})

    def _build_interleaved(self, input_shape: Any) -> None:
        features = _features_shape(input_shape)
        batch, _, width = features
        check_heads(width, self.num_heads, self.attention and self.rotary is not None)
        merge = MaskNetMerge(
            width,
            mask_ratio=self.sequence_mask_ratio,
            alignment=self.sequence_alignment,
            dtype=self.dtype_policy,
            name="merge",
        )
        raw = sequences_of(input_shape)
        if self.attention and self.rotary == "time" and set(input_shape.get("ages", ())) != set(raw["sequences"]):
            without = sorted(set(raw["sequences"]) - set(input_shape.get("ages", ())))
            raise ValueError(
                '`rotary="time"` needs sequences that say how old their events are, `Sequence(age=...)`. '
                f"Received: {without} without"
            )
        self.merge = self._add(merge, raw)
        merged = self.merge.compute_output_shape(raw)
        behaviours, lengths = merged["sequence"], merged["lengths"]
        self._build_feature_norm(features)
        if not self.faithful:
            self.sequence_norm = self._add(self.make_norm("sequence_norm"), behaviours)

        self.check_target_features(features[1])
        if self._by_request:
            self._build_request(features, behaviours, input_shape.get("compared", {}))
            return
        state = {"features": features, "sequence": behaviours, "lengths": lengths}
        if self._plan.target_tokens:
            state["target"] = (batch, len(self.target_features) * width)
        # Saved models have their weights under these three names, so no other list that Keras sees may hold the arches.
        self.cross_arches = []
        self.interaction_arches = []
        self.sequence_arches = []
        self._stack: deque[InterFormerBlock] = deque()
        for i in range(self._plan.blocks):
            block = self._block(i)
            if block.cross_arch is not None:
                self.cross_arches.append(block.cross_arch)
            self.interaction_arches.append(block.interaction_arch)
            self.sequence_arches.append(block.sequence_arch)
            self._stack.append(self._add(block, state))
            state = block.compute_output_shape(state)
        final = self._cross_arch("final_cross_arch", self._plan.summarizes_features_at_the_end, True)
        self.final_cross_arch = self._add(final, state)

    @property
    def _by_request(self) -> bool:
        return self._has_sequence_arch and self.candidate_flow == "request"

    def _check_request(self) -> None:
        printed = {
            "information_flow": "both",
            "aggregation": "selective",
            "final_features": "tokens",
            "final_summary": "recompute",
            "faithful": False,
        }
        other = {name: getattr(self, name) for name, value in printed.items() if getattr(self, name) != value}
        if other:
            raise ValueError(
                f'These arguments have other values for `candidate_flow="printed"` alone. Received: {other}'
            )

    def _build_feature_norm(self, features: Any) -> None:
        if not self.faithful:
            self.feature_norm = self._add(self.make_norm("feature_norm"), features)

    @property
    def compiled_on_processors(self) -> bool:
        # On processors XLA makes products of many small matrices slowly: docs/speed.md has the figures.
        return not (self._has_sequence_arch and self.attention)

    @property
    def caches_users(self) -> bool:
        return self._by_request

    def _block(self, i: int) -> InterFormerBlock:
        plan = self._plan
        summarizes_features = (
            plan.to_ffn or (i == 0 and plan.cls_tokens > 0) or (self._by_request and self._tells_summaries)
        )
        cross = None
        if summarizes_features or plan.to_features:
            cross = self._cross_arch(f"cross_arch_{i}", summarizes_features, plan.to_features)
        arches = self._interaction_arch(i), self._sequence_arch(i)
        return InterFormerBlock(cross, *arches, dtype=self.dtype_policy, name=f"layer_{i}")

    def _cross_arch(self, name: str, features: bool, sequence: bool) -> CrossArch:
        return CrossArch(
            num_summary_tokens=self.num_summary_tokens,
            num_pma_tokens=self.num_pma_tokens,
            num_recent_tokens=self.num_recent_tokens,
            num_target_tokens=self._plan.target_tokens,
            num_heads=self.num_heads,
            gating=self.gating,
            gating_units=self.gating_units,
            cls_tokens=self._plan.cls_tokens > 0 or not sequence,
            aggregation=self.aggregation,
            summarize_features=features,
            summarize_sequence=sequence,
            normalize=not self.faithful,
            norm_epsilon=self.norm_epsilon,
            dtype=self.dtype_policy,
            name=name,
        )

    def _interaction_arch(self, i: int) -> InteractionArch:
        return InteractionArch(
            json.loads(self._interaction),
            json.loads(self._interaction_config),
            mlp=self.interaction_mlp,
            mlp_units=self.interaction_mlp_units,
            dropout=self.dropout,
            residual=not self.faithful,
            norm_epsilon=self.norm_epsilon,
            dtype=self.dtype_policy,
            name=f"interaction_arch_{i}",
        )

    def _sequence_arch(self, i: int) -> SequenceArch:
        return SequenceArch(
            personalized_ffn=self._plan.personalized_ffn,
            ffn_hidden_dim=self.ffn_hidden_dim,
            attention=self.attention,
            num_heads=self.num_heads,
            rotary=self.rotary,
            num_cls_tokens=self._plan.cls_tokens,
            dropout=self.dropout,
            residual=not self.faithful,
            norm_epsilon=self.norm_epsilon,
            dtype=self.dtype_policy,
            name=f"sequence_arch_{i}",
        )

    def user_side(self, tokens: Tokens, training: bool | None = None) -> State:
        if not self._has_sequence_arch:
            return {} if self.early_aggregation is None else {"pooled": self.early_aggregation(sequences_of(tokens))}
        merged = self.merge(sequences_of(tokens))
        if self.attention and self.rotary == "time":
            merged["positions"] = -merged_ages(tokens["ages"], tokens["lengths"], self.sequence_alignment)
        if not self.faithful:
            merged = {**merged, "sequence": self.sequence_norm(merged["sequence"])}
        if not self._by_request:
            return merged
        users = tokens.get("user_features")
        if users is None and self._user_tokens:
            users = chosen(stack_tokens(tokens["features"]), self._user_tokens)
        return self._user_side_of_request(merged, None if users is None else self.feature_norm(users), training)

    def candidate_side(
        self, tokens: Tokens, state: State, row: Tensor | None = None, training: bool | None = None
    ) -> dict[str, Tensor]:
        if self._by_request:
            made = SharedTokens.of(self._parts_of_request(tokens, state, row, training))
            return self.for_each_task(made.together())
        features = stack_tokens(tokens["features"])
        state = rows_of(state, row)
        if "pooled" in state:
            features = ops.concatenate([features, state["pooled"]], axis=1)
        if not self.faithful:
            features = self.feature_norm(features)
        given = {"features": features} | ({"ids": tokens["ids"]} if "ids" in tokens else {})
        if self._has_sequence_arch:
            summaries = self._interleaved({**state, **given}, training)
        else:
            summaries = [self._sole(given, training)]
        x = ops.concatenate(summaries, axis=1) if len(summaries) > 1 else summaries[0]
        return self.for_each_task(ops.reshape(x, (-1, x.shape[1] * x.shape[2])))

    def candidate_parts(
        self, tokens: Tokens, state: State, row: Tensor | None = None, training: bool | None = None
    ) -> dict[str, Any]:
        if not self._by_request:
            return self.candidate_side(tokens, state, row, training)
        return self.for_each_task(self._parts_of_request(tokens, state, row, training))

    def _sole(self, state: dict[str, Tensor], training: bool | None) -> Tensor:
        for arch in self.interaction_arches:
            state["features"] = arch(state, training=training)
        return state["features"] if self._plan.keeps_tokens else self.final_cross_arch(state)["features"]

    def _interleaved(self, state: dict[str, Tensor], training: bool | None) -> list[Tensor]:
        if self._plan.target_tokens:
            target = [state["features"][:, index] for index in self.target_features]
            state["target"] = ops.concatenate(target, axis=1) if len(target) > 1 else target[0]
        with histories_read():  # by `merge`
            for block in self._stack:
                state = block(state, training=training)
            summaries = self.final_cross_arch(state)
        last = state["features"] if self._plan.keeps_tokens else summaries["features"]
        return [last, summaries["sequence"]]

    def representation_size(self, input_shape: Any) -> int:
        _, own, width = _features_shape(input_shape)
        tokens = own if self._plan.keeps_tokens else self.num_summary_tokens
        sequences = input_shape["sequences"]
        if sequences and self.information_flow == "sole":
            tokens += len(sequences) if self._plan.keeps_tokens else 0
        elif sequences and self.candidate_flow == "request":
            tokens = self._tokens_of_request(own) + self._plan.cls_tokens + self._plan.own_tokens
        elif sequences:
            several = self.aggregation not in ("average", "mha")
            tokens += self._plan.cls_tokens + self._plan.own_tokens if several else 1
        return tokens * width

    def compute_output_shape(self, input_shape: Any) -> dict[str, tuple[int | None, int]]:
        batch = _features_shape(input_shape)[0]
        return {task: (batch, self.representation_size(input_shape)) for task in self.tasks}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "interaction": json.loads(self._interaction),
            "interaction_config": json.loads(self._interaction_config),
            "interaction_mlp": self.interaction_mlp,
            "interaction_mlp_units": list(self.interaction_mlp_units),
            "num_summary_tokens": self.num_summary_tokens,
            "num_pma_tokens": self.num_pma_tokens,
            "num_recent_tokens": self.num_recent_tokens,
            "num_target_tokens": self.num_target_tokens,
            "targets": self.targets,
            "num_heads": self.num_heads,
            "gating": self.gating,
            "gating_units": list(self.gating_units),
            "personalized_ffn": self.personalized_ffn,
            "ffn_hidden_dim": self.ffn_hidden_dim,
            "attention": self.attention,
            "cls_tokens": self.cls_tokens,
            "rotary": self.rotary,
            "information_flow": self.information_flow,
            "aggregation": self.aggregation,
            "final_features": self.final_features,
            "final_summary": self.final_summary,
            "sequence_alignment": self.sequence_alignment,
            "sequence_mask_ratio": self.sequence_mask_ratio,
            "dropout": self.dropout,
            "faithful": self.faithful,
            "candidate_flow": self.candidate_flow,
            "candidate_tokens": list(self.candidate_tokens),
            "user_tokens": self.user_tokens,
        }


def _features_shape(input_shape: Any) -> tuple[Any, int, int]:
    batch, tokens, width = tokens_shape(input_shape["features"])
    if not tokens or not width:
        raise ValueError(
            "There must be at least one feature token of at least one dimension. "
            f"Received: features of shape {shape_of((batch, tokens, width))}"
        )
    return batch, tokens, width
