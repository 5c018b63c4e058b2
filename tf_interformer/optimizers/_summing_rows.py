"""Keras's own optimisers, made right for the gradients of tables."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from tf_interformer._keras import LEGACY, keras, keras_backend
from tf_interformer._tensorflow import tf
from tf_interformer.optimizers._gradients import summed_rows
from tf_interformer.optimizers._row_updates import RowUpdates


def summing_rows(optimizer: Any) -> Any:
    """Makes an optimizer of Keras add up, before anything else, what a batch gives to one row of a table.

    Keras 3 on TensorFlow squares the parts of a row's gradient and adds the squares up: under Adam and its like, an id
    that stands n times in a batch moves up to the root of n times too far. It clips parts as well, and so does
    tf_keras, which is right otherwise. `Ranker.compile` calls this. With a `TokenEmbedder` in a model of your own, call
    it yourself, and on `model.optimizer` of a loaded model again, since nothing of it is saved; or take `LazyAdam`,
    which needs nothing of the kind.

    Args:
        optimizer: optimizer, or a `LossScaleOptimizer` around one. It is changed, and stays of its class; an optimizer
            of this package, or on another backend, is left as it is.

    Returns:
        The optimizer.

    Example:

    >>> optimizer = summing_rows(keras.optimizers.Adagrad(1.0, initial_accumulator_value=0.0, epsilon=0.0))
    >>> table = tf.Variable(tf.ones((3, 1)))
    >>> gradient = tf.IndexedSlices(tf.ones((4, 1)), [1, 1, 1, 1], (3, 1))
    >>> _ = optimizer.apply_gradients([(gradient, table)])  # Keras 3 by itself takes row 1 to -1
    >>> float(table[1, 0])
    0.0
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    if not isinstance(inner, keras.optimizers.Optimizer) or isinstance(inner, RowUpdates):
        return optimizer
    if LEGACY:
        if inner.clipnorm or inner.global_clipnorm or inner.clipvalue:  # else tf_keras does it
            _prepare(inner, "_clip_gradients", _summed)
    elif keras_backend() == "tensorflow":
        # The outer one, as a loss scale asks whether gradients are finite.
        _prepare(optimizer, "apply", _summed)
        _prepare(inner, "update_step", _merged)
    return optimizer


def _prepare(optimizer: Any, method: str, preparation: Callable[[Any], Any]) -> None:
    """Let the first argument of a method be prepared, once, however often an optimizer is compiled with."""
    if method in vars(optimizer):
        return
    original = getattr(optimizer, method)

    @wraps(original)
    def prepared(first: Any, *others: Any, **named: Any) -> Any:
        return original(preparation(first), *others, **named)

    setattr(optimizer, method, prepared)


def _summed(gradients: Sequence[Any]) -> list[Any]:
    return [summed_rows(gradient) for gradient in gradients]


def _merged(gradient: Any) -> Any:
    # The rows of the replicas have been put one behind the other.
    return summed_rows(gradient) if tf.distribute.get_strategy().num_replicas_in_sync > 1 else gradient
