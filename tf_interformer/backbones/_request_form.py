"""The form of InterFormer in which nothing of the candidate flows into the user's side."""

from collections.abc import Callable, Sequence
from typing import Any

from tf_interformer._keras import ops
from tf_interformer.backbones.base import State
from tf_interformer.layers._common import Tensor, histories_read, masked_mean, rows_of, stack_tokens
from tf_interformer.layers._shared_tokens import flat
from tf_interformer.layers.candidate_block import CandidateBlock
from tf_interformer.layers.compared_events import ComparedEvents
from tf_interformer.layers.interformer_block import InterFormerBlock
from tf_interformer.layers.sequences.recency_positions import RecencyPositions
from tf_interformer.layers.target_pooling import TargetPooling
from tf_interformer.tokens import Tokens


class RequestForm:
    """What `InterFormer(candidate_flow="request")` builds and computes behind the merged sequence.

    User's side, for each layer: `X_sum, S_sum = CrossArch(X_u, S)`, `X_u' = InteractionArch([X_u || S_sum])`,
    `S' = SequenceArch(X_sum, [S_CLS || S])`. Candidate's side, for each layer: `P = TargetPooling(x_c, S + R)`
    with a learned `R` for how recent an event is, `X_c' = InteractionArch([X_c || P || X_sum || S_sum])`. What comes
    out is `[X_c || P || X_sum || S_sum]` behind the last layer. With `user_tokens="tokens"` the user's tokens `X_u`
    stand in the place of their summary.
    """

    # Of `InterFormer`, whose base this is.
    num_layers: int
    num_target_tokens: int
    num_summary_tokens: int
    user_tokens: str
    num_heads: int
    gating: str | None
    gating_units: Sequence[int]
    sequence_alignment: str
    candidate_tokens: tuple[int, ...]
    dtype_policy: Any
    norm_epsilon: float
    feature_norm: Any
    _add: Callable[..., Any]
    _block: Callable[[int], InterFormerBlock]
    _cross_arch: Callable[..., Any]
    _interaction_arch: Callable[..., Any]

    @property
    def _tells_summaries(self) -> bool:
        """Whether the candidate's side sees summaries of the user's tokens."""
        return self.user_tokens == "summary"

    def _build_request(self, features: Any, behaviours: Any, compared: dict[str, Any]) -> None:
        """Make the layers for the shapes of all feature tokens, of the merged sequence, and of what is compared."""
        batch, tokens, width = features
        wrong = [index for index in self.candidate_tokens if index >= tokens]
        if wrong or not self.candidate_tokens:
            raise ValueError(
                '`candidate_flow="request"` needs `candidate_tokens`, indices of those of the feature tokens that are '
                f"the candidate's. Received: candidate_tokens={list(self.candidate_tokens)}, {tokens} feature tokens"
            )
        self._user_tokens = tuple(index for index in range(tokens) if index not in self.candidate_tokens)
        asking = self.target_features or self.candidate_tokens  # type: ignore[attr-defined]
        self._asking = [place for place, index in enumerate(self.candidate_tokens) if index in asking]
        self._asking = self._asking or list(range(len(self.candidate_tokens)))
        self.compared_events = None
        if compared and self.num_target_tokens:
            events = ComparedEvents(width, self.sequence_alignment, dtype=self.dtype_policy, name="compared_events")
            self.compared_events = self._add(events, {"compared": compared, "events": behaviours})

        state = {
            "features": (batch, len(self._user_tokens) or 1, width),
            "sequence": behaviours,
            "lengths": (batch,),
        }
        self.recency = None
        if self.num_target_tokens:  # what is asked of the events may be a question of how recent they are
            recency = RecencyPositions(width, dtype=self.dtype_policy, name="recency")
            self.recency = self._add(recency, {"sequence": behaviours, "lengths": (batch,)})
        self.user_blocks = []
        self.candidate_blocks: list[CandidateBlock] = []
        for i in range(self.num_layers):
            block = self._add(self._block(i), state)
            self.user_blocks.append(block)
            made = block.compute_output_shape(state)
            told = made["summary"][1] + (made["feature_summary"] if self._tells_summaries else state["features"])[1]
            self._add_candidate_block(f"candidate_{i}", self._interaction_arch(i), state, told)
            state = made
        final = self._cross_arch("final_cross_arch", self._tells_summaries, True)
        self.final_cross_arch = self._add(final, state)
        if self.num_target_tokens:
            self._add_candidate_block("candidate_answer", None, state, 0)

    def _add_candidate_block(self, name: str, arch: Any, state: dict[str, Any], told: int) -> None:
        batch, _, width = state["features"]
        # An item that is hardly known asks hardly anything by itself.
        pooling = TargetPooling(self.num_target_tokens, self.num_heads, seeds=True) if self.num_target_tokens else None
        block = CandidateBlock(
            arch,
            pooling,
            self.gating,
            self.gating_units,
            norm_epsilon=self.norm_epsilon,
            dtype=self.dtype_policy,
            name=name,
        )
        shapes = {
            "features": (batch, len(self.candidate_tokens), width),
            "user": (batch, told, width),
            "sequence": state["sequence"],
            "lengths": state["lengths"],
            "target": (batch, len(self._asking) * width),
        }
        self.candidate_blocks.append(self._add(block, shapes))

    def _user_side_of_request(self, merged: dict[str, Tensor], users: Tensor | None, training: bool | None) -> State:
        """For each layer, and behind the last, the events, and the user's tokens beside what is told of the events."""
        with histories_read():
            if users is None:  # the history is all that is known of the user
                users = ops.expand_dims(masked_mean(merged["sequence"], merged["lengths"]), 1)
            state = {**merged, "features": users}
            found: State = {"lengths": merged["lengths"]}
            recency = None if self.recency is None else self.recency(merged)
            for i, block in enumerate(self.user_blocks):
                made = block(state, training=training)
                if recency is not None:
                    found[f"sequence_{i}"] = state["sequence"] + recency
                tokens = made["feature_summary"] if self._tells_summaries else state["features"]
                found[f"user_{i}"] = ops.concatenate([tokens, made["summary"]], axis=1)
                state = made
            summaries = self.final_cross_arch(state)
            tokens = summaries["features"] if self._tells_summaries else state["features"]
            if recency is not None:
                found[f"sequence_{self.num_layers}"] = state["sequence"] + recency
            found[f"user_{self.num_layers}"] = ops.concatenate([tokens, summaries["sequence"]], axis=1)
        return found

    def _parts_of_request(
        self, tokens: Tokens, state: State, row: Tensor | None, training: bool | None
    ) -> dict[str, Tensor]:
        """What comes out, flat: the candidate's own, `[N, any]`, and what is told of the user, `[R, any]`."""
        own = tokens.get("candidate_features")
        if own is None:
            own = chosen(stack_tokens(tokens["features"]), self.candidate_tokens)
        x: dict[str, Any] = {"features": self.feature_norm(own), "lengths": state["lengths"]}
        if row is not None:
            x["row"] = row
        if "ids" in tokens:
            x["ids"] = chosen(tokens["ids"], self.candidate_tokens)
        if self.compared_events is not None:
            told = {
                "compared": tokens["compared"],
                "lengths": {name: rows_of(tokens["lengths"][name], row) for name in tokens["compared"]},
                "longest": rows_of(state["lengths"], row),
                "events": state["sequence_0"],
            }
            x["compared"] = self.compared_events(told)
        out = []
        with histories_read():
            for i, block in enumerate(self.candidate_blocks):
                asking = chosen(x["features"], self._asking)
                x["target"] = ops.reshape(asking, (-1, asking.shape[1] * asking.shape[2]))
                given = {**x, "user": state[f"user_{i}"]}
                if self.num_target_tokens:
                    given["sequence"] = state[f"sequence_{i}"]
                made = block(given, training=training)
                x["features"] = made.get("features", x["features"])
                out = [x["features"], *([made["answer"]] if "answer" in made else [])]
        told = flat(state[f"user_{self.num_layers}"])
        parts = {"tokens": flat(ops.concatenate(out, axis=1) if len(out) > 1 else out[0]), "shared": told}
        return parts if row is None else {**parts, "row": row}

    def _tokens_of_request(self, tokens: int) -> int:
        """How many tokens come out beside the summary of the events, for so many feature tokens."""
        users = tokens - len(self.candidate_tokens) or 1
        told = self.num_summary_tokens if self._tells_summaries else users
        return len(self.candidate_tokens) + told + self.num_target_tokens


def chosen(tokens: Tensor, indices: Sequence[int]) -> Tensor:
    """`[N, F, ...]` without the tokens that are not named; slices, since neighbours are mostly chosen together."""
    parts, first = [], 0
    for place, index in enumerate(indices):
        if place + 1 == len(indices) or indices[place + 1] != index + 1:
            parts.append(tokens[:, indices[first] : index + 1])
            first = place + 1
    return ops.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
