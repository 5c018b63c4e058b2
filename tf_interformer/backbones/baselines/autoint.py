"""AutoInt and AutoInt+."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._interaction_only import WithDeepPart, flatten
from tf_interformer.layers._common import Tensor
from tf_interformer.layers.interactions.autoint import AutoIntInteraction


@register
class AutoInt(WithDeepPart):
    """AutoInt: self-attention over the tokens, which are then flattened; AutoInt+ with `deep_units`.

    The layers are those of `AutoIntInteraction`. The representation is `[flatten(X_L) || deep(x)]` with `x` the
    flattened tokens. Ours: the pooled sequences.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. Defaults to `3`.
        num_heads: int. Defaults to `2`.
        head_dim: int or `None`. Width of a head, 32 in the paper; `None` means the embedding width divided by the
            heads. Defaults to `None`.
        deep_units: list of int. Hidden layers of the MLP beside the attention, which makes it AutoInt+; without any
            there is none. Defaults to `()`.
        deep_activation: str or callable. After each of them. Defaults to `"relu"`.
        dropout: float. Rate between them. Defaults to `0.0`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one token more, so that there are `tokens = N + sequences` of them.
    Output: `{task: [batch, tokens * num_heads * head_dim + deep_units[-1]]}`.

    Raises:
        ValueError: If an argument is out of range, or `num_heads` does not divide the width.

    Example:

    >>> model = AutoInt(tasks=["click"], deep_units=[16])
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 56])

    Reference:
        [AutoInt, arXiv 1810.11921](https://arxiv.org/abs/1810.11921)
    """

    fewest_tokens = 1

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        num_layers: int = 3,
        num_heads: int = 2,
        head_dim: int | None = None,
        deep_units: Sequence[int] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, deep_units=deep_units, **kwargs)
        self.num_layers, self.num_heads, self.head_dim = num_layers, num_heads, head_dim
        self._make_attention()  # checks them

    def _make_attention(self) -> AutoIntInteraction:
        return AutoIntInteraction(
            self.num_layers, self.num_heads, self.head_dim, dtype=self.dtype_policy, name="attention"
        )

    def build_parts(self, tokens: int, width: int) -> None:
        self.attention = self.part(self._make_attention(), tokens, width)
        self.build_deep(tokens * width)

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        return self.beside([flatten(self.attention(tokens))], flatten(tokens), training)

    def size(self, tokens: int, width: int) -> int:
        after = width if self.head_dim is None else self.num_heads * self.head_dim
        return tokens * after + self.deep_size()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "head_dim": self.head_dim,
        }
