"""What the layers share: shapes, wide arithmetic, projections, checks of arguments."""

import math
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tf_interformer._keras import LEGACY, keras, keras_backend, ops
from tf_interformer._tensorflow import tf

Tensor = Any
Shape = tuple[int | None, ...]


def shape_of(input_shape: Any) -> Shape:
    """Returns a tuple for what Keras passes as a shape: a TensorShape, a tuple or a list from JSON."""
    return tuple(None if size is None else int(size) for size in input_shape)


def _is_one_shape(input_shape: Any) -> bool:
    return all(size is None or isinstance(size, int) for size in tuple(input_shape))


def tokens_shape(input_shape: Any) -> Shape:
    """Returns `(B, N, D)` for tokens given as one `[B, N, D]` tensor or as a list of N `[B, D]` tensors."""
    if _is_one_shape(input_shape):
        shape = shape_of(input_shape)
    else:
        shapes = [shape_of(shape) for shape in input_shape]
        if any(len(shape) != 2 for shape in shapes) or len({shape[1] for shape in shapes}) != 1:
            raise ValueError(f"A list of tokens must hold tensors [batch, dim] of equal dim. Received: shapes {shapes}")
        shape = (shapes[0][0], len(shapes), shapes[0][1])
    if len(shape) != 3 or shape[1] is None or shape[2] is None:
        raise ValueError(
            "Tokens must have the shape [batch, tokens, dim] with known numbers of tokens and dimensions. "
            f"Received: shape {shape}"
        )
    return shape


def stack_tokens(inputs: Tensor) -> Tensor:
    """Returns one `[B, N, D]` tensor for tokens in either of the two forms of `tokens_shape`."""
    if isinstance(inputs, (list, tuple)):
        return ops.stack(list(inputs), axis=1)
    return inputs


def sequence_shape(input_shape: Any, name: str = "sequence") -> Shape:
    """Returns `(B, T, D)`; the length T may be unknown, the width D may not."""
    shape = shape_of(input_shape)
    if len(shape) != 3 or shape[2] is None:
        raise ValueError(f"`{name}` must have the shape [batch, time, dim] with a known dim. Received: shape {shape}")
    return shape


def wide(x: Tensor) -> Tensor:
    """Casts half precision to float32 and leaves float32 and float64 as they are."""
    dtype = keras.backend.standardize_dtype(x.dtype) if not LEGACY else x.dtype.name
    return ops.cast(x, "float32") if dtype in ("float16", "bfloat16") else x


def attach(owner: Any, name: str, layer: Any) -> None:
    """Makes a layer that is named after something of a user's an attribute; with a `_` more where there is one."""
    while hasattr(owner, name):
        name += "_"
    setattr(owner, name, layer)


def build_sublayer(layer: Any, input_shape: Any) -> None:
    """Builds a sub-layer so that its weights carry its name in both Kerases."""
    if LEGACY:
        # Keras 3 opens the scope itself; without it every kernel of tf_keras would be called "kernel:0".
        with keras.backend.name_scope(layer.name):
            layer.build(input_shape)
    else:
        layer.build(input_shape)


def fresh(initializer: Any) -> Any:
    """Copies an initializer: an unseeded one draws the same numbers each time that it is called."""
    return type(initializer).from_config(initializer.get_config())


def small(scale: float = 0.1) -> Any:
    """The Glorot initializer times `scale`: what is made by it starts near nothing, and its residual near identity."""
    return keras.initializers.VarianceScaling(scale=scale * scale, mode="fan_avg", distribution="uniform")


def softmax(scores: Tensor) -> Tensor:
    """Softmax over the last axis, also where that has size one (at which `keras.ops.softmax` warns)."""
    if scores.shape[-1] == 1:
        return ops.exp(scores - scores)
    return ops.softmax(scores, axis=-1)


def gelu(x: Tensor) -> Tensor:
    """GELU in the form with tanh; ONNX converters know no erf."""
    # By hand, because TensorFlow's rounds its constant to float32.
    return 0.5 * x * (1.0 + ops.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)))


def project(x: Tensor, kernel: Tensor) -> Tensor:
    """Multiplies the last axis of `[..., D]` by a `[D, E]` kernel as one matrix product."""
    kernel = ops.cast(kernel, x.dtype)  # a part of a layer may run by itself, where Keras casts no weights
    shape = tuple(ops.shape(x))
    if len(shape) == 2:
        return ops.matmul(x, kernel)
    flat = ops.matmul(ops.reshape(x, (-1, shape[-1])), kernel)
    middle = shape[1:-1]
    batch = -1 if all(isinstance(size, int) for size in middle) else shape[0]
    return ops.reshape(flat, (batch, *middle, kernel.shape[-1]))


def valid_positions(lengths: Tensor, time: Any) -> Tensor:
    """Returns `[B, time]`, true where a position holds an event."""
    return ops.expand_dims(ops.arange(time), 0) < ops.expand_dims(ops.cast(lengths, "int32"), 1)


def zero_where_not(valid: Tensor, values: Tensor) -> Tensor:
    """`[B, T]` or `[B, T, D]` with zeros in place of whatever, even a NaN, stands where `valid` `[B, T]` is false."""
    valid = valid if len(values.shape) == 2 else ops.expand_dims(valid, -1)
    return ops.where(valid, values, ops.zeros_like(values))


