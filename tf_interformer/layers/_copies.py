"""Layers that are given to another layer."""

from typing import Any

from tf_interformer._keras import keras


def copy_of(given: Any, policy: Any) -> Any:
    """A fresh layer, of this dtype policy, for a layer or its Keras config; `None` for `None`."""
    if given is None:
        return None
    layer = keras.saving.deserialize_keras_object(given) if isinstance(given, dict) else given
    return type(layer).from_config({**layer.get_config(), "dtype": policy})


def config_of(layer: Any) -> dict[str, Any] | None:
    """What `copy_of` makes the layer of again."""
    if layer is None:
        return None
    config = keras.saving.serialize_keras_object(layer)
    # Its owner builds it, by shapes that it works out itself.
    return {key: value for key, value in config.items() if key != "build_config"}
