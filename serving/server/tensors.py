"""Arrays from and to protos."""

import math
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto

from serving.server.errors import invalid

# Guards the memory: a proto of a few bytes can declare any shape.
_MOST_ELEMENTS = 2**24
_FIELDS = {
    tf.float32: "float_val",
    tf.float64: "double_val",
    tf.int32: "int_val",
    tf.int64: "int64_val",
    tf.string: "string_val",
    tf.bool: "bool_val",
}


def to_array(name: str, tensor: Any) -> np.ndarray:
    """The array that a `TensorProto` holds.

    Args:
        name: Name of the input, for the error.
        tensor: `TensorProto`.

    Raises:
        ServingError: Its shape is unknown or too large, or it does not hold that many values.
    """
    sizes = [dim.size for dim in tensor.tensor_shape.dim]
    count = math.prod(sizes)
    if tensor.tensor_shape.unknown_rank or min(sizes, default=0) < 0 or count > _MOST_ELEMENTS:
        raise invalid(f"input {name!r} must have a known shape of at most {_MOST_ELEMENTS} elements. Received: {sizes}")
    try:
        dtype = tf.as_dtype(tensor.dtype)
    except TypeError:
        raise invalid(f"input {name!r} has no known dtype. Received: {tensor.dtype}") from None
    field = _FIELDS.get(dtype)
    if field is not None and not tensor.tensor_content:
        values = getattr(tensor, field)
        if len(values) != count and not (len(values) == 1 and count > 1):
            raise invalid(f"input {name!r} has the shape {sizes} but {len(values)} values")
    try:
        return tf.make_ndarray(tensor)
    except (TypeError, ValueError, IndexError) as error:
        raise invalid(f"input {name!r} is no whole tensor: {error}") from None


def to_proto(array: np.ndarray) -> Any:
    """The `TensorProto` of an output, its values in the typed field that clients read."""
    array = np.asarray(array)
    dtype = tf.string if array.dtype == object else tf.as_dtype(array.dtype)
    if dtype not in _FIELDS:
        return tf.make_tensor_proto(array)
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in array.shape])
    tensor = TensorProto(dtype=dtype.as_datatype_enum, tensor_shape=shape)
    getattr(tensor, _FIELDS[dtype]).extend(array.ravel().tolist())
    return tensor


def examples_of(given: Any) -> np.ndarray:
    """The serialized `tf.train.Example`s of a classify or regress request's `Input`.

    Args:
        given: `Input`; features of a context are added to every example.

    Raises:
        ServingError: It holds no example.
    """
    kind = given.WhichOneof("kind")
    if kind == "example_list_with_context":
        context = given.example_list_with_context.context
        examples = list(given.example_list_with_context.examples)
        for example in examples:
            for name, feature in context.features.feature.items():
                if name not in example.features.feature:
                    example.features.feature[name].CopyFrom(feature)
    else:
        examples = list(given.example_list.examples)
    if not examples:
        raise invalid("the request's `input` holds no example")
    return np.array([example.SerializeToString() for example in examples], object)
