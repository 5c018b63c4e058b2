"""Deep and cross network."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._interaction_only import WithDeepPart, flatten
from tf_interformer.layers._common import Tensor, check_positive
from tf_interformer.layers.interactions.vector_cross import VectorCrossInteraction


@register
class DCN(WithDeepPart):
    """Deep and cross network: `x_{l+1} = x_0 (x_l . w_l) + b_l + x_l` on the flattened tokens, beside an MLP of `x_0`.

    The representation is `[x_L || deep(x_0)]`. Ours: the pooled sequences; no batch normalisation in the MLP.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. Cross layers. Defaults to `3`.
        deep_units: list of int. Hidden layers of the MLP; without any there is none. Defaults to `(512,)`.
        deep_activation: str or callable. After each of them. Defaults to `"relu"`.
        dropout: float. Rate between them. Defaults to `0.0`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one token more, so that there are `tokens = N + sequences` of them.
    Output: `{task: [batch, tokens * dim + deep_units[-1]]}`.

    Raises:
        ValueError: If an argument is out of range.

    Example:

    >>> model = DCN(tasks=["click"], deep_units=[16])
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 56])

    Reference:
        [DCN, arXiv 1708.05123](https://arxiv.org/abs/1708.05123)
    """

    fewest_tokens = 1

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        num_layers: int = 3,
        deep_units: Sequence[int] = (512,),
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, deep_units=deep_units, **kwargs)
        self.num_layers = check_positive("num_layers", num_layers)

    def build_parts(self, tokens: int, width: int) -> None:
        cross = VectorCrossInteraction(self.num_layers, dtype=self.dtype_policy, name="cross")
        self.cross = self.part(cross, tokens, width)
        self.build_deep(tokens * width)

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        return self.beside([flatten(self.cross(tokens))], flatten(tokens), training)

    def size(self, tokens: int, width: int) -> int:
        return tokens * width + self.deep_size()

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_layers": self.num_layers}
