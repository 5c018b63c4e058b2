"""Turns a name, a Keras config or a layer into a layer."""

from typing import Any

from tf_interformer._keras import keras


class Registry:
    """Names of layer classes of one kind; several names may mean the same class."""

    def __init__(self, kind: str, classes: dict[str, Any]) -> None:
        self.kind = kind
        self.classes = classes

    def get(self, identifier: Any, **kwargs: Any) -> Any:
        if isinstance(identifier, keras.layers.Layer):
            if kwargs:
                raise ValueError(
                    f"A {self.kind} given as a layer takes no further arguments. Received: {sorted(kwargs)}"
                )
            return identifier
        if isinstance(identifier, dict):
            layer = keras.saving.deserialize_keras_object(identifier)
            return type(layer).from_config({**layer.get_config(), **kwargs}) if kwargs else layer
        if identifier not in self.classes:
            raise ValueError(
                f"A {self.kind} must be a layer, its Keras config or one of {', '.join(sorted(self.classes))}. "
                f"Received: {identifier!r}"
            )
        return self.classes[identifier](**kwargs)
