"""What the models have in common that are one kind of layer over each of their sequences."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_interformer.backbones.baselines._behaviour_sequence import BehaviourSequence
from tf_interformer.backbones.baselines._of_one_layer import OfOneLayer


class OneSequenceLayer(OfOneLayer, BehaviourSequence):
    """Base of the models whose arguments are those of the layer in which a sequence meets the target.

    A subclass names the layer as its `layer_class`.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        targets: dict. See `BehaviourSequence`.
        **kwargs: Those of every backbone and of the layer.
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        targets: Mapping[str, Sequence[int]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, targets=targets, **kwargs)

    def sequence_layer(self, name: str) -> Any:
        return self.make_layer(name)
