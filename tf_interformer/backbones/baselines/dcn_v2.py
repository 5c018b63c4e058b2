"""Deep and cross network, version 2."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._interaction_only import WithDeepPart, flatten
from tf_interformer.layers._common import Tensor, check_choice
from tf_interformer.layers.interactions.cross import CrossInteraction
from tf_interformer.layers.interactions.expert_cross import ExpertCrossInteraction


@register
class DCNv2(WithDeepPart):
    """Deep and cross network, version 2: `x_{l+1} = x_0 * (W_l x_l + b_l) + x_l` on the flattened tokens, and an MLP.

    `"parallel"`: the representation is `[x_L || deep(x_0)]`; `"stacked"`: it is `deep(x_L)`. With a rank the matrices
    are `W_l = U_l V_l^T`, with experts a mixture of them, see `ExpertCrossInteraction`. Ours: the pooled sequences.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        num_layers: int. Cross layers. Defaults to `3`.
        structure: str. `"parallel"` or `"stacked"`. Defaults to `"parallel"`.
        rank: int or `None`. `None` means full matrices. Defaults to `None`.
        num_experts: int or `None`. At least two, with a rank; `None` means no mixture. Defaults to `None`.
        deep_units: list of int. Hidden layers of the MLP; without any there is none. Defaults to `(512,)`.
        deep_activation: str or callable. After each of them. Defaults to `"relu"`.
        dropout: float. Rate between them. Defaults to `0.0`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one token more, so that there are `tokens = N + sequences` of them.
    Output: `{task: [batch, tokens * dim + deep_units[-1]]}`, or `[batch, deep_units[-1]]` if stacked.

    Raises:
        ValueError: If an argument is out of range, or experts have no rank.

    Example:

    >>> model = DCNv2(tasks=["click"], deep_units=[16])
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 56])

    Reference:
        [DCN V2, arXiv 2008.13535](https://arxiv.org/abs/2008.13535)
    """

    fewest_tokens = 1

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        num_layers: int = 3,
        structure: str = "parallel",
        rank: int | None = None,
        num_experts: int | None = None,
        deep_units: Sequence[int] = (512,),
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, deep_units=deep_units, **kwargs)
        self.structure = check_choice("structure", structure, ("parallel", "stacked"))
        if num_experts is not None and rank is None:
            raise ValueError(f"`num_experts` needs a `rank`. Received: num_experts={num_experts}, rank=None")
        self.num_layers, self.rank, self.num_experts = num_layers, rank, num_experts
        self._make_cross()  # checks them

    def _make_cross(self) -> Any:
        config = {"num_layers": self.num_layers, "rank": self.rank, "dtype": self.dtype_policy, "name": "cross"}
        if self.num_experts is None:
            return CrossInteraction(**config)
        return ExpertCrossInteraction(num_experts=self.num_experts, **config)

    def build_parts(self, tokens: int, width: int) -> None:
        self.cross = self.part(self._make_cross(), tokens, width)
        self.build_deep(tokens * width)

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        crossed = flatten(self.cross(tokens))
        if self.structure == "parallel":
            return self.beside([crossed], flatten(tokens), training)
        return crossed if self.deep is None else self.deep(crossed, training=training)

    def size(self, tokens: int, width: int) -> int:
        if self.structure == "stacked" and self.deep_units:
            return self.deep_size()
        return tokens * width + self.deep_size()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "structure": self.structure,
            "rank": self.rank,
            "num_experts": self.num_experts,
        }
