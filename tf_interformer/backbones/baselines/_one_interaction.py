"""What the models have in common that are one interaction over their tokens."""

from collections.abc import Sequence
from inspect import signature
from typing import Any

from tf_interformer.backbones.baselines._interaction_only import InteractionOnly, flatten
from tf_interformer.backbones.baselines._of_one_layer import OfOneLayer
from tf_interformer.layers._common import Tensor


class OneInteraction(OfOneLayer, InteractionOnly):
    """Base of the models that let their tokens interact by one layer and then flatten them.

    A subclass names the layer as its `layer_class`.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        **kwargs: Those of `InteractionOnly` and of the layer.
    """

    def __init__(self, tasks: Sequence[str] = ("label",), **kwargs: Any) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self.interaction = self.make_layer("interaction")
        self._trains = "training" in signature(self.interaction.call).parameters

    def build_parts(self, tokens: int, width: int) -> None:
        self.part(self.interaction, tokens, width)

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        return flatten(self.interaction(tokens, training=training) if self._trains else self.interaction(tokens))

    def size(self, tokens: int, width: int) -> int:
        _, count, width = self.interaction.compute_output_shape((None, tokens, width))
        return (count or 0) * width
