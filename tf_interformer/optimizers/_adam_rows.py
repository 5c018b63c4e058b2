"""Adam's rule for the rows of a batch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tf_interformer._keras import keras_backend, ops
from tf_interformer._tensorflow import tf
from tf_interformer.layers._common import check_choice
from tf_interformer.optimizers._row_updates import RowUpdates


class AdamRows(RowUpdates):
    """Goes in front of `Adam` and `AdamW`, which keep the same moments under the same names."""

    def __init__(self, *args: Any, bias_correction: str = "steps", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.bias_correction = check_choice("bias_correction", bias_correction, ("steps", "rows"))
        self._powers: dict[Any, tuple[Any, Any]] | None = None  # of this step, by dtype

    def build(self, variables: Sequence[Any]) -> None:
        built = self._is_built
        super().build(variables)
        if self.bias_correction == "rows" and not built:
            self._counts = [self._row_state(variable, "count", 0.0) for variable in variables]

    @contextmanager
    def _step(self) -> Iterator[None]:
        self._powers = {}
        try:
            yield
        finally:
            self._powers = None

    def _powers_of(self, step: Any) -> tuple[Any, Any]:
        """`beta_1^t` and `beta_2^t`."""
        return tuple(ops.power(ops.convert_to_tensor(beta, step.dtype), step) for beta in (self.beta_1, self.beta_2))

    def _powers_of_step(self, dtype: Any) -> tuple[Any, Any]:
        """The same of all steps so far, made once for all variables."""
        if self._powers is None:
            return self._powers_of(ops.cast(self.iterations + 1, dtype))
        if dtype not in self._powers:
            self._powers[dtype] = self._powers_of(ops.cast(self.iterations + 1, dtype))
        return self._powers[dtype]

    def _update_all(self, variable: Any, gradient: Any, *learning_rate: Any) -> None:
        """Adam on a whole variable: TensorFlow has one operation for what Keras writes as twenty."""
        if keras_backend() != "tensorflow" or self.amsgrad or getattr(self, "adaptive_epsilon", False):
            super()._update_all(variable, gradient, *learning_rate)
            return
        dtype = variable.dtype
        beta_1_power, beta_2_power = self._powers_of_step(dtype)
        numbers = {"beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon}
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._slot(self._momentums, variable).handle,
            v=self._slot(self._velocities, variable).handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=ops.cast(learning_rate[0] if learning_rate else self.learning_rate, dtype),
            grad=ops.cast(gradient, dtype),
            **{name: ops.convert_to_tensor(number, dtype) for name, number in numbers.items()},
        )

    def _update_rows(self, variable: Any, rows: Any, gradient: Any, rate: Any) -> None:
        dtype = variable.dtype
        if self.bias_correction == "rows":
            counts = self._slot(self._counts, variable)
            step = self._read(counts, rows) + 1
            self._write(counts, rows, step)
            beta_1_power, beta_2_power = self._powers_of(step)
        else:
            beta_1_power, beta_2_power = self._powers_of_step(dtype)
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
