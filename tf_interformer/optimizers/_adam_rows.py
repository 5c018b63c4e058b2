"""Adam's rule for the rows of a batch."""

from collections.abc import Sequence
from typing import Any

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
            step = self._read(counts, rows) + 1
            self._write(counts, rows, step)
        beta_1_power = ops.power(ops.convert_to_tensor(self.beta_1, dtype), step)
        beta_2_power = ops.power(ops.convert_to_tensor(self.beta_2, dtype), step)
        alpha = rate * ops.sqrt(1 - beta_2_power) / (1 - beta_1_power)
        epsilon = self.epsilon
        if getattr(self, "adaptive_epsilon", False):  # tf_keras only
            epsilon = epsilon * ops.sqrt(1 - beta_2_power)

        momentums = self._slot(self._momentums, variable)
        velocities = self._slot(self._velocities, variable)
        momentum, velocity = self._read(momentums, rows), self._read(velocities, rows)
        momentum = momentum + (gradient - momentum) * (1 - self.beta_1)
        velocity = velocity + (ops.square(gradient) - velocity) * (1 - self.beta_2)
        self._write(momentums, rows, momentum)
        self._write(velocities, rows, velocity)
        if self.amsgrad:
            highest = self._slot(self._velocity_hats, variable)
            velocity = ops.maximum(self._read(highest, rows), velocity)
            self._write(highest, rows, velocity)
        self._subtract(variable, rows, momentum * alpha / (ops.sqrt(velocity) + epsilon))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bias_correction": self.bias_correction}
