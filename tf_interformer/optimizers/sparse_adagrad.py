"""Adagrad that touches the rows of a batch."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.optimizers._row_updates import RowUpdates


@register
class SparseAdagrad(RowUpdates, keras.optimizers.Adagrad):
    """Adagrad that updates, of an embedding table, the rows that the batch has read, and their accumulators.

    The result is that of Keras's Adagrad, which changes no row without a gradient either, but reads and writes all of
    them under Keras 3. Every number has its own accumulator, as in Keras; `RowWiseAdagrad` has one
    per row.

    Args:
        learning_rate: float or schedule. Defaults to `0.001`.
        initial_accumulator_value: float. Defaults to `0.1`.
        epsilon: float. Defaults to `1e-7`.
        **kwargs: As for `LazyAdam`, weight decay and clipping among them.

    Raises:
        ValueError: If `gradient_accumulation_steps` is given.

    Reference:
        [Duchi et al., 2011](https://jmlr.org/papers/v12/duchi11a.html)

    Example:

    >>> import tensorflow as tf
    >>> table = tf.Variable(tf.ones((3, 1)))
    >>> gradient = tf.IndexedSlices(tf.ones((1, 1)), [1], (3, 1))
    >>> _ = SparseAdagrad(0.5, initial_accumulator_value=3.0, epsilon=0.0).apply_gradients([(gradient, table)])
    >>> table.numpy()[:, 0].tolist()
    [1.0, 0.75, 1.0]
    """

    def _update_rows(self, variable: Any, rows: Any, gradient: Any, rate: Any) -> None:
        accumulators = self._slot(self._accumulators, variable)
        accumulator = self._read(accumulators, rows) + ops.square(gradient)
        self._write(accumulators, rows, accumulator)
        self._subtract(variable, rows, rate * gradient / ops.sqrt(accumulator + self.epsilon))
