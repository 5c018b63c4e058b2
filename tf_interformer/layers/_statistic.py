"""State that a layer keeps about its inputs."""

from typing import Any

from tf_interformer._keras import LEGACY, keras
from tf_interformer._tensorflow import tf


def add_statistic(layer: Any, name: str, shape: tuple[int, ...], initializer: str) -> Any:
    """A float32 variable that every replica writes for itself, like those of batch norm; what is saved is the mean."""
    if LEGACY:
        return layer.add_weight(
            name=name,
            shape=shape,
            dtype="float32",
            initializer=initializer,
            trainable=False,
            experimental_autocast=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.MEAN,
        )
    # `add_weight` of Keras 3 knows no synchronization.
    return keras.Variable(
        keras.initializers.get(initializer),
        shape=shape,
        dtype="float32",
        trainable=False,
        autocast=False,
        aggregation="mean",
        synchronization="on_read",
        name=name,
    )
