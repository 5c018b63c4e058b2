"""Examples of an evaluation, kept until its end for metrics that need all of them."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf


class StoredExamples:
    """Columns that grow on every replica, and are read together.

    To be made in the strategy's scope. Not a `tf.Module`, so that a model that has one neither counts its
    variables as weights nor saves them.

    Args:
        columns: Names and dtypes.
    """

    def __init__(self, columns: Mapping[str, tf.DType]) -> None:
        self._columns = {
            name: tf.Variable(
                tf.zeros([0], dtype),
                shape=[None],
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.NONE,
            )
            for name, dtype in columns.items()
        }
        self._strategy = tf.distribute.get_strategy()
        # Strategies warn of functions that they run eagerly.
        self._empty = tf.function(lambda: self._strategy.run(self._empty_replica))
        self._values = tf.function(lambda: self._strategy.run(self._values_of_replica))

    def append(self, values: Mapping[str, tf.Tensor]) -> None:
        """Add a replica's examples; to be called in its train or test step."""
        for name, column in self._columns.items():
            new = tf.cast(tf.reshape(values[name], [-1]), column.dtype)
            column.assign(tf.concat([column.read_value(), new], axis=0))

    def clear(self) -> None:
        """Forget the examples of all replicas."""
        self._empty()

    def read(self) -> dict[str, np.ndarray]:
        """The examples of all replicas."""
        parts = self._values()
        if self._strategy.num_replicas_in_sync > 1:
            parts = {name: self._strategy.gather(part, axis=0) for name, part in parts.items()}
        return {name: part.numpy() for name, part in parts.items()}

    def _empty_replica(self) -> None:
        for column in self._columns.values():
            column.assign(tf.zeros([0], column.dtype))

    def _values_of_replica(self) -> dict[str, tf.Tensor]:
        return {name: column.read_value() for name, column in self._columns.items()}


def group_ids(groups: tf.Tensor) -> tf.Tensor:
    """Group keys as integers; strings by a hash of 63 bits."""
    groups = tf.convert_to_tensor(groups)
    if groups.dtype == tf.string:
        return tf.strings.to_hash_bucket_fast(groups, 2**63 - 1)
    return tf.cast(groups, tf.int64)
