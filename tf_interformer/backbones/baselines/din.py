"""Deep Interest Network."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._behaviour_sequence import BehaviourSequence
from tf_interformer.layers._common import check_units
from tf_interformer.layers.sequences.target_attention import TargetAttention


@register
class DIN(BehaviourSequence):
    """Deep Interest Network: each history is summed up by its relevance to the target (arXiv 1706.06978).

    The representation is the features, flattened, and beside them what each sequence came to.
    The attention is that of `TargetAttention`, which says what is printed. The paper compares layers with Dice or PReLU
    and adds a regulariser for its tables; here the activation is an argument and the tables are the embedder's.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        targets: dict. Name of a sequence -> for each field of its events the index of the feature token that shares
            its table; -1 where there is none, and a learned vector stands in. A `Ranker` that makes the model by name
            fills it in.
        attention_units: list of int. Hidden layers of the attention. Defaults to `(36,)`, as printed.
        attention_activation: str. Of these layers. Defaults to `"swish"`.
        normalize: bool. Softmax over the events of a history. Defaults to `False`, as printed.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`.
    Padding may hold anything, even NaN.
    Output: `{task: [batch, N * dim + widths of the events]}`.

    Raises:
        ValueError: If an argument is out of range, or `targets` does not fit the inputs.

    Example:

    >>> model = DIN(tasks=["click"], targets={"views": [3]})
    >>> model({
    ...     "features": np.ones((3, 5, 16), "float32"),
    ...     "sequences": {"views": np.ones((3, 50, 16), "float32")},
    ...     "lengths": {"views": np.array([0, 7, 50])},
    ... })["click"].shape
    TensorShape([3, 96])

    Reference:
        [Deep Interest Network, arXiv 1706.06978](https://arxiv.org/abs/1706.06978)
    """

    def __init__(
        self,
        tasks: Sequence[str] = ("label",),
        targets: Mapping[str, Sequence[int]] | None = None,
        attention_units: Sequence[int] = (36,),
        attention_activation: str = "swish",
        normalize: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, targets=targets, **kwargs)
        self.attention_units = check_units("attention_units", attention_units)
        self.attention_activation = attention_activation
        self.normalize = normalize

    def sequence_layer(self, name: str) -> TargetAttention:
        return TargetAttention(
            self.attention_units, self.attention_activation, self.normalize, dtype=self.dtype_policy, name=name
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "attention_units": list(self.attention_units),
            "attention_activation": self.attention_activation,
            "normalize": self.normalize,
        }
