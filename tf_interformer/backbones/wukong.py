"""Wukong."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import register
from tf_interformer.backbones._interaction_only import InteractionOnly, flatten
from tf_interformer.layers._common import Tensor
from tf_interformer.layers.interactions.wukong import WukongInteraction


@register
class Wukong(InteractionOnly):
    """Wukong: `X' = LN([FMB(X) || LCB(X)] + X)`, layer by layer, then flattened; see `WukongInteraction`.

    Ours: the pooled sequences, and see `WukongInteraction`.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. Defaults to `3`.
        fm_tokens: int or `None`. Tokens out of each factorization machine block; `None` means half of all tokens.
            Defaults to `None`.
        linear_tokens: int or `None`. Tokens out of each linear compression; `None` means the rest of all tokens.
            Defaults to `None`.
        rank: int. Of the products in the factorization machine blocks. Defaults to `8`.
        units: list of int. Hidden layers of each factorization machine block's MLP. Defaults to `(128,)`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one token more, so that there are `tokens = N + sequences` of them.
    Output: `{task: [batch, (fm_tokens + linear_tokens) * dim]}`.

    Raises:
        ValueError: If an argument is out of range, or leaves no token for one of the blocks.

    Example:

    >>> model = Wukong(tasks=["click"])
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 40])

    Reference:
        [Wukong, arXiv 2403.02545](https://arxiv.org/abs/2403.02545)
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        num_layers: int = 3,
        fm_tokens: int | None = None,
        linear_tokens: int | None = None,
        rank: int = 8,
        units: Sequence[int] = (128,),
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self.interaction = WukongInteraction(
            num_layers=num_layers,
            fm_tokens=fm_tokens,
            linear_tokens=linear_tokens,
            rank=rank,
            units=units,
            dtype=self.dtype_policy,
            name="interaction",
        )

    def build_parts(self, tokens: int, width: int) -> None:
        self.part(self.interaction, tokens, width)

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        return flatten(self.interaction(tokens))

    def size(self, tokens: int, width: int) -> int:
        count = self.interaction.compute_output_shape((None, tokens, width))[1] or 0
        return count * width

    def get_config(self) -> dict[str, Any]:
        own = self.interaction.get_config()
        return {**super().get_config(), **{k: v for k, v in own.items() if k not in ("name", "dtype", "trainable")}}
