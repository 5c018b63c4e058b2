"""Behavior Sequence Transformer."""

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._one_sequence_layer import OneSequenceLayer
from tf_interformer.layers.sequences.sequence_transformer import SequenceTransformer


@register
class BST(OneSequenceLayer):
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

    layer_class = SequenceTransformer
