"""Models from tokens to one representation per task."""

from typing import Any

from tf_interformer.backbones.base import Backbone
from tf_interformer.backbones.dual_enhanced_attention import DualEnhancedAttentionNetwork
from tf_interformer.backbones.hiformer import Hiformer
from tf_interformer.backbones.interformer import InterFormer
from tf_interformer.layers._registry import Registry

_REGISTRY = Registry(
    "backbone",
    {"dual_enhanced_attention": DualEnhancedAttentionNetwork, "hiformer": Hiformer, "interformer": InterFormer},
)


def get(identifier: Any, **config: Any) -> Any:
    """Returns a backbone.

    Args:
        identifier: str, dict or layer. A name, the Keras config of a backbone, or a backbone, which is returned as
            it is.
        **config: Arguments for the constructor; for a Keras config they replace its own.

    Raises:
        ValueError: If the name is unknown; the message lists the known ones.

    Example:

    >>> get("interformer", tasks=["click"], num_layers=2).num_layers
    2
    """
    return _REGISTRY.get(identifier, **config)


def names() -> list[str]:
    """Returns the names that `get` knows."""
    return sorted(_REGISTRY.classes)


__all__ = ["Backbone", "DualEnhancedAttentionNetwork", "Hiformer", "InterFormer", "get", "names"]
