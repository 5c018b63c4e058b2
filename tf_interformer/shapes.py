"""Datasets that do not say how many dimensions their columns have, as `Dataset.from_generator` makes them."""

from collections.abc import Mapping
from typing import Any

from tf_interformer._tensorflow import is_a, tf


def with_widths(inputs: Mapping[str, Any], shapes: Mapping[str, tuple[int | None, ...]]) -> dict[str, Any]:
    """An encoded batch of a graph, its lists and vectors of known width: tf_keras forgets it of what a generator gives.

    Args:
        inputs: Column -> tensor or array.
        shapes: Shape of every column of an encoded batch.

    Example:

    >>> spec = {"a": tf.TensorSpec((None, None))}
    >>> tf.function(lambda batch: print(with_widths(batch, {"a": (None, 3)})["a"].shape)).get_concrete_function(spec)
    (None, 3)
    ...
    """
    return {
        key: tf.ensure_shape(value, shapes[key]) if key in shapes and _has_no_width(value) else value
        for key, value in inputs.items()
    }


def _has_no_width(value: Any) -> bool:
    return is_a(value, "Tensor") and (value.shape.rank is None or None in value.shape[1:])


def with_shapes(data: Any, shapes: Mapping[str, tuple[int | None, ...]]) -> Any:
    """The data as `fit` takes them, their columns of the shapes that encoded batches have.

    Args:
        data: Anything; what is no dataset, or says its shapes, is returned as it is.
        shapes: Shape of every column of an encoded batch.

    Example:

    >>> types = {"a": tf.int32}, tf.int32
    >>> data = tf.data.Dataset.from_generator(lambda: [({"a": [1, 2]}, [0, 1])], output_types=types)
    >>> with_shapes(data, {"a": (None,)}).element_spec[0]["a"].shape.rank
    1
    """
    if not is_a(data, "data.Dataset"):
        return data
    if all(spec.shape.rank is not None for spec in tf.nest.flatten(data.element_spec)):
        return data

    def shaped(inputs: Mapping[str, Any], *others: Any) -> Any:
        inputs = {key: tf.ensure_shape(value, shapes.get(key, [None])) for key, value in inputs.items()}
        if not others:
            return inputs
        labels, *weights = others
        labels = tf.nest.map_structure(lambda value: tf.reshape(value, [-1, 1]), labels)
        return (inputs, labels, *tf.nest.map_structure(lambda value: tf.reshape(value, [-1]), weights))

    return data.map(shaped)
