"""Inner products of all pairs, DLRM."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import ops, register
from tf_interformer.backbones.baselines._interaction_only import InteractionOnly, flatten
from tf_interformer.layers._common import Tensor
from tf_interformer.layers._pairs import circle_pairs, pair_count


@register
class DLRM(InteractionOnly):
    """DLRM's interaction (DOT): the inner products of all pairs of tokens, beside what the tokens hold.

    `[triu(X X^T) || x]`. The pairs come in the order of `DotInteraction`. The paper lays its dense token, an MLP of
    the numeric features, beside the products; here numeric features are tokens among others, and ours is that all
    tokens, flattened, are `x`. The tower is the paper's top MLP. Ours, too: the pooled sequences.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        keep_tokens: bool. Without it the representation is the inner products alone. Defaults to `True`.
        sequence_pooling: str. `"mean"` or `"attention"`, see `SequencePooling`. Defaults to `"mean"`.
        entry_norm: bool. Normalise each token first. Defaults to `False`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`. Each
        sequence is pooled to one token more, so that there are `tokens = N + sequences` of them.
    Output: `{task: [batch, pairs + tokens * dim]}`.

    Raises:
        ValueError: If an argument is out of range or there are fewer than two tokens.

    Example:

    >>> model = DLRM(tasks=["click"])
    >>> tokens = {"features": np.ones((3, 5, 8), "float32"), "sequences": {}, "lengths": {}}
    >>> model(tokens)["click"].shape
    TensorShape([3, 50])

    Reference:
        [DLRM, arXiv 1906.00091](https://arxiv.org/abs/1906.00091)
    """

    def __init__(self, tasks: Sequence[str] = ("label",), keep_tokens: bool = True, **kwargs: Any) -> None:
        super().__init__(tasks=tasks, **kwargs)
        self.keep_tokens = keep_tokens

    def build_parts(self, tokens: int, width: int) -> None:
        """Nothing to build."""

    def interact(self, tokens: Tensor, training: bool | None) -> Tensor:
        gram = ops.matmul(tokens, ops.transpose(tokens, (0, 2, 1)))
        products = circle_pairs(gram, tokens.shape[1])
        return ops.concatenate([products, flatten(tokens)], axis=1) if self.keep_tokens else products

    def size(self, tokens: int, width: int) -> int:
        return pair_count(tokens) + (tokens * width if self.keep_tokens else 0)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "keep_tokens": self.keep_tokens}
