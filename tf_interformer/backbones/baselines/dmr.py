"""Deep Match to Rank."""

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._one_sequence_layer import OneSequenceLayer
from tf_interformer.layers.sequences.match_to_rank import MatchToRank


@register
class DMR(OneSequenceLayer):
    """Deep Match to Rank: how well user and item match is an input of the ranking (AAAI 2020).

    The representation is the features, flattened, and beside them what each sequence came to.
    See `MatchToRank` for the equations, the auxiliary loss and what is ours. With an auxiliary loss training is not
    compiled by XLA.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        targets: dict. Name of a sequence -> for each field of its events the index of the feature token that shares
            its table; -1 where there is none, and a learned vector stands in. A `Ranker` that makes the model by name
            fills it in.
        attention_dim: int or `None`. Hidden width of the attentions; `None` means the width of an event. Defaults to
            `None`.
        auxiliary_weight: float. Weight of the auxiliary loss of each sequence, in training only; 0 for none. Defaults
            to `0.1`.
        max_positions: int. See `RecencyPositions`. Defaults to `128`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`.
    Padding may hold anything, even NaN.
    Output: `{task: [batch, N * dim + widths of the events + 2 per sequence]}`.

    Raises:
        ValueError: If an argument is out of range, or `targets` does not fit the inputs.

    Example:

    >>> model = DMR(tasks=["click"], targets={"views": [3]})
    >>> model({
    ...     "features": np.ones((3, 5, 16), "float32"),
    ...     "sequences": {"views": np.ones((3, 50, 16), "float32")},
    ...     "lengths": {"views": np.array([0, 7, 50])},
    ... })["click"].shape
    TensorShape([3, 98])

    Reference:
        [Deep Match to Rank, AAAI 2020](https://doi.org/10.1609/aaai.v34i01.5346)
    """

    layer_class = MatchToRank

    @property
    def compiled_training(self) -> bool:
        return not self.layer_config["auxiliary_weight"]
