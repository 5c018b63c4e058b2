"""Keras's dynamic loss scale, right for the gradients of tables."""

from collections.abc import Sequence
from typing import Any

from tf_interformer._keras import LEGACY, keras, ops, register
from tf_interformer._tensorflow import is_a

if LEGACY:
    RowLossScaleOptimizer: Any = keras.mixed_precision.LossScaleOptimizer

else:

    @register
    class RowLossScaleOptimizer(keras.mixed_precision.LossScaleOptimizer):  # type: ignore[no-redef]
        """`LossScaleOptimizer` for models with embedding tables, in `mixed_float16`.

        Keras 3 spreads the gradient of a table over all rows to see whether it is finite. That costs a pass over the
        table, and of several gradients of one row it sees one: an infinity behind a finite number is applied, and the
        weights become NaN. This one looks at what the batch gave. `Ranker.compile` puts it around an optimizer where
        the dtype policy asks for a loss scale. Under tf_keras the name stands for `LossScaleOptimizer` itself, which
        is right as it is.

        Args:
            inner_optimizer: optimizer.
            initial_scale: float. Defaults to `2 ** 15`.
            dynamic_growth_steps: int. Finite steps after which the scale is doubled. Defaults to `2000`.

        Example:

        >>> import tensorflow as tf
        >>> from tf_interformer.optimizers import LazyAdam
        >>> optimizer = RowLossScaleOptimizer(LazyAdam(0.1))
        >>> table = tf.Variable(tf.ones((3, 1)))
        >>> gradient = tf.IndexedSlices(tf.constant([[float("inf")], [1.0]]), [1, 1], (3, 1))
        >>> _ = optimizer.apply_gradients([(gradient, table)])  # left out
        >>> table.numpy()[:, 0].tolist()
        [1.0, 1.0, 1.0]
        """

        def check_finite(self, grads: Sequence[Any]) -> Any:
            values = [g.values if is_a(g, "IndexedSlices") else g for g in grads if g is not None]
            return ops.all(ops.stack([ops.all(ops.isfinite(v)) for v in values]))
