"""Merges several behaviour sequences into one."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._alignment import ALIGNMENTS, extend, longest_of, shift
from tf_interformer.layers._common import (
    Tensor,
    build_sublayer,
    check_choice,
    check_positive,
    check_ratio,
    project,
    read_history,
    sequence_shape,
)
from tf_interformer.layers.mlp import MLP


@register
class MaskNetMerge(keras.layers.Layer):
    """Merges k sequences into one of width D: `S = MLP_lce(S * MLP_mask(S))` (InterFormer, Eq. 6).

    The sequences are laid side by side, position by position, along the embedding axis; shorter ones are extended
    by zeros. `MLP_mask` weighs every dimension of an event, `MLP_lce` is linear and without bias; both act on one
    event at a time. Padded positions are set to zero before use and come out as zero. The paper leaves the width
    and the activation of the mask open: as in MaskNet it has one hidden ReLU layer and no final activation. Its
    last bias starts at one, so that a fresh mask lets an event pass.

    Args:
        dim: int. D, the width of the merged sequence.
        mask_ratio: float or `None`. Width of the mask's hidden layer, as a multiple of its input; `None` leaves
            the mask out. Defaults to `1.0`.
        mask_activation: str or `None`. `"sigmoid"` bounds the mask. Defaults to `None`.
        alignment: str. `"recent"` first moves every history to the right end of the longest one of its example, so
            that the most recent events meet; `"oldest"` merges by position, which is the same where the histories of
            an example are equally long, and otherwise joins events of different times. The paper does not say.
            Defaults to `"recent"`.

    Input: `{"sequences": {name: [batch, time, width]}, "lengths": {name: [batch]}}`, or lists in place of the
    inner dicts. Dicts are read in the order of their sorted names.
    Output: `{"sequence": [batch, max time, dim], "lengths": [batch]}`; the length is that of the longest history.

    Raises:
        ValueError: If an argument is out of range, or sequences and lengths do not go together.

    Example:

    >>> merged = MaskNetMerge(16)({
    ...     "sequences": {"clicks": np.ones((2, 50, 48), "float32"), "buys": np.ones((2, 10, 32), "float32")},
    ...     "lengths": {"clicks": np.array([50, 3]), "buys": np.array([0, 10])},
    ... })
    >>> merged["sequence"].shape
    TensorShape([2, 50, 16])

    Reference:
        [InterFormer, arXiv 2411.09852](https://arxiv.org/abs/2411.09852)
        [MaskNet, arXiv 2102.07619](https://arxiv.org/abs/2102.07619)
    """

    def __init__(
        self,
        dim: int,
        mask_ratio: float | None = 1.0,
        mask_activation: str | None = None,
        alignment: str = "recent",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dim = check_positive("dim", dim)
        self.mask_ratio = check_ratio("mask_ratio", mask_ratio)
        self.mask_activation = check_choice("mask_activation", mask_activation, (None, "sigmoid"))
        self.alignment = check_choice("alignment", alignment, ALIGNMENTS)

    def build(self, input_shape: Any) -> None:
        shapes = [sequence_shape(shape) for shape in _aligned(input_shape)[0]]
        width = sum(shape[2] or 0 for shape in shapes)
        self.mask = None
        if self.mask_ratio is not None:
            self.mask = MLP(
                (max(1, round(self.mask_ratio * width)), width),
                activation="relu",
                final_activation=self.mask_activation,
                final_bias_initializer="zeros" if self.mask_activation else "ones",
                dtype=self.dtype_policy,
                name="mask",
            )
            build_sublayer(self.mask, (shapes[0][0], None, width))
        self.kernel = self.add_weight(name="kernel", shape=(width, self.dim), initializer="lecun_normal")
        super().build(input_shape)

    def call(self, inputs: Any) -> dict[str, Tensor]:
        sequences, lengths = _aligned(inputs)
        times = [ops.shape(sequence)[1] for sequence in sequences]
        histories = [read_history(sequence, n) for sequence, n in zip(sequences, lengths, strict=True)]
        sequences, lengths = (list(parts) for parts in zip(*histories, strict=True))
        length = longest_of(lengths)
        if len(sequences) > 1:
            time = longest_of(times)
            sequences = [extend(sequence, time) for sequence in sequences]
            if self.alignment == "recent":
                sequences = [shift(x, n, length) for x, n in zip(sequences, lengths, strict=True)]
            merged = ops.concatenate(sequences, axis=-1)
        else:
            merged = sequences[0]
        if self.mask is not None:
            merged = merged * self.mask(merged)
        return {"sequence": project(merged, self.kernel), "lengths": length}

    def compute_output_shape(self, input_shape: Any) -> dict[str, Any]:
        shapes = [sequence_shape(shape) for shape in _aligned(input_shape)[0]]
        times = [shape[1] for shape in shapes]
        time = None if None in times else max(t for t in times if t is not None)
        return {"sequence": (shapes[0][0], time, self.dim), "lengths": (shapes[0][0],)}

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dim": self.dim,
            "mask_ratio": self.mask_ratio,
            "mask_activation": self.mask_activation,
            "alignment": self.alignment,
        }


def _aligned(inputs: Any) -> tuple[list[Any], list[Any]]:
    sequences, lengths = inputs["sequences"], inputs["lengths"]
    if isinstance(sequences, dict):
        missing = sorted(set(sequences) - set(lengths))
        if missing or not sequences:
            raise ValueError(
                "There must be at least one sequence and a length for each. "
                f"Received: sequences {sorted(sequences)}, lengths {sorted(lengths)}"
            )
        names = sorted(sequences)
        return [sequences[name] for name in names], [lengths[name] for name in names]
    if len(sequences) != len(lengths) or not sequences:
        raise ValueError(
            "There must be at least one sequence and a length for each. "
            f"Received: {len(sequences)} sequences and {len(lengths)} lengths"
        )
    return list(sequences), list(lengths)
