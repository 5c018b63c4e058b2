"""Learned positions that count from the latest event."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    check_positive,
    read_history,
    sequence_shape,
)


@register
class RecencyPositions(keras.layers.Layer):
    """A learned vector for each event by its distance to the latest one: `p_t = P[length - 1 - t]`.

    The latest event has the first row of the table; events further back than it reaches share the last one.

    Args:
        dim: int. Width of the vectors.
        max_positions: int. Rows of the table. Defaults to `128`.

    Input: `{"sequence": [batch, time, width], "lengths": [batch]}`. Output shape: `[batch, time, dim]`. Padded
    positions have the vector of the latest event.

    Raises:
        ValueError: If an argument is not a positive integer.

    Example:

    >>> inputs = {"sequence": np.ones((3, 50, 16), "float32"), "lengths": np.array([0, 7, 50])}
    >>> RecencyPositions(8)(inputs).shape
    TensorShape([3, 50, 8])
    """

    def __init__(self, dim: int, max_positions: int = 128, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = check_positive("dim", dim)
        self.max_positions = check_positive("max_positions", max_positions)

    def build(self, input_shape: Any) -> None:
        sequence_shape(input_shape["sequence"])
        initializer = keras.initializers.RandomNormal(stddev=0.05)
        self.positions = self.add_weight(
            name="positions", shape=(self.max_positions, self.dim), initializer=initializer
        )
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        sequence, lengths = read_history(inputs["sequence"], inputs["lengths"])
        back = ops.expand_dims(lengths, 1) - 1 - ops.expand_dims(ops.arange(ops.shape(sequence)[1]), 0)
        table = ops.cast(ops.convert_to_tensor(self.positions), self.compute_dtype)
        return ops.take(table, ops.clip(back, 0, self.max_positions - 1), axis=0)

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, time, _ = sequence_shape(input_shape["sequence"])
        return batch, time, self.dim

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim, "max_positions": self.max_positions}
