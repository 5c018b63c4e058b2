"""TransAct."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._behaviour_sequence import BehaviourSequence
from tf_interformer.layers._common import check_positive, check_rate
from tf_interformer.layers.sequences.candidate_transformer import CandidateTransformer


@register
class TransAct(BehaviourSequence):
    """TransAct: every event beside the candidate, through a Transformer (arXiv 2306.00248).

    The representation is the features, flattened, and beside them what each sequence came to.
    See `CandidateTransformer` for what is printed and what is left out. The paper's next layer is DCNv2; here it is the
    tower.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        targets: dict. Name of a sequence -> for each field of its events the index of the feature token that shares
            its table; -1 where there is none, and a learned vector stands in. A `Ranker` that makes the model by name
            fills it in.
        num_blocks: int. Defaults to `2`.
        num_heads: int. Must divide twice the width of an event. Defaults to `2`.
        ffn_dim: int. Hidden width of the blocks. Defaults to `32`.
        num_recent_tokens: int. The latest events of which the vectors are kept. Defaults to `10`.
        dropout: float. Rate in the blocks. Defaults to `0.0`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`.
    Padding may hold anything, even NaN.
    Output: `{task: [batch, N * dim + 2 * (num_recent_tokens + 1) times the widths of the events]}`.

    Raises:
        ValueError: If an argument is out of range, or `targets` does not fit the inputs.

    Example:

    >>> model = TransAct(tasks=["click"], targets={"views": [3]})
    >>> model({
    ...     "features": np.ones((3, 5, 16), "float32"),
    ...     "sequences": {"views": np.ones((3, 50, 16), "float32")},
    ...     "lengths": {"views": np.array([0, 7, 50])},
    ... })["click"].shape
    TensorShape([3, 432])

    Reference:
        [TransAct, arXiv 2306.00248](https://arxiv.org/abs/2306.00248)
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        targets: Mapping[str, Sequence[int]] | None = None,
        num_blocks: int = 2,
        num_heads: int = 2,
        ffn_dim: int = 32,
        num_recent_tokens: int = 10,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, targets=targets, **kwargs)
        self.num_blocks = check_positive("num_blocks", num_blocks)
        self.num_heads = check_positive("num_heads", num_heads)
        self.ffn_dim = check_positive("ffn_dim", ffn_dim)
        self.num_recent_tokens = check_positive("num_recent_tokens", num_recent_tokens)
        self.dropout = check_rate("dropout", dropout)

    def sequence_layer(self, name: str) -> CandidateTransformer:
        return CandidateTransformer(
            self.num_blocks,
            self.num_heads,
            self.ffn_dim,
            self.num_recent_tokens,
            self.dropout,
            norm_epsilon=self.norm_epsilon,
            dtype=self.dtype_policy,
            name=name,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_blocks": self.num_blocks,
            "num_heads": self.num_heads,
            "ffn_dim": self.ffn_dim,
            "num_recent_tokens": self.num_recent_tokens,
            "dropout": self.dropout,
        }
