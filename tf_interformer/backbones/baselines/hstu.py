"""Hierarchical Sequential Transduction Units."""

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._one_sequence_layer import OneSequenceLayer
from tf_interformer.layers.sequences.target_transducer import TargetTransducer


@register
class HSTU(OneSequenceLayer):
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

    layer_class = TargetTransducer
