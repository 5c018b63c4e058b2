"""Deep Multi-Interest Network."""

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._one_sequence_layer import OneSequenceLayer
from tf_interformer.layers.sequences.multi_interest import MultiInterest


@register
class DMIN(OneSequenceLayer):
    """Deep Multi-Interest Network: refined events, then one interest per attention head (CIKM 2020).

    The representation is the features, flattened, and beside them what each sequence came to.
    See `MultiInterest` for what is printed and what is ours. With an auxiliary loss training is not compiled by XLA.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        targets: dict. Name of a sequence -> for each field of its events the index of the feature token that shares
            its table; -1 where there is none, and a learned vector stands in. A `Ranker` that makes the model by name
            fills it in.
        num_interests: int. Must divide the width of an event. Defaults to `4`.
        num_heads: int. Heads of the refiner. Defaults to `4`.
        ffn_dim: int or `None`. Hidden width of the blocks; `None` means their width. Defaults to `None`.
        attention_units: list of int. Hidden layers of the target attention. Defaults to `(36,)`.
        auxiliary_weight: float. Weight of the auxiliary loss of each sequence, in training only; 0 for none. Defaults
            to `0.0`.
        max_positions: int. See `RecencyPositions`. Defaults to `128`.
        dropout: float. Rate in the blocks. Defaults to `0.0`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`.
    Padding may hold anything, even NaN.
    Output: `{task: [batch, N * dim + num_interests times the widths of the events]}`.

    Raises:
        ValueError: If an argument is out of range, or `targets` does not fit the inputs.

    Example:

    >>> model = DMIN(tasks=["click"], targets={"views": [3]})
    >>> model({
    ...     "features": np.ones((3, 5, 16), "float32"),
    ...     "sequences": {"views": np.ones((3, 50, 16), "float32")},
    ...     "lengths": {"views": np.array([0, 7, 50])},
    ... })["click"].shape
    TensorShape([3, 144])

    Reference:
        [Deep Multi-Interest Network, CIKM 2020](https://doi.org/10.1145/3340531.3412092)
    """

    layer_class = MultiInterest

    @property
    def compiled_training(self) -> bool:
        return not self.layer_config["auxiliary_weight"]
