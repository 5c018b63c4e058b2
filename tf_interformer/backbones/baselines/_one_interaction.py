"""What the models have in common that are one interaction over their tokens."""

from collections.abc import Mapping, Sequence
from inspect import Parameter, Signature, signature
from typing import Any

from tf_interformer.backbones.baselines._interaction_only import InteractionOnly, flatten
from tf_interformer.layers._common import Tensor


class OneInteraction(InteractionOnly):
    """Base of the models that let their tokens interact by one layer and then flatten them.

    A subclass names the layer, whose arguments are the model's, and the defaults that are others for the model.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        **kwargs: Those of `InteractionOnly` and of the layer.
    """

    interaction_class: Any = None
    model_defaults: Mapping[str, Any] = {}

    def __init__(self, tasks: Sequence[str] = ("label",), **kwargs: Any) -> None:
        given = {name: kwargs.pop(name) for name in self.interaction_arguments() if name in kwargs}
        super().__init__(tasks=tasks, **kwargs)
        self.interaction = self.interaction_class(
            **{**self.model_defaults, **given},
            **self.norm_arguments(self.interaction_class),
            dtype=self.dtype_policy,
            name="interaction",
        )
        self._trains = "training" in signature(self.interaction.call).parameters

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # What `inspect.signature`, and so `help`, says of the model.
        taken = signature(cls.interaction_class.__init__).parameters
        own = [
            taken[name].replace(default=cls.model_defaults.get(name, taken[name].default))
            for name in cls.interaction_arguments()
        ]
        of_all = signature(InteractionOnly.__init__).parameters
        tasks, *common = (of_all[name] for name in of_all if name not in ("self", "kwargs"))
        keywords = [parameter.replace(kind=Parameter.KEYWORD_ONLY) for parameter in (*own, *common)]
        cls.__signature__ = Signature([tasks, *keywords])

    @classmethod
    def interaction_arguments(cls) -> list[str]:
        """Names of the layer's arguments, without those of every Keras layer."""
        return [name for name in signature(cls.interaction_class.__init__).parameters if name not in ("self", "kwargs")]

    def build_parts(self, tokens: int, width: int) -> None:
        self.part(self.interaction, tokens, width)

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        return flatten(self.interaction(tokens, training=training) if self._trains else self.interaction(tokens))

    def size(self, tokens: int, width: int) -> int:
        _, count, width = self.interaction.compute_output_shape((None, tokens, width))
        return (count or 0) * width

    def get_config(self) -> dict[str, Any]:
        own = self.interaction.get_config()
        return {**super().get_config(), **{name: own[name] for name in self.interaction_arguments()}}
