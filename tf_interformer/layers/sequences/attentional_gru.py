"""GRU with an attentional update gate."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.layers._common import (
    Shape,
    Tensor,
    build_sublayer,
    check_positive,
    project,
    read_history,
    sequence_shape,
    valid_positions,
)


@register
class AttentionalGRU(keras.layers.Layer):
    """GRU, or with an attention AUGRU, over right-padded histories, the recurrent layers of DIEN.

    `u = s(W_u x + U_u h + b_u)`, `r = s(W_r x + U_r h + b_r)`, `c = tanh(W_c x + r * U_c h + b_c)`,
    `h' = (1 - a u) * h + a u * c` with the attention a of the event; without an attention a = 1. Padding has a = 0:
    the last state of a history stays.

    The products with W are one matrix product for all events. The rest runs as `keras.layers.RNN` for any length:
    in TensorFlow graphs, in ONNX, and compiled by XLA if the gradients are within the compiled function too.

    Args:
        units: int. Width of the state.

    Input: `{"sequence": [batch, time, dim], "lengths": [batch]}`, optionally with `"attention": [batch, time]`.
    Output shape: `[batch, time, units]`, the states; the last one is final for every history.

    Raises:
        ValueError: If `units` is not a positive integer.

    Example:

    >>> states = AttentionalGRU(8)({"sequence": np.ones((3, 50, 16), "float32"), "lengths": np.array([0, 7, 50])})
    >>> states[:, -1].shape
    TensorShape([3, 8])

    Reference:
        [Deep Interest Evolution Network, arXiv 1809.03672](https://arxiv.org/abs/1809.03672)
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = check_positive("units", units)

    def build(self, input_shape: Any) -> None:
        batch, time, width = sequence_shape(input_shape["sequence"])
        self.kernel = self.add_weight(name="kernel", shape=(width, 3 * self.units), initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(3 * self.units,), initializer="zeros")
        cell = _GRUCell(self.units, dtype=self.dtype_policy, name="cell")
        self.rnn = keras.layers.RNN(cell, return_sequences=True, dtype=self.dtype_policy, name="rnn")
        build_sublayer(self.rnn, (batch, time, 3 * self.units + 1))
        super().build(input_shape)

    def call(self, inputs: dict[str, Tensor]) -> Tensor:
        events, lengths = read_history(inputs["sequence"], inputs["lengths"])
        gates = project(events, self.kernel) + ops.cast(self.bias, events.dtype)
        attention = ops.cast(valid_positions(lengths, ops.shape(events)[1]), events.dtype)
        if "attention" in inputs:
            attention = attention * read_history(ops.cast(inputs["attention"], events.dtype), lengths)[0]
        return self.rnn(ops.concatenate([gates, ops.expand_dims(attention, 2)], axis=-1))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        batch, time, _ = sequence_shape(input_shape["sequence"])
        return batch, time, self.units

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}


@register
class _GRUCell(keras.layers.Layer):
    """One step: `[W x + b || a]` and the state before it make the state."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.state_size = units
        self.output_size = units

    def build(self, input_shape: Any) -> None:
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel", shape=(self.units, 3 * self.units), initializer="glorot_uniform"
        )
        super().build(input_shape)

    def call(self, inputs: Tensor, states: Any, training: bool | None = None) -> tuple[Tensor, list[Tensor]]:
        state = states[0]
        size = self.units
        recurrent = ops.matmul(state, ops.cast(self.recurrent_kernel, state.dtype))
        gates = ops.sigmoid(inputs[:, : 2 * size] + recurrent[:, : 2 * size])
        update = inputs[:, 3 * size :] * gates[:, :size]
        candidate = ops.tanh(inputs[:, 2 * size : 3 * size] + gates[:, size:] * recurrent[:, 2 * size :])
        state = (1.0 - update) * state + update * candidate
        return state, [state]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}
