"""Factorization machine."""

from tf_interformer._keras import ops, register
from tf_interformer.backbones.baselines._interaction_only import InteractionOnly
from tf_interformer.layers._common import Tensor, wide
from tf_interformer.layers.linear_terms import LinearTerms


@register
class FM(InteractionOnly):
    """Factorization machine: `sum_n w_n . e_n + sum_{i<j} v_i . v_j` before its last sum.

    The second-order part is `1/2 ((sum_n v_n)^2 - sum_n v_n^2)`, a vector whose numbers add up to the inner products
    of all pairs. The representation is `[w_1 . e_1, .., w_N . e_N || second-order vector]`: FM itself would add all of
    it up, the tower weighs it. Ours: the linear terms, see `LinearTerms`; the pooled sequences.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one token more, so that there are `tokens = N + sequences` of them.
    Output: `{task: [batch, tokens + dim]}`.

    Raises:
        ValueError: If an argument is out of range or there are fewer than two tokens.

    Example:

    >>> model = FM(tasks=["click"])
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 13])

    Reference:
        [Factorization Machines, ICDM 2010](https://doi.org/10.1109/ICDM.2010.127)
    """

    def build_parts(self, tokens: int, width: int) -> None:
        self.linear = self.part(LinearTerms(dtype=self.dtype_policy, name="linear"), tokens, width)

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        x = wide(tokens)  # a difference of large numbers
        second = 0.5 * (ops.square(ops.sum(x, axis=1)) - ops.sum(ops.square(x), axis=1))
        return ops.concatenate([self.linear(tokens), ops.cast(second, tokens.dtype)], axis=1)

    def size(self, tokens: int, width: int) -> int:
        return tokens + width
