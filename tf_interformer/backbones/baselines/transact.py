"""TransAct."""

from tf_interformer._keras import register
from tf_interformer.backbones.baselines._one_sequence_layer import OneSequenceLayer
from tf_interformer.layers.sequences.candidate_transformer import CandidateTransformer


@register
class TransAct(OneSequenceLayer):
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

    layer_class = CandidateTransformer
