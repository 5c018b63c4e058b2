"""A layer's weights as a nest of float64 arrays under the names of its attributes."""

from typing import Any

import numpy as np

from tf_interformer._keras import keras


def weights_of(target: Any) -> Any:
    if isinstance(target, keras.layers.Layer):
        found = {}
        for name, value in vars(target).items():
            if not name.startswith("_") and _holds_weights(value):
                found[name] = weights_of(value)
        return found
    if _is_list(target):
        return [weights_of(item) for item in target]
    return np.asarray(target.numpy(), dtype="float64")


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _is_variable(value: Any) -> bool:
    return hasattr(value, "assign") and hasattr(value, "numpy")


def _holds_weights(value: Any) -> bool:
    if _is_list(value):
        return all(_is_variable(item) or isinstance(item, keras.layers.Layer) for item in value)
    return _is_variable(value) or isinstance(value, keras.layers.Layer)
