"""What lets an optimiser of either Keras update the rows of a batch alone."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tf_interformer._keras import LEGACY, keras, keras_backend, ops
from tf_interformer._tensorflow import is_a, tf
from tf_interformer.optimizers._gradients import clipped, summed_rows

# Searched in the path of a variable: the tables of `TokenEmbedder` and of `keras.layers.Embedding`.
TABLES = r"(table_\d+|embeddings)(:\d+)?$"


class RowUpdates(keras.optimizers.Optimizer):
    """Goes in front of an optimiser of Keras, whose `update_step` is left to what is no table.

    On TensorFlow a table is what has a gradient of rows. On other backends all gradients are dense: there a table is
    known by its name, and a row is taken for one that the batch has not read where its gradient is all zeros.

    A subclass has `_update_rows`, for dense gradients too where it is `for_whole_tables`. Clipping and weight decay,
    which in Keras pass over whole tables, are done here.
    """

    loss_scale_factor: float | None
    for_whole_tables = False
    table_pattern = TABLES  # where gradients are dense

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kind = type(self).__name__
        if kwargs.get("gradient_accumulation_steps"):
            raise ValueError(
                f"{kind} takes no `gradient_accumulation_steps`: accumulated gradients are as large as the tables. "
                f"Take larger batches. Received: {kwargs['gradient_accumulation_steps']}"
            )
        if LEGACY:
            kwargs["jit_compile"] = False  # XLA would update whole tables
        super().__init__(*args, **kwargs)

    def update_step(self, gradient: Any, variable: Any, *learning_rate: Any) -> None:
        rate = ops.cast(learning_rate[0] if learning_rate else self.learning_rate, variable.dtype)
        rows, values = self._rows(gradient, variable)
        if self._decays(self, variable):
            decay = self._read(variable, rows) * ops.cast(self.weight_decay, variable.dtype) * rate
            self._subtract(variable, rows, decay)
        if rows is not None or self.for_whole_tables:
            self._update_rows(variable, rows, ops.cast(values, variable.dtype), rate)
        else:
            self._update_all(variable, gradient, *learning_rate)

    def _update_all(self, variable: Any, gradient: Any, *learning_rate: Any) -> None:
        """Update what is no table."""
        super().update_step(gradient, variable, *learning_rate)

    @contextmanager
    def _step(self) -> Iterator[None]:
        """Within it lie the updates of all variables by one step."""
        yield

    def _rows(self, gradient: Any, variable: Any) -> tuple[Any, Any]:
        """The rows that the batch has read, as `_update_rows` takes them, and the gradient that goes with them."""
        if is_a(gradient, "IndexedSlices"):
            return gradient.indices, gradient.values
        if keras_backend() == "tensorflow" or not re.search(self.table_pattern, path_of(variable)):
            return None, gradient
        given = gradient != 0
        axes = tuple(range(1, len(variable.shape)))
        return ops.any(given, axis=axes, keepdims=True) if axes else given, gradient

    def _update_rows(self, variable: Any, rows: Any, gradient: Any, rate: Any) -> None:
        """Update distinct rows, and their moments.

        Args:
            variable: The table.
            rows: `[R]`, each row once; on other backends than TensorFlow which of all rows, `[rows, 1]`; or, where the
                optimiser is `for_whole_tables`, `None` for all of them.
            gradient: `[R, ...]`, or of the variable's shape.
            rate: Learning rate, of the table's dtype.
        """
        raise NotImplementedError

    def _slot(self, slots: Sequence[Any], variable: Any) -> Any:
        """The variable of the optimiser that belongs to a variable of the model."""
        if LEGACY:
            return slots[self._index_dict[self._var_key(variable)]]
        slot = slots[self._get_variable_index(variable)]
        return slot.value if keras_backend() == "tensorflow" else slot

    @property
    def _is_built(self) -> bool:
        return bool(getattr(self, "_built" if LEGACY else "built", False))

    def _row_state(self, variable: Any, name: str, start: float) -> Any:
        """A variable of the optimiser with one number per row; per number, where the model's has one dimension."""
        shape = tuple(variable.shape)
        shape = (shape[0], *[1] * (len(shape) - 1)) if shape else shape
        initializer = keras.initializers.Constant(start)
        if LEGACY:
            value = initializer(shape=shape, dtype=variable.dtype)
            return self.add_variable_from_reference(variable, name, initial_value=value)
        place = path_of(variable).replace("/", "_").replace(":", "_")
        return self.add_variable(shape, initializer, variable.dtype, name=f"{place}_{name}")

    @staticmethod
    def _read(variable: Any, rows: Any) -> Any:
        if keras_backend() != "tensorflow":
            return ops.convert_to_tensor(variable)
        return tf.convert_to_tensor(variable) if rows is None else tf.gather(variable, rows)

    @staticmethod
    def _write(variable: Any, rows: Any, values: Any) -> None:
        if rows is None:
            variable.assign(values)
        elif keras_backend() == "tensorflow":
            variable.scatter_update(tf.IndexedSlices(values, rows))
        else:
            variable.assign(ops.where(rows, values, ops.convert_to_tensor(variable)))

    @staticmethod
    def _subtract(variable: Any, rows: Any, change: Any) -> None:
        # `scatter_sub`, made for rows that come twice, takes longer than these two.
        RowUpdates._write(variable, rows, RowUpdates._read(variable, rows) - change)

    @staticmethod
    def _decays(optimizer: Any, variable: Any) -> bool:
        return bool(optimizer.weight_decay) and optimizer._use_weight_decay(variable)

    @staticmethod
    def _decay(variable: Any, weight_decay: float, rate: Any) -> None:
        variable.assign_sub(variable * ops.cast(weight_decay, variable.dtype) * ops.cast(rate, variable.dtype))

    def _apply_weight_decay(self, variables: Sequence[Any]) -> None:
        """Nothing to do here: `update_step` knows which rows to decay."""

    if LEGACY:

        def _clip_gradients(self, grads: Sequence[Any]) -> Sequence[Any]:
            return clipped([summed_rows(gradient) for gradient in grads], self)

        def _deduplicate_sparse_grad(self, grads: Sequence[Any]) -> Sequence[Any]:
            return grads  # done above, before the norms are taken

    else:

        def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
            scale = self.loss_scale_factor
            self.loss_scale_factor = None
            try:
                # Keras would divide the gradient of a table with an operator that it lacks.
                unscaled = grads if scale is None else [_divided(gradient, scale) for gradient in grads]
                super().apply(unscaled, trainable_variables)
            finally:
                self.loss_scale_factor = scale

        def _backend_update_step(self, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
            with self._step():
                super()._backend_update_step(grads, trainable_variables, learning_rate)

        def _clip_gradients(self, grads: Sequence[Any]) -> Sequence[Any]:
            if keras_backend() != "tensorflow":
                return super()._clip_gradients(grads)
            return grads  # below: here Keras clips every replica's share by itself

        def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> list[tuple[Any, Any]]:
            reduced, variables = zip(*super()._all_reduce_sum_gradients(grads_and_vars), strict=True)
            gradients = clipped([summed_rows(gradient) for gradient in reduced], self)
            return list(zip(gradients, variables, strict=True))


def _divided(gradient: Any, divisor: float) -> Any:
    if is_a(gradient, "IndexedSlices"):
        return tf.IndexedSlices(gradient.values / divisor, gradient.indices, gradient.dense_shape)
    return None if gradient is None else gradient / divisor


def path_of(variable: Any) -> str:
    """Name of a variable, behind those of the layers that it is in."""
    return str(getattr(variable, "path", variable.name))
