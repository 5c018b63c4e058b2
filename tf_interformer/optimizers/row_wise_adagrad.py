"""Adagrad with one accumulator per row of a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from tf_interformer._keras import LEGACY, keras, ops, register
from tf_interformer.optimizers._row_updates import RowUpdates
from tf_interformer.optimizers.sparse_adagrad import SparseAdagrad

# In a config: what was saved as RowWiseAdagrad before it had an accumulator per row lacks it.
_MARK = "accumulator_per"


@register
class RowWiseAdagrad(RowUpdates, keras.optimizers.Adagrad):
    """Adagrad with one accumulator per row, which updates, of an embedding table, the rows that the batch has read.

        n += mean(g^2 over the row);  w -= rate * g / sqrt(n + epsilon)

    The state of a table `[rows, dim]` is `[rows, 1]`: for tables of width 16 it takes a sixteenth of the memory of
    `SparseAdagrad`, and all numbers of a row move at one rate. So it is with every variable of two or more dimensions,
    a kernel's rows among them: take `TableOptimizer` for another rule there. Variables of one dimension have an
    accumulator per number. That epsilon stands under the root, as in Keras's Adagrad, is ours.

    Args:
        learning_rate: float or schedule. Defaults to `0.001`.
        initial_accumulator_value: float. Defaults to `0.1`.
        epsilon: float. Defaults to `1e-7`.
        **kwargs: As for `LazyAdam`, weight decay and clipping among them.

    Raises:
        ValueError: If `gradient_accumulation_steps` is given.

    References:
        - [Duchi et al., 2011](https://jmlr.org/papers/v12/duchi11a.html): an accumulator per number
        - [Lerer et al., 2019](https://arxiv.org/abs/1903.12287), PyTorch-BigGraph: one per row of a table

    Example:

    >>> import tensorflow as tf
    >>> table = tf.Variable(tf.ones((3, 2)))
    >>> gradient = tf.IndexedSlices(tf.constant([[1.0, 7.0]]), [1], (3, 2))
    >>> _ = RowWiseAdagrad(0.625, initial_accumulator_value=0.0, epsilon=0.0).apply_gradients([(gradient, table)])
    >>> table.numpy().tolist()
    [[1.0, 1.0], [0.875, 0.125], [1.0, 1.0]]
    """

    for_whole_tables = True

    def build(self, variables: Sequence[Any]) -> None:
        if self._is_built:
            return
        super(keras.optimizers.Adagrad, self).build(variables)  # Adagrad's own would make an accumulator per number
        self._accumulators = [
            self._row_state(variable, "accumulator", self.initial_accumulator_value) for variable in variables
        ]
        if LEGACY:
            self._built = True

    def _update_rows(self, variable: Any, rows: Any, gradient: Any, rate: Any) -> None:
        accumulators = self._slot(self._accumulators, variable)
        squares = ops.square(gradient)
        if len(variable.shape) > 1:
            squares = ops.mean(squares, axis=list(range(1, len(variable.shape))), keepdims=True)
        accumulator = self._read(accumulators, rows) + squares
        self._write(accumulators, rows, accumulator)
        self._subtract(variable, rows, rate * gradient / ops.sqrt(accumulator + self.epsilon))

    def load_own_variables(self, store: Any) -> None:
        shapes = [tuple(variable.shape) for variable in self.variables]
        given = [tuple(store[str(i)].shape) for i in range(len(store.keys()))]
        if len(given) == len(shapes) and given != shapes:
            raise ValueError(
                "RowWiseAdagrad keeps one accumulator per row. What was saved as RowWiseAdagrad before, with one per "
                f"number, is SparseAdagrad: load it into that. Received: shapes {given} instead of {shapes}"
            )
        super().load_own_variables(store)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), _MARK: "row"}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        """A `RowWiseAdagrad`; of a config saved when it had an accumulator per number, the `SparseAdagrad` it was."""
        config = dict(config)
        if config.pop(_MARK, None) is None:
            return SparseAdagrad.from_config(config, custom_objects)
        return super().from_config(config, custom_objects)
