"""One optimiser for the embedding tables, another for the network."""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from tf_interformer._keras import LEGACY, keras, register
from tf_interformer.optimizers._registry import get
from tf_interformer.optimizers._row_updates import TABLES, RowUpdates, path_of

# What each variable group must leave to the optimiser of both.
_COMMON = (
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)


@register
class TableOptimizer(RowUpdates):
    """Trains embedding tables by one optimiser and everything else by another.

    Both count the same steps, each has a learning rate (or schedule) and weight decay of its own; gradients are
    clipped together. `learning_rate` is the network's.

    Args:
        tables: str, dict or optimizer. Name, Keras config or instance, see `optimizers.get`. Defaults to
            `"lazy_adam"`.
        network: str, dict or optimizer. Defaults to `"adam"`.
        pattern: str. Regular expression, searched in the path of a variable: what it finds is a table. Defaults to the
            tables of `TokenEmbedder` and of `keras.layers.Embedding`.
        name: str. Defaults to `"table_optimizer"`.
        **kwargs: `clipnorm`, `global_clipnorm` or `clipvalue`; `use_ema`, `ema_momentum`, `ema_overwrite_frequency`.

    Raises:
        ValueError: If one of the two is built already, is the same as the other or has an option that belongs here, or
            if, at the first step, the pattern finds nothing.

    Example:

    >>> import tensorflow as tf
    >>> from tf_interformer._keras import keras
    >>> pool = keras.layers.GlobalAveragePooling1D()
    >>> model = keras.Sequential([keras.layers.Embedding(100, 4), pool, keras.layers.Dense(1)])
    >>> optimizer = TableOptimizer(tables="row_wise_adagrad", network=keras.optimizers.Adam(1e-2), global_clipnorm=1.0)
    >>> model.compile(optimizer, loss="mse", jit_compile=False)
    >>> losses = model.fit(tf.constant([[1, 2], [2, 3]]), tf.ones((2, 1)), epochs=3, verbose=0).history["loss"]
    >>> losses[-1] < losses[0]
    True
    """

    def __init__(
        self,
        tables: Any = "lazy_adam",
        network: Any = "adam",
        pattern: str = TABLES,
        name: str = "table_optimizer",
        **kwargs: Any,
    ) -> None:
        if not LEGACY:
            kwargs.setdefault("learning_rate", 0.0)  # not used
        super().__init__(name=name, **kwargs)
        self.pattern = pattern
        self.tables = get(tables)
        self.network = get(network)
        if self.tables is self.network:
            raise ValueError("`tables` and `network` must be two optimizers. Received: the same one twice")
        self.tables.table_pattern = pattern
        for argument, optimizer in (("tables", self.tables), ("network", self.network)):
            _check(argument, optimizer)
            if LEGACY:
                optimizer.iterations = self.iterations
            else:
                optimizer._iterations = self._iterations

    def build(self, variables: Sequence[Any]) -> None:
        if getattr(self, "_built" if LEGACY else "built", False):
            return
        super().build(variables)
        tables = [v for v in variables if re.search(self.pattern, path_of(v))]
        if not tables:
            raise ValueError(
                f"`pattern` must find the embedding tables among the variables {[path_of(v) for v in variables]}. "
                f"Received: pattern={self.pattern!r}"
            )
        self._table_keys = [str(self._var_key(v)) for v in tables]
        self.tables.build(tables)
        self.network.build([v for v in variables if str(self._var_key(v)) not in self._table_keys])
        if LEGACY:
            self._built = True

    def update_step(self, gradient: Any, variable: Any, *learning_rates: Any) -> None:
        of_table = str(self._var_key(variable)) in self._table_keys
        optimizer = self.tables if of_table else self.network
        rate = [learning_rates[0][0 if of_table else 1]] if learning_rates else []
        if not isinstance(optimizer, RowUpdates) and self._decays(optimizer, variable):
            self._decay(variable, optimizer.weight_decay, rate[0] if rate else optimizer.learning_rate)
        optimizer.update_step(gradient, variable, *rate)

    @contextmanager
    def _step(self) -> Iterator[None]:
        with ExitStack() as stack:
            for part in (self.tables, self.network):
                if isinstance(part, RowUpdates):
                    stack.enter_context(part._step())
            yield

    if LEGACY:

        def _compute_current_learning_rate(self) -> None:
            self.tables._compute_current_learning_rate()
            self.network._compute_current_learning_rate()

    else:

        def _backend_update_step(self, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
            rates = (self.tables.learning_rate, self.network.learning_rate)
            super()._backend_update_step(grads, trainable_variables, rates)

    @property
    def learning_rate(self) -> Any:
        """The network's; that of the tables is `tables.learning_rate`."""
        return self.network.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.network.learning_rate = learning_rate

    @property
    def variables(self) -> Any:
        own = super().variables
        parts = [*self.tables.variables, *self.network.variables]
        return type(own)([*own, *(v for v in parts if v is not self._iterations)])

    def set_weights(self, weights: Sequence[Any]) -> None:
        for variable, weight in zip(self.variables, weights, strict=True):
            variable.assign(weight)

    def save_own_variables(self, store: Any) -> None:
        """The variables of this optimizer alone: Keras saves the two others by itself."""
        for i, variable in enumerate(self._variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        for i, variable in enumerate(self._variables):
            variable.assign(store[str(i)])

    def get_config(self) -> dict[str, Any]:
        base = super().get_config()
        kept = ["name", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum"]
        kept += ["ema_overwrite_frequency", "is_legacy_optimizer" if LEGACY else "loss_scale_factor"]
        return {
            **{key: base[key] for key in kept},
            "tables": keras.saving.serialize_keras_object(self.tables),
            "network": keras.saving.serialize_keras_object(self.network),
            "pattern": self.pattern,
        }


def _check(argument: str, optimizer: Any) -> None:
    if getattr(optimizer, "_built" if LEGACY else "built", False):
        raise ValueError(f"`{argument}` must be a new optimizer. Received: {optimizer.name!r}, which is built already")
    for option in _COMMON:
        if getattr(optimizer, option, None):
            raise ValueError(
                f"`{option}` belongs to the TableOptimizer, not to its `{argument}`. "
                f"Received: {option}={getattr(optimizer, option)}"
            )
