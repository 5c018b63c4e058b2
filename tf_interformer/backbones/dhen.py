"""Deep hierarchical ensemble network."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import register
from tf_interformer.backbones._interaction_only import InteractionOnly, flatten
from tf_interformer.layers._common import Tensor
from tf_interformer.layers.interactions.dhen import DHENInteraction


@register
class DHEN(InteractionOnly):
    """DHEN: `X' = LN(Ensemble_i Interaction_i(X) + ShortCut(X))`, layer by layer, then flattened.

    The ensemble is the one of InterFormer's experiments, inner products beside a cross network, see `DHENInteraction`.
    Ours: the pooled sequences.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. Defaults to `2`.
        rank: int or `None`. Rank of the cross network. Defaults to `32`.
        cross_layers: int. Layers of the cross network. Defaults to `1`.
        shortcut: str. `"mlp"` or `"identity"`. Defaults to `"mlp"`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one token more, so that there are `tokens = N + sequences` of them.
    Output: `{task: [batch, tokens * dim]}`.

    Raises:
        ValueError: If an argument is out of range or there are fewer than two tokens.

    Example:

    >>> model = DHEN(tasks=["click"])
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 40])

    Reference:
        [DHEN, arXiv 2203.11014](https://arxiv.org/abs/2203.11014)
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        num_layers: int = 2,
        rank: int | None = 32,
        cross_layers: int = 1,
        shortcut: str = "mlp",
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self.interaction = DHENInteraction(
            num_layers=num_layers,
            rank=rank,
            cross_layers=cross_layers,
            shortcut=shortcut,
            dtype=self.dtype_policy,
            name="interaction",
        )

    def build_parts(self, tokens: int, width: int) -> None:
        self.part(self.interaction, tokens, width)

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        return flatten(self.interaction(tokens))

    def size(self, tokens: int, width: int) -> int:
        return tokens * width

    def get_config(self) -> dict[str, Any]:
        own = self.interaction.get_config()
        return {**super().get_config(), **{k: v for k, v in own.items() if k not in ("name", "dtype", "trainable")}}
