"""Deep Interest Evolution Network."""

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._one_sequence_layer import OneSequenceLayer
from tf_interformer.layers.sequences.interest_evolution import InterestEvolution


@register
class DIEN(OneSequenceLayer):
    """Deep Interest Evolution Network: GRU, target attention, AUGRU (arXiv 1809.03672).

    The representation is the features, flattened, and beside them what each sequence came to.
    See `InterestEvolution` for the equations, the auxiliary loss and what is ours. Its loops and its loss cannot
    stand in a function that XLA compiles without the gradients, so training is not compiled.

    Args:
        tasks: list of str. Names of the tasks; they share the representation. Defaults to `("label",)`.
        targets: dict. Name of a sequence -> for each field of its events the index of the feature token that shares
            its table; -1 where there is none, and a learned vector stands in. A `Ranker` that makes the model by name
            fills it in.
        auxiliary_weight: float. Weight of the auxiliary loss of each sequence, in training only; 0 for none. Defaults
            to `1.0`.

    Input: `{"features": [batch, N, dim], "sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`.
    Padding may hold anything, even NaN.
    Output: `{task: [batch, N * dim + widths of the events]}`.

    Raises:
        ValueError: If an argument is out of range, or `targets` does not fit the inputs.

    Example:

    >>> model = DIEN(tasks=["click"], targets={"views": [3]})
    >>> model({
    ...     "features": np.ones((3, 5, 16), "float32"),
    ...     "sequences": {"views": np.ones((3, 50, 16), "float32")},
    ...     "lengths": {"views": np.array([0, 7, 50])},
    ... })["click"].shape
    TensorShape([3, 96])

    Reference:
        [Deep Interest Evolution Network, arXiv 1809.03672](https://arxiv.org/abs/1809.03672)
    """

    layer_class = InterestEvolution

    @property
    def compiled_training(self) -> bool:
        return False
