"""Adam's rule for the rows of a batch."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tf_interformer._keras import ops
from tf_interformer.layers._common import check_choice
from tf_interformer.optimizers._row_updates import RowUpdates


class AdamRows(RowUpdates):
    """Goes in front of `Adam` and `AdamW`, which keep the same moments under the same names."""

    def __init__(self, *args: Any, bias_correction: str = "steps", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bias_correction = check_choice("bias_correction", bias_correction, ("steps", "rows"))

    def build(self, variables: Sequence[Any]) -> None:
        built = self._is_built
        super().build(variables)
        if self.bias_correction == "rows" and not built:
            self._counts = [self._row_state(variable, "count", 0.0) for variable in variables]

    def _update_rows(self, variable: Any, rows: Any, gradient: Any, rate: Any) -> None:
        dtype = variable.dtype
        step = ops.cast(self.iterations + 1, dtype)
        if self.bias_correction == "rows":
            counts = self._slot(self._counts, variable)
            step = tf.gather(counts, rows) + 1
            counts.scatter_update(tf.IndexedSlices(step, rows))
        beta_1_power = tf.pow(tf.constant(self.beta_1, dtype), step)
        beta_2_power = tf.pow(tf.constant(self.beta_2, dtype), step)
        alpha = rate * tf.sqrt(1 - beta_2_power) / (1 - beta_1_power)
        epsilon = self.epsilon
        if getattr(self, "adaptive_epsilon", False):  # tf_keras only
            epsilon = epsilon * tf.sqrt(1 - beta_2_power)

        momentums = self._slot(self._momentums, variable)
        velocities = self._slot(self._velocities, variable)
        momentum, velocity = tf.gather(momentums, rows), tf.gather(velocities, rows)
        momentum += (gradient - momentum) * (1 - self.beta_1)
        velocity += (tf.square(gradient) - velocity) * (1 - self.beta_2)
        momentums.scatter_update(tf.IndexedSlices(momentum, rows))
        velocities.scatter_update(tf.IndexedSlices(velocity, rows))
        if self.amsgrad:
            highest = self._slot(self._velocity_hats, variable)
            velocity = tf.maximum(tf.gather(highest, rows), velocity)
            highest.scatter_update(tf.IndexedSlices(velocity, rows))
        self._subtract(variable, rows, momentum * alpha / (tf.sqrt(velocity) + epsilon))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bias_correction": self.bias_correction}
