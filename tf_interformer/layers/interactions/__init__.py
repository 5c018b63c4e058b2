"""What an Interaction Arch can hold: layers `[batch, tokens, dim] -> [batch, tokens, dim]`."""

from typing import Any

from tf_interformer._keras import keras
from tf_interformer.layers._registry import Registry
from tf_interformer.layers.interactions.autoint import AutoIntInteraction
from tf_interformer.layers.interactions.cross import CrossInteraction
from tf_interformer.layers.interactions.dhen import DHENInteraction
from tf_interformer.layers.interactions.dot import DotInteraction
from tf_interformer.layers.interactions.dual_enhanced_attention import DualEnhancedAttentionInteraction
from tf_interformer.layers.interactions.expert_cross import ExpertCrossInteraction
from tf_interformer.layers.interactions.hcnet import HCNetInteraction
from tf_interformer.layers.interactions.heterogeneous_attention import HeterogeneousAttentionInteraction
from tf_interformer.layers.interactions.hiformer import HiformerInteraction
from tf_interformer.layers.interactions.hstu import HSTUInteraction
from tf_interformer.layers.interactions.squeeze_excitation import SqueezeExcitationInteraction
from tf_interformer.layers.interactions.transformer import TransformerInteraction
from tf_interformer.layers.interactions.vector_cross import VectorCrossInteraction
from tf_interformer.layers.interactions.wukong import WukongInteraction

_REGISTRY = Registry(
    "interaction",
    {
        "autoint": AutoIntInteraction,
        "cross": CrossInteraction,
        "dcn": VectorCrossInteraction,
        "dcn_v2": CrossInteraction,
        "dhen": DHENInteraction,
        "dot": DotInteraction,
        "dual_enhanced_attention": DualEnhancedAttentionInteraction,
        "expert_cross": ExpertCrossInteraction,
        "hcnet": HCNetInteraction,
        "heterogeneous_attention": HeterogeneousAttentionInteraction,
        "hiformer": HiformerInteraction,
        "hstu": HSTUInteraction,
        "inner_product": DotInteraction,
        "memonet": HCNetInteraction,
        "senet": SqueezeExcitationInteraction,
        "transformer": TransformerInteraction,
        "vector_cross": VectorCrossInteraction,
        "wukong": WukongInteraction,
    },
)


def get(identifier: Any, **kwargs: Any) -> Any:
    """Returns an interaction layer.

    Args:
        identifier: str, dict or layer. A name, the Keras config of a layer, or a layer, which is returned as it is.
        **kwargs: Arguments for the constructor; for a config they replace its own.

    Raises:
        ValueError: If the name is unknown; the message lists the known ones.

    Example:

    >>> get("dcn_v2", rank=32)(np.ones((2, 20, 16), "float32")).shape
    TensorShape([2, 20, 16])
    """
    return _REGISTRY.get(identifier, **kwargs)


def names() -> list[str]:
    """Returns the names that `get` knows."""
    return sorted(_REGISTRY.classes)


def identifier_of(identifier: Any, config: dict[str, Any] | None = None) -> Any:
    """Returns a name or a config for what `get` accepts, after checking that `get` accepts it with `config`."""
    if isinstance(identifier, keras.layers.Layer):
        identifier = keras.saving.serialize_keras_object(identifier)
    if isinstance(identifier, dict) and config:
        raise ValueError(
            "`interaction_config` belongs to an interaction given by name. "
            f"Received: a layer or its config, and interaction_config={config!r}"
        )
    get(identifier, **(config or {}))
    return identifier


__all__ = [
    "AutoIntInteraction",
    "CrossInteraction",
    "DHENInteraction",
    "DotInteraction",
    "DualEnhancedAttentionInteraction",
    "ExpertCrossInteraction",
    "HCNetInteraction",
    "HSTUInteraction",
    "HeterogeneousAttentionInteraction",
    "HiformerInteraction",
    "SqueezeExcitationInteraction",
    "TransformerInteraction",
    "VectorCrossInteraction",
    "WukongInteraction",
    "get",
    "identifier_of",
    "names",
]
