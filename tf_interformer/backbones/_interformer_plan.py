"""Which parts an InterFormer has."""

from dataclasses import dataclass
from typing import Any

from tf_interformer.layers.personalized_ffn import PERSONALIZED


@dataclass(frozen=True)
class InterFormerPlan:
    """Which parts of an InterFormer exist, so that each of their weights has an effect on the output.

    Attributes:
        blocks: Layers with an Interaction and a Sequence Arch.
        personalized_ffn: The form of the Sequence Arch's feed-forward network.
        cls_tokens: How many CLS tokens there are.
        target_tokens: How many tokens hold what the candidate asks of the history.
        own_tokens: Tokens of a summary of the sequence that are made of its events: PMA, recent and target ones.
        to_features: Whether the Interaction Arch sees a summary of the sequence.
        to_ffn: Whether the feed-forward network sees one of the features.
        keeps_tokens: Whether the head sees the feature tokens themselves.
    """

    blocks: int
    personalized_ffn: str | None
    cls_tokens: int
    target_tokens: int
    own_tokens: int
    to_features: bool
    to_ffn: bool
    keeps_tokens: bool

    @classmethod
    def of(cls, model: Any) -> "InterFormerPlan":
        """What the arguments of an `InterFormer` amount to.

        Raises:
            ValueError: Nothing of the behaviours would reach the output.
        """
        # The literal algorithm with L layers is the other one with L - 1: its last two arches are unused.
        blocks = model.num_layers - (model.final_summary == "algorithm1")
        flow = model.information_flow
        to_sequence = flow in ("both", "n2s")
        personalized = model.personalized_ffn in PERSONALIZED
        # CLS tokens act through the attention or as a part of the summary.
        has_cls = to_sequence and model.cls_tokens and (model.attention or model.aggregation == "selective")
        asks = model.target_features and model.aggregation == "selective" and not model.faithful
        # In the request form the candidate asks beside the arches of the user's side.
        target_tokens = model.num_target_tokens if asks and model.candidate_flow == "printed" else 0
        plan = cls(
            blocks=blocks,
            personalized_ffn="plain" if personalized and not to_sequence else model.personalized_ffn,
            cls_tokens=model.num_summary_tokens if has_cls else 0,
            target_tokens=target_tokens,
            own_tokens=model.num_pma_tokens + model.num_recent_tokens + target_tokens,
            to_features=flow in ("both", "s2n"),
            to_ffn=to_sequence and personalized,
            keeps_tokens=model.final_features == "tokens" and not model.faithful,
        )
        if flow != "sole":
            plan._check(model)
        return plan

    @property
    def summarizes_features_at_the_end(self) -> bool:
        """Whether the last summaries hold one of the features."""
        # Without a layer the first summary is also what makes the CLS tokens.
        return not self.keeps_tokens or (self.cls_tokens > 0 and not self.blocks)

    def _check(self, model: Any) -> None:
        if self.personalized_ffn is None and not model.attention:
            raise ValueError(
                "A Sequence Arch needs `personalized_ffn` or `attention`. "
                'Received: personalized_ffn=None, attention=False (did you mean information_flow="sole"?)'
            )
        if model.aggregation not in ("selective", "mlp") or self.own_tokens:
            return
        if model.aggregation == "mlp" or not (self.cls_tokens and model.attention and self.blocks):
            raise ValueError(
                "Nothing of the behaviours would reach the output: with none of `num_pma_tokens`, `num_recent_tokens` "
                'and `num_target_tokens` (with `targets`) the summary needs aggregation="selective", `cls_tokens`, '
                "`attention`, an `information_flow` that has CLS tokens and a layer with a Sequence Arch. Received: "
                f"aggregation={model.aggregation!r}, cls_tokens={model.cls_tokens}, attention={model.attention}, "
                f"information_flow={model.information_flow!r}, num_layers={model.num_layers}, "
                f"final_summary={model.final_summary!r}"
            )