_READ: ContextVar[bool] = ContextVar("read", default=False)


@contextmanager
def histories_read() -> Iterator[None]:
    """Within it, layers take histories as they come: who opens it has read them, and once is enough for a model."""
    token = _READ.set(True)
    try:
        yield
    finally:
        _READ.reset(token)


def read_events(mask: Tensor, sequence: Tensor) -> Tensor:
    """`read_history` by a mask `[B, T]` of the events."""
    return sequence if _READ.get() else zero_where_not(mask, sequence)


def read_history(sequence: Tensor, lengths: Tensor, leading: int = 0) -> tuple[Tensor, Tensor]:
    """What a layer makes of histories `[B, T, ...]` before all else: zeros at padded positions, lengths within bounds.

    A length beyond the events is that of all events, one below 0 is 0. Whoever feeds a model is told of such lengths,
    by `tf_interformer.columns`; here, where XLA and exported graphs run, nothing can be refused.

    Args:
        sequence: `[B, T]` or `[B, T, D]`.
        lengths: `[B]`.
        leading: How many tokens at the front are no events and not counted.

    Returns:
        The sequence, and the lengths as int32; within `histories_read` as they came.
    """
    if _READ.get():
        return sequence, ops.cast(lengths, "int32")
    time = ops.shape(sequence)[1]
    lengths = ops.minimum(ops.maximum(ops.cast(lengths, "int32"), 0), time - leading)
    return zero_where_not(valid_positions(lengths + leading, time), sequence), lengths


def events_at(sequence: Tensor, positions: Tensor) -> Tensor:
    """The events `[B, Q, D]` at the positions `[B, Q]` of `[B, T, D]`; zeros where a position is negative."""
    batch, time, width = ops.shape(sequence)
    rows = ops.expand_dims(ops.arange(batch), 1) * time + ops.clip(positions, 0, time - 1)
    found = ops.reshape(
        ops.take(ops.reshape(sequence, (-1, width)), rows, axis=0), (batch, ops.shape(positions)[1], width)
    )
    return zero_where_not(positions >= 0, found)


def latest_events(sequence: Tensor, lengths: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The last `count` events of each history, oldest first, `[B, count, D]`, and how many of these there are."""
    time = ops.shape(sequence)[1]
    if isinstance(time, int) and time <= count:
        return sequence, lengths
    kept = ops.minimum(lengths, count)
    order = ops.expand_dims(ops.arange(count), 0)
    positions = order + ops.expand_dims(lengths - kept, 1)
    return events_at(sequence, ops.where(order < ops.expand_dims(kept, 1), positions, -1)), kept


def masked_mean(sequence: Tensor, lengths: Tensor) -> Tensor:
    """Averages `[B, T, D]` over the events of each history: `[B, D]`, zeros for an empty history.

    Padding must be finite, as that of `read_history` is.
    """
    valid = wide(ops.cast(valid_positions(lengths, ops.shape(sequence)[1]), sequence.dtype))
    count = ops.maximum(ops.sum(valid, axis=1, keepdims=True), 1.0)
    weights = ops.cast(valid / count, sequence.dtype)
    return ops.squeeze(ops.matmul(ops.expand_dims(weights, 1), sequence), axis=1)


def rows_of(values: Any, row: Tensor | None) -> Any:
    """A tensor `[R, ...]`, or a dict of such, with the row of each example; `row` is `[N]`, or None: R is N."""
    if row is None:
        return values
    if isinstance(values, dict):
        return {name: rows_of(value, row) for name, value in values.items()}
    if keras_backend() == "tensorflow":
        return tf.gather(values, row)  # Keras's has four operations more, for negative indices
    return ops.take(values, row, axis=0)


def check_positive(name: str, value: Any, minimum: int = 1) -> int:
    """Returns `value` if it is an integer of at least `minimum`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise ValueError(f"`{name}` must be an integer of at least {minimum}. Received: {name}={value!r}")
    return value


def check_units(name: str, value: Iterable[int]) -> tuple[int, ...]:
    """Returns a tuple of positive integers."""
    if isinstance(value, (str, int)) or value is None:
        raise ValueError(f"`{name}` must be a list of positive integers. Received: {name}={value!r}")
    return tuple(check_positive(name, units) for units in value)


def check_choice(name: str, value: Any, choices: Collection[Any]) -> Any:
    """Returns `value` if it is one of `choices`."""
    if value not in choices:
        known = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {known}. Received: {name}={value!r}")
    return value


def check_ratio(name: str, value: Any) -> float | None:
    """Returns a positive number or None."""
    if value is None or _is_positive(value):
        return value
    raise ValueError(f"`{name}` must be a positive number or None. Received: {name}={value!r}")


def check_factor(name: str, value: Any) -> float:
    """Returns a positive number."""
    if _is_positive(value):
        return value
    raise ValueError(f"`{name}` must be a positive number. Received: {name}={value!r}")


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def check_rate(name: str, value: Any) -> float:
    """Returns a dropout rate in [0, 1)."""
    if not isinstance(value, (int, float)) or not 0.0 <= value < 1.0:
        raise ValueError(f"`{name}` must be a number in [0, 1). Received: {name}={value!r}")
    return float(value)
