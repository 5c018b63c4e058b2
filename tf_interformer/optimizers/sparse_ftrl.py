"""FTRL that touches the rows of a batch."""

from typing import Any

import tensorflow as tf

from tf_interformer._keras import keras, register
from tf_interformer.optimizers._row_updates import RowUpdates


@register
class SparseFtrl(RowUpdates, keras.optimizers.Ftrl):
    """FTRL that updates, of an embedding table, the rows that the batch has read, and their accumulators.

    FTRL computes a weight anew from its accumulators. Keras's does so for every row in every step, and thereby sets the
    rows without a gradient to zero in the first; here a row keeps its initial value until it is read. Dense gradients
    are left to Keras's FTRL.

    Args:
        learning_rate: float or schedule. Defaults to `0.001`.
        learning_rate_power: float, 0 or less. Defaults to `-0.5`.
        initial_accumulator_value: float. Defaults to `0.1`.
        l1_regularization_strength: float. Above 0, weights of little use become exactly 0. Defaults to `0.0`.
        l2_regularization_strength: float. Defaults to `0.0`.
        l2_shrinkage_regularization_strength: float. Defaults to `0.0`.
        beta: float. Defaults to `0.0`.
        **kwargs: As for `LazyAdam`, weight decay and clipping among them.

    Raises:
        ValueError: If `gradient_accumulation_steps` is given, or the backend of Keras is not TensorFlow.

    Reference:
        [McMahan et al., 2013](https://research.google.com/pubs/archive/41159.pdf)

    Example:

    >>> import tensorflow as tf
    >>> table = tf.Variable(tf.ones((3, 1)))
    >>> gradient = tf.IndexedSlices(tf.ones((1, 1)), [1], (3, 1))
    >>> _ = SparseFtrl(0.5, l1_regularization_strength=10.0).apply_gradients([(gradient, table)])
    >>> table.numpy()[:, 0].tolist()
    [1.0, 0.0, 1.0]
    """

    def _update_rows(self, variable: Any, rows: Any, gradient: Any, rate: Any) -> None:
        accumulators, linears = self._slot(self._accumulators, variable), self._slot(self._linears, variable)
        accumulator, linear, weight = (tf.gather(v, rows) for v in (accumulators, linears, variable))
        power = -self.learning_rate_power
        l1 = self.l1_regularization_strength
        l2 = self.l2_regularization_strength + self.beta / (2.0 * rate)
        shrunk = gradient + 2 * self.l2_shrinkage_regularization_strength * weight
        new = accumulator + tf.square(gradient)
        linear += shrunk - (tf.pow(new, power) - tf.pow(accumulator, power)) / rate * weight
        quadratic = tf.pow(new, power) / rate + 2 * l2
        accumulators.scatter_update(tf.IndexedSlices(new, rows))
        linears.scatter_update(tf.IndexedSlices(linear, rows))
        variable.scatter_update(tf.IndexedSlices((tf.clip_by_value(linear, -l1, l1) - linear) / quadratic, rows))
