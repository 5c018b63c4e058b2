"""Field-matrixed factorization machine."""

from tf_interformer._keras import ops, register
from tf_interformer.backbones.baselines._interaction_only import InteractionOnly
from tf_interformer.layers._common import Tensor
from tf_interformer.layers._pairs import pair_count
from tf_interformer.layers.bilinear_pairs import BilinearPairs
from tf_interformer.layers.linear_terms import LinearTerms


@register
class FmFM(InteractionOnly):
    """Field-matrixed factorization machine: `sum_n w_n . e_n + sum_{i<j} v_i M_ij v_j` before its last sum.

    Each pair of fields has a matrix `M_ij`. The representation is all linear terms and all products of pairs, which
    FmFM itself would add up. Ours: the linear terms, see `LinearTerms`; the pooled sequences.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one token more, so that there are `tokens = N + sequences` of them.
    Output: `{task: [batch, tokens + pairs]}`.

    Raises:
        ValueError: If an argument is out of range or there are fewer than two tokens.

    Example:

    >>> model = FmFM(tasks=["click"])
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 15])

    Reference:
        [FmFM, arXiv 2102.12994](https://arxiv.org/abs/2102.12994)
    """

    def build_parts(self, tokens: int, width: int) -> None:
        self.linear = self.part(LinearTerms(dtype=self.dtype_policy, name="linear"), tokens, width)
        self.pairs = self.part(BilinearPairs("interaction", dtype=self.dtype_policy, name="pairs"), tokens, width)

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        return ops.concatenate([self.linear(tokens), ops.sum(self.pairs(tokens), axis=2)], axis=1)

    def size(self, tokens: int, width: int) -> int:
        return tokens + pair_count(tokens)
