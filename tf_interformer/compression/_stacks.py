"""Where a model holds composite projections."""

from typing import Any

from tf_interformer.backbones import Hiformer, InterFormer
from tf_interformer.layers.composite_attention import CompositeAttention
from tf_interformer.layers.composite_projection import CompositeProjection
from tf_interformer.layers.interactions.hiformer import HiformerInteraction
from tf_interformer.ranker import Ranker

Stack = Any  # what has `blocks`: Hiformer or HiformerInteraction


def stacks_of(model: Any) -> list[Stack]:
    """The parts of a model that hold Hiformer blocks with composite attention."""
    inner = model.backbone if isinstance(model, Ranker) else model
    stacks = [inner]
    if isinstance(inner, InterFormer):
        stacks = [getattr(arch, "interaction", None) for arch in getattr(inner, "interaction_arches", [])]
    if (
        not stacks
        or not all(isinstance(stack, (Hiformer, HiformerInteraction)) and stack.built for stack in stacks)
        or stacks[0].attention != "composite"
    ):
        raise ValueError(
            "What can be compressed is a Ranker, once built, whose backbone is a Hiformer or an InterFormer with "
            'interaction="hiformer", or such a backbone or a HiformerInteraction itself, with attention="composite". '
            f"Received: {type(inner).__name__}"
        )
    return stacks


def projections_of(attention: CompositeAttention, group: str) -> list[CompositeProjection]:
    """The projections that share a rank: the values, or the keys and the composite queries."""
    if group == "v":
        return [attention.value]
    return [attention.query, attention.key] if attention.composite_query else [attention.key]
