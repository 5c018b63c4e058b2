"""Hierarchical Sequential Transduction Units."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._behaviour_sequence import BehaviourSequence
from tf_interformer.layers._common import check_positive, check_rate
from tf_interformer.layers.sequences.target_transducer import TargetTransducer


@register
class HSTU(BehaviourSequence):
    """Hierarchical Sequential Transduction Units over events and target (arXiv 2402.17152).

    The representation is the features, flattened, and beside them what each sequence came to.
    See `TargetTransducer` and `HSTUBlock` for the equations and what is left out.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        targets: dict. Name of a sequence -> for each field of its events the index of the feature token that shares
            its table; -1 where there is none, and a learned vector stands in. A `Ranker` that makes the model by name
            fills it in.
        num_blocks: int. Defaults to `2`.
        num_heads: int. Must divide the width of an event. Defaults to `4`.
        max_positions: int. Distances from here on share a bias. Defaults to `128`.
        dropout: float. Rate in the blocks. Defaults to `0.0`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`.
    Padding may hold anything, even NaN.
    Output: `{task: [batch, N * dim + widths of the events]}`.

    Raises:
        ValueError: If an argument is out of range, or `targets` does not fit the inputs.

    Example:

    >>> model = HSTU(tasks=["click"], targets={"views": [3]})
    >>> model({
    ...     "features": np.ones((3, 5, 16), "float32"),
    ...     "sequences": {"views": np.ones((3, 50, 16), "float32")},
    ...     "lengths": {"views": np.array([0, 7, 50])},
    ... })["click"].shape
    TensorShape([3, 96])

    Reference:
        [Actions Speak Louder than Words, arXiv 2402.17152](https://arxiv.org/abs/2402.17152)
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        targets: Mapping[str, Sequence[int]] | None = None,
        num_blocks: int = 2,
        num_heads: int = 4,
        max_positions: int = 128,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, targets=targets, **kwargs)
        self.num_blocks = check_positive("num_blocks", num_blocks)
        self.num_heads = check_positive("num_heads", num_heads)
        self.max_positions = check_positive("max_positions", max_positions)
        self.dropout = check_rate("dropout", dropout)

    def sequence_layer(self, name: str) -> TargetTransducer:
        return TargetTransducer(
            self.num_blocks, self.num_heads, self.max_positions, self.dropout, dtype=self.dtype_policy, name=name
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_blocks": self.num_blocks,
            "num_heads": self.num_heads,
            "max_positions": self.max_positions,
            "dropout": self.dropout,
        }
