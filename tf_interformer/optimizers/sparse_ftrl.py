"""FTRL that touches the rows of a batch."""

from typing import Any

from tf_interformer._keras import keras, ops, register
from tf_interformer.optimizers._row_updates import RowUpdates


@register
class SparseFtrl(RowUpdates, keras.optimizers.Ftrl):
    """FTRL that updates, of an embedding table, the rows that the batch has read, and their accumulators.

    FTRL computes a weight anew from its accumulators. Those of Keras know nothing of the weight that is there, so its
    first step forgets all initial weights, and what looked up embeddings is left with nearly nothing. Here the linear
    state is the one whose solution is the weight that is there, at the rate of the step, wherever a weight is not 0:

        z = -w (n^p / rate + 2 l2 + beta / rate) - sign(w) l1

    For a weight that started at 0, and a constant rate, the two are the same. Under a schedule a weight keeps its value
    when the rate changes, where Keras's is multiplied by the ratio of the rates; a rate of 0 changes nothing. Dense
    gradients are treated alike.

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
        ValueError: If `gradient_accumulation_steps` is given.

    Reference:
        [McMahan et al., 2013](https://research.google.com/pubs/archive/41159.pdf)

    Example:

    >>> import tensorflow as tf
    >>> table = tf.Variable(tf.ones((3, 1)))
    >>> gradient = tf.IndexedSlices(tf.ones((1, 1)), [1], (3, 1))
    >>> _ = SparseFtrl(0.5, initial_accumulator_value=3.0).apply_gradients([(gradient, table)])
    >>> table.numpy()[:, 0].tolist()
    [1.0, 0.75, 1.0]
    """

    for_whole_tables = True

    def _update_rows(self, variable: Any, rows: Any, gradient: Any, rate: Any) -> None:
        accumulators, linears = self._slot(self._accumulators, variable), self._slot(self._linears, variable)
        accumulator, linear, weight = (self._read(v, rows) for v in (accumulators, linears, variable))
        l1 = self.l1_regularization_strength
        squares = accumulator + ops.square(gradient)
        before, after = (ops.power(n, -self.learning_rate_power) for n in (accumulator, squares))
        # All are multiplied by the rate, which may be 0.
        l2 = 2 * self.l2_regularization_strength * rate + self.beta
        scaled = ops.where(weight == 0, rate * linear, -weight * (before + l2) - ops.sign(weight) * l1 * rate)
        scaled += rate * (gradient + 2 * self.l2_shrinkage_regularization_strength * weight) - (after - before) * weight
        solved = (ops.clip(scaled, -l1 * rate, l1 * rate) - scaled) / (after + l2)
        self._write(accumulators, rows, squares)
        self._write(linears, rows, ops.where(rate > 0, scaled / rate, linear))
        # No accumulator and no gradient: nothing to solve.
        self._write(variable, rows, ops.where(after + l2 > 0, solved, weight))
