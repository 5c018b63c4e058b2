"""FiBiNET."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.backbones.baselines._interaction_only import InteractionOnly, flatten
from tf_interformer.layers._common import Tensor, check_choice, check_positive
from tf_interformer.layers._pairs import pair_count
from tf_interformer.layers.bilinear_pairs import MATRICES, BilinearPairs
from tf_interformer.layers.interactions.squeeze_excitation import SqueezeExcitationInteraction
from tf_interformer.layers.linear_terms import LinearTerms


@register
class FiBiNET(InteractionOnly):
    """FiBiNET: bilinear products of all pairs of tokens, of the tokens as they are and as SENET weighs them.

    `[w_1 . e_1, .., w_N . e_N || p || q]`, `p` the `BilinearPairs` of the tokens, `q` those of `SENET(X)`, which have
    matrices of their own. The tower is the paper's deep network, and it sees the linear terms as well, which the paper
    adds behind it. Ours: the linear terms, see `LinearTerms`; the pooled sequences.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        matrices: str. `"all"`, `"each"` or `"interaction"`, see `BilinearPairs`. Defaults to `"interaction"`.
        reduction: int. How many times fewer units than tokens SENET's hidden layer has. Defaults to `3`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one token more, so that there are `tokens = N + sequences` of them.
    Output: `{task: [batch, tokens + 2 * pairs * dim]}`.

    Raises:
        ValueError: If an argument is out of range or there are fewer than two tokens.

    Example:

    >>> model = FiBiNET(tasks=["click"], matrices="each")
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 165])

    Reference:
        [FiBiNET, arXiv 1905.09433](https://arxiv.org/abs/1905.09433)
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        matrices: str = "interaction",
        reduction: int = 3,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self.matrices = check_choice("matrices", matrices, MATRICES)
        self.reduction = check_positive("reduction", reduction)

    def build_parts(self, tokens: int, width: int) -> None:
        policy = self.dtype_policy
        self.linear = self.part(LinearTerms(dtype=policy, name="linear"), tokens, width)
        senet = SqueezeExcitationInteraction(self.reduction, dtype=policy, name="senet")
        self.senet = self.part(senet, tokens, width)
        self.pairs = self.part(BilinearPairs(self.matrices, dtype=policy, name="pairs"), tokens, width)
        weighed = BilinearPairs(self.matrices, dtype=policy, name="weighed_pairs")
        self.weighed_pairs = self.part(weighed, tokens, width)

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        pairs, weighed = self.pairs(tokens), self.weighed_pairs(self.senet(tokens))
        return ops.concatenate([self.linear(tokens), flatten(pairs), flatten(weighed)], axis=1)

    def size(self, tokens: int, width: int) -> int:
        return tokens + 2 * pair_count(tokens) * width

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "matrices": self.matrices, "reduction": self.reduction}
