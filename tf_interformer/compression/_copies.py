"""Models of other ranks, with the weights of the old ones."""

from collections.abc import Mapping
from typing import Any

from tf_interformer._keras import keras
from tf_interformer.backbones import InterFormer
from tf_interformer.compression._factors import Factors
from tf_interformer.compression._stacks import projections_of, stacks_of
from tf_interformer.layers.composite_projection import CompositeProjection
from tf_interformer.ranker import Ranker


def with_ranks(model: Any, rank_k: list[int | None], rank_v: list[int | None]) -> Any:
    """A model of the same configuration with other ranks, built alike."""
    ranks = {"rank_k": rank_k, "rank_v": rank_v}
    config = model.get_config()
    if isinstance(model, Ranker):
        backbone = _config_with_ranks(model.backbone, ranks)
        inner = type(model.backbone).from_config(backbone)
        return type(model).from_config({**config, "backbone": keras.saving.serialize_keras_object(inner)})
    smaller = type(model).from_config(_config_with_ranks(model, ranks))
    smaller.build(_build_shape(model))
    return smaller


def _config_with_ranks(layer: Any, ranks: dict[str, Any]) -> dict[str, Any]:
    config = layer.get_config()
    if not isinstance(layer, InterFormer):
        return {**config, **ranks}
    if isinstance(config["interaction"], str):
        return {**config, "interaction_config": {**(config["interaction_config"] or {}), **ranks}}
    held = config["interaction"]
    return {**config, "interaction": {**held, "config": {**held["config"], **ranks}}}


def _build_shape(layer: Any) -> Any:
    config = layer.get_build_config() or {}
    shape = config.get("input_shape", config.get("shapes_dict"))
    if shape is None:
        raise ValueError(f"The model must have been built by calling it. Received: {type(layer).__name__}")
    return shape


def copy_weights(model: Any, smaller: Any, factors: Mapping[CompositeProjection, Factors]) -> None:
    news = [
        projection
        for stack in stacks_of(smaller)
        for block in stack.blocks
        for projection in projections_of(block.attention, "k") + projections_of(block.attention, "v")
    ]
    changed_old, changed_new = set(), set()
    for (old, factor), new in zip(factors.items(), news, strict=True):
        if new.rank == old.rank:
            continue
        factor.write(new)
        changed_old |= {id(weight) for weight in old.weights}
        changed_new |= {id(weight) for weight in new.weights}
    # Both models make their layers in the same order.
    rest = [weight for weight in smaller.weights if id(weight) not in changed_new]
    same = [weight for weight in model.weights if id(weight) not in changed_old]
    for source, target in zip(same, rest, strict=True):
        target.assign(source)
