"""Attentional factorization machine."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.backbones.baselines._interaction_only import InteractionOnly
from tf_interformer.layers._common import Tensor
from tf_interformer.layers.linear_terms import LinearTerms
from tf_interformer.layers.pair_attention import PairAttention


@register
class AFM(InteractionOnly):
    """Attentional factorization machine: `sum_n w_n . e_n + p . sum_{i<j} a_ij (v_i * v_j)` before its last sum.

    The attention over the pairs is `PairAttention`. The representation is all linear terms and the pooled vector;
    `p` is the tower's. Ours: the linear terms, see `LinearTerms`; the pooled sequences.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        attention_dim: int or `None`. Width of the attention's hidden layer; `None` means the embedding width. Defaults
            to `None`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one token more, so that there are `tokens = N + sequences` of them.
    Output: `{task: [batch, tokens + dim]}`.

    Raises:
        ValueError: If an argument is out of range or there are fewer than three tokens.

    Example:

    >>> model = AFM(tasks=["click"])
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 13])

    Reference:
        [AFM, arXiv 1708.04617](https://arxiv.org/abs/1708.04617)
    """

    fewest_tokens = 3

    def __init__(self, tasks: Sequence[str] = ("label",), attention_dim: int | None = None, **kwargs: Any) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self.attention_dim = attention_dim
        PairAttention(attention_dim)  # checks it

    def build_parts(self, tokens: int, width: int) -> None:
        policy = self.dtype_policy
        self.linear = self.part(LinearTerms(dtype=policy, name="linear"), tokens, width)
        self.attention = self.part(PairAttention(self.attention_dim, dtype=policy, name="attention"), tokens, width)

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        return ops.concatenate([self.linear(tokens), self.attention(tokens)], axis=1)

    def size(self, tokens: int, width: int) -> int:
        return tokens + width

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "attention_dim": self.attention_dim}
