"""What the models have in common whose arguments are those of a layer."""

import json
from collections.abc import Mapping
from inspect import Parameter, Signature, signature
from typing import Any

from tf_interformer.backbones.base import Backbone


class OfOneLayer(Backbone):
    """Base of the bases whose models name a layer, whose arguments are the model's beside those of the base.

    It stands before the base that it is mixed with.

    Args:
        **kwargs: Those of the next base and of the layer.
    """

    layer_class: Any = None
    # Defaults that are others for the model.
    model_defaults: Mapping[str, Any] = {}

    def __init__(self, **kwargs: Any) -> None:
        given = {name: kwargs.pop(name) for name in self.layer_arguments() if name in kwargs}
        super().__init__(**kwargs)
        # A layer's config is its arguments, checked and complete; as text, because tf_keras would wrap a dict into
        # something that no longer serialises.
        config = self.layer_class(**{**self.model_defaults, **given}).get_config()
        self._layer_config = json.dumps({name: config[name] for name in self.layer_arguments()})

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.layer_class is None:
            return
        # What `inspect.signature`, and so `help`, says of the model.
        taken = signature(cls.layer_class.__init__).parameters
        own = [
            taken[name].replace(default=cls.model_defaults.get(name, taken[name].default))
            for name in cls.layer_arguments()
        ]
        first = _named(cls.__init__)
        others = [parameter for parameter in _named(super().__init__) if parameter not in first]
        keywords = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in (*own, *others)]
        cls.__signature__ = Signature([*first, *keywords])

    @classmethod
    def layer_arguments(cls) -> list[str]:
        """Names of the layer's arguments, without those of every Keras layer."""
        return [parameter.name for parameter in _named(cls.layer_class.__init__)]

    @property
    def layer_config(self) -> dict[str, Any]:
        """The layer's arguments by name."""
        config: dict[str, Any] = json.loads(self._layer_config)
        return config

    def make_layer(self, name: str) -> Any:
        """Returns a new layer of this name."""
        norms = self.norm_arguments(self.layer_class)
        return self.layer_class(**self.layer_config, **norms, dtype=self.dtype_policy, name=name)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.layer_config}


def _named(function: Any) -> list[Parameter]:
    return [parameter for name, parameter in signature(function).parameters.items() if name not in ("self", "kwargs")]
