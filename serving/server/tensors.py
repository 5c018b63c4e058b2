"""Arrays from and to protos."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto

from serving.server.errors import invalid
from serving.server.validation import Declared

_FIELDS = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int32: "int_val",
    tf.int16: "int_val",
    tf.int8: "int_val",
    tf.uint16: "int_val",
    tf.uint8: "int_val",
    tf.int64: "int64_val",
    tf.uint32: "uint32_val",
    tf.uint64: "uint64_val",
    tf.string: "string_val",
    tf.bool: "bool_val",
    tf.float16: "half_val",
    tf.bfloat16: "half_val",
    tf.complex64: "scomplex_val",
    tf.complex128: "dcomplex_val",
}
_HALVES = (tf.float16, tf.bfloat16)  # as the 16 bits of each
_COMPLEX = {tf.complex64: np.float32, tf.complex128: np.float64}  # as two numbers each
# A value takes at least a byte of a message, and at most so many of the array.
_LARGEST_VALUE = 16
_POINTER = 8  # what a string takes beside its bytes
_MOST_AXES = 64  # of NumPy


def declared(name: str, tensor: Any) -> Declared:
    """What a `TensorProto` says of itself; none of its values is looked at.

    Args:
        name: Name of the input, for the error.
        tensor: `TensorProto`.

    Raises:
        ServingError: Its shape is unknown, or no array has its dtype.
    """
    rank = len(tensor.tensor_shape.dim)
    if rank > _MOST_AXES:
        raise invalid(f"input {name!r} may have at most {_MOST_AXES} axes. Received: {rank}")
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    if tensor.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise invalid(f"input {name!r} must have a known shape. Received: {list(shape)}")
    try:
        dtype = tf.as_dtype(tensor.dtype)
    except TypeError:
        dtype = None
    if dtype not in _FIELDS:
        received = dtype.name if dtype is not None else tensor.dtype
        raise invalid(f"input {name!r} has no dtype that a request may hold. Received: {received}")
    return Declared(dtype, shape)


def require_size(inputs: Mapping[str, Declared], message_size: int, limit: int) -> int:
    """Refuses what is small as a message and large as arrays: one value may stand for any number of equal ones.

    Args:
        inputs: What each tensor says of itself.
        message_size: Bytes of the message.
        limit: Bytes that a request may take.

    Returns:
        Bytes of the arrays.

    Raises:
        ServingError: They are more than `limit`, and more than the message can hold one by one.
    """
    size = sum(math.prod(given.shape) * (given.dtype.size or _POINTER) for given in inputs.values())
    if size > max(limit, _LARGEST_VALUE * message_size):
        raise invalid(
            f"the inputs unpack to {size} bytes: this server takes at most {limit}; --max-body-mb of the server sets "
            "that"
        )
    return size


def to_array(name: str, tensor: Any) -> np.ndarray:
    """The array that a `TensorProto` holds; a single value stands for all.

    Args:
        name: Name of the input, for the error.
        tensor: `TensorProto`.

    Raises:
        ServingError: As `declared`, or it does not hold as many values as its shape says.
    """
    dtype, shape = declared(name, tensor)
    count = math.prod(shape)
    if tensor.tensor_content:
        if dtype == tf.string or len(tensor.tensor_content) != count * dtype.size:
            raise invalid(
                f"input {name!r} is no whole tensor: its shape is {list(shape)}, its content has "
                f"{len(tensor.tensor_content)} bytes"
            )
        return np.frombuffer(tensor.tensor_content, dtype.as_numpy_dtype).reshape(shape)
    field = getattr(tensor, _FIELDS[dtype])
    found = len(field) // 2 if dtype in _COMPLEX else len(field)
    if found != count and not (found == 1 and count > 1):
        raise invalid(f"input {name!r} has the shape {list(shape)} but {found} values")
    try:
        values = _values(field, dtype)
    except OverflowError:
        raise invalid(f"input {name!r} holds a number that is no {dtype.name}") from None
    if found != count:
        return np.full(shape, values[0], values.dtype)
    return values.reshape(shape)


def _values(field: Any, dtype: tf.DType) -> np.ndarray:
    if dtype in _HALVES:
        return np.array(field[:], np.uint16).view(dtype.as_numpy_dtype)
    if dtype in _COMPLEX:
        return np.array(field[: len(field) // 2 * 2], _COMPLEX[dtype]).view(dtype.as_numpy_dtype)
    return np.array(field[:], dtype.as_numpy_dtype)


def to_proto(array: np.ndarray) -> Any:
    """The `TensorProto` of an output, its values in the typed field that clients read."""
    array = np.asarray(array)
    dtype = tf.string if array.dtype == object else tf.as_dtype(array.dtype)
    if dtype not in _FIELDS:
        return tf.make_tensor_proto(array)
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in array.shape])
    tensor = TensorProto(dtype=dtype.as_datatype_enum, tensor_shape=shape)
    values = np.ascontiguousarray(array).ravel()
    if dtype in _HALVES:
        values = values.view(np.uint16)
    elif dtype in _COMPLEX:
        values = values.view(_COMPLEX[dtype])
    getattr(tensor, _FIELDS[dtype]).extend(values.tolist())
    return tensor


def examples_of(given: Any, max_rows: int | None = None, limit: int | None = None) -> np.ndarray:
    """The serialized `tf.train.Example`s of a classify or regress request's `Input`.

    Args:
        given: `Input`; features of a context are added to every example.
        max_rows: Examples that a request may have. Defaults to any number.
        limit: Bytes to which a context may multiply. Defaults to any number.

    Raises:
        ServingError: It holds no example, or too much.
    """
    with_context = given.WhichOneof("kind") == "example_list_with_context"
    held = given.example_list_with_context if with_context else given.example_list
    count = len(held.examples)
    if not count:
        raise invalid("the request's `input` holds no example")
    if max_rows is not None and count > max_rows:
        raise invalid(f"the request's `input` has {count} examples: this server takes at most {max_rows}")
    # Of two features of one name the later counts, the example's own.
    context = held.context.SerializeToString() if with_context else b""
    if limit is not None and len(context) * count > limit:
        raise invalid(
            f"the context of {len(context)} bytes goes to each of {count} examples: this server takes at most {limit} "
            "bytes; --max-body-mb of the server sets that"
        )
    return np.array([context + example.SerializeToString() for example in held.examples], object)
