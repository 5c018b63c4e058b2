"""What comparing a candidate with each event tells of the merged events."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._alignment import ALIGNMENTS, extend, shift
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    check_choice,
    check_positive,
    fresh,
    project,
    read_history,
    sequence_shape,
)


@register
class ComparedEvents(keras.layers.Layer):
    """What is told of each event by comparing it with a candidate, as a factor and a summand for that event.

    `[A || E] = sum_s align(C_s) W_s` over the sequences of which something is told, aligned as `MaskNetMerge` aligns
    these when it makes one sequence of all. A candidate's view of the events, which are embedded once for all
    candidates, is `S * (1 + A) + E`, see `CandidateBlock`. Ours; the factor is in place of the mask by which
    `MaskNetMerge` lets the fields of an event act on each other.

    Args:
        dim: int. Width of an event.
        alignment: str. As of the `MaskNetMerge`: `"oldest"` or `"recent"`. Defaults to `"recent"`.

    Input: `{"compared": {name: [N, time, width]}, "lengths": {name: [N]}, "longest": [N], "events": [any, T, any]}`:
    how many events each of the named sequences has, how many the merged one, and the merged one, for its length.
    Output shape: `[N, T, 2 dim]`; zeros where nothing is compared.

    Raises:
        ValueError: If an argument is out of range or nothing is compared.

    Example:

    >>> told = ComparedEvents(16)({
    ...     "compared": {"views": np.ones((3, 20, 8), "float32")}, "lengths": {"views": np.array([0, 7, 20])},
    ...     "longest": np.array([4, 50, 20]), "events": np.ones((3, 50, 16), "float32"),
    ... })
    >>> told.shape
    TensorShape([3, 50, 32])
    """

    def __init__(self, dim: int, alignment: str = "recent", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = check_positive("dim", dim)
        self.alignment = check_choice("alignment", alignment, ALIGNMENTS)

    def build(self, input_shape: Any) -> None:
        compared = input_shape["compared"]
        if not compared:
            raise ValueError("There must be at least one sequence of which something is compared. Received: none")
        initializer = keras.initializers.LecunNormal()
        self.kernels = []
        for i, name in enumerate(sorted(compared)):
            width = sequence_shape(compared[name], name)[2] or 0
            shape = (width, 2 * self.dim)
            self.kernels.append(self.add_weight(name=f"kernel_{i}", shape=shape, initializer=fresh(initializer)))
        super().build(input_shape)

    def call(self, inputs: dict[str, Any]) -> Tensor:
        time, longest = ops.shape(inputs["events"])[1], ops.cast(inputs["longest"], "int32")
        told = []
        for kernel, name in zip(self.kernels, sorted(inputs["compared"]), strict=True):
            values, lengths = read_history(inputs["compared"][name], inputs["lengths"][name])
            values = extend(project(values, kernel), time)
            told.append(shift(values, lengths, longest) if self.alignment == "recent" else values)
        return sum(told[1:], told[0])

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch = next(iter(input_shape["compared"].values()))[0]
        return batch, sequence_shape(input_shape["events"])[1], 2 * self.dim

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim, "alignment": self.alignment}
