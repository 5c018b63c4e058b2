"""Behavior Sequence Transformer."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._behaviour_sequence import BehaviourSequence
from tf_interformer.layers._common import check_choice, check_positive, check_rate
from tf_interformer.layers.sequences.sequence_transformer import POOLINGS, SequenceTransformer


@register
class BST(BehaviourSequence):
    """Behavior Sequence Transformer: events and target through a Transformer (arXiv 1905.06874).

    The representation is the features, flattened, and beside them what each sequence came to.
    See `SequenceTransformer` for what is printed and what is ours.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        targets: dict. Name of a sequence -> for each field of its events the index of the feature token that shares
            its table; -1 where there is none, and a learned vector stands in. A `Ranker` that makes the model by name
            fills it in.
        num_blocks: int. Defaults to `1`.
        num_heads: int. Must divide twice the width of an event; the paper has eight. Defaults to `4`.
        ffn_dim: int or `None`. Hidden width of the blocks; `None` means their width. Defaults to `None`.
        pooling: str. `"mean"` or `"target"`, see `SequenceTransformer`. Defaults to `"mean"`.
        max_positions: int. See `RecencyPositions`. Defaults to `128`.
        dropout: float. Rate in the blocks. Defaults to `0.0`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`.
    Padding may hold anything, even NaN.
    Output: `{task: [batch, N * dim + twice the widths of the events]}`.

    Raises:
        ValueError: If an argument is out of range, or `targets` does not fit the inputs.

    Example:

    >>> model = BST(tasks=["click"], targets={"views": [3]})
    >>> model({
    ...     "features": np.ones((3, 5, 16), "float32"),
    ...     "sequences": {"views": np.ones((3, 50, 16), "float32")},
    ...     "lengths": {"views": np.array([0, 7, 50])},
    ... })["click"].shape
    TensorShape([3, 112])

    Reference:
        [Behavior Sequence Transformer, arXiv 1905.06874](https://arxiv.org/abs/1905.06874)
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        targets: Mapping[str, Sequence[int]] | None = None,
        num_blocks: int = 1,
        num_heads: int = 4,
        ffn_dim: int | None = None,
        pooling: str = "mean",
        max_positions: int = 128,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, targets=targets, **kwargs)
        self.num_blocks = check_positive("num_blocks", num_blocks)
        self.num_heads = check_positive("num_heads", num_heads)
        self.ffn_dim = None if ffn_dim is None else check_positive("ffn_dim", ffn_dim)
        self.pooling = check_choice("pooling", pooling, POOLINGS)
        self.max_positions = check_positive("max_positions", max_positions)
        self.dropout = check_rate("dropout", dropout)

    def sequence_layer(self, name: str) -> SequenceTransformer:
        return SequenceTransformer(
            self.num_blocks,
            self.num_heads,
            self.ffn_dim,
            self.pooling,
            self.max_positions,
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
            "pooling": self.pooling,
            "max_positions": self.max_positions,
            "dropout": self.dropout,
        }
