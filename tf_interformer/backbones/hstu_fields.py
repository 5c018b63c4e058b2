"""HSTU over fields."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import register
from tf_interformer.backbones._interaction_only import InteractionOnly, flatten
from tf_interformer.layers._common import Tensor
from tf_interformer.layers.interactions.hstu import HSTUInteraction


@register
class FieldHSTU(InteractionOnly):
    """HSTU over the tokens, which have no order, and are then flattened; see `HSTUInteraction`.

    HSTU is made for sequences. Over fields it stands in the comparisons of Dual Enhanced Attention, which do not print
    how: its form here, the pooled sequences and that the tokens are flattened are ours.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. Defaults to `2`.
        num_heads: int. Must divide the embedding width. Defaults to `4`.
        dropout: float. Rate before the sum of each layer. Defaults to `0.0`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one token more, so that there are `tokens = N + sequences` of them.
    Output: `{task: [batch, tokens * dim]}`.

    Raises:
        ValueError: If an argument is out of range, or `num_heads` does not divide the width.

    Example:

    >>> model = FieldHSTU(tasks=["click"])
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 40])

    Reference:
        [HSTU, arXiv 2402.17152](https://arxiv.org/abs/2402.17152)
        [Dual Enhanced Attention, arXiv 2503.11233](https://arxiv.org/abs/2503.11233)
    """

    fewest_tokens = 1

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        num_layers: int = 2,
        num_heads: int = 4,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self.interaction = HSTUInteraction(
            num_layers=num_layers,
            num_heads=num_heads,
            dropout=dropout,
            dtype=self.dtype_policy,
            name="interaction",
        )

    def build_parts(self, tokens: int, width: int) -> None:
        self.part(self.interaction, tokens, width)

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        return flatten(self.interaction(tokens, training=training))

    def size(self, tokens: int, width: int) -> int:
        return tokens * width

    def get_config(self) -> dict[str, Any]:
        own = self.interaction.get_config()
        return {**super().get_config(), **{k: v for k, v in own.items() if k not in ("name", "dtype", "trainable")}}
