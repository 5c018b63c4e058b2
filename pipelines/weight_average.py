"""Judge and save a model by the moving average of its weights, train on with the weights themselves."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tf_interformer.ranker import Ranker


class WeightAverage:
    """The exponential moving average that the optimiser of a model keeps, if it has `use_ema`.

    Both Kerases end `fit` by overwriting the weights with the average; an optimiser that was given to this class no
    longer does. The average is part of the optimiser's state, so it is saved with the model.

    Args:
        ranker: Compiled, its optimiser built.
    """

    def __init__(self, ranker: Ranker) -> None:
        optimizer: Any = ranker.optimizer
        inner = getattr(optimizer, "inner_optimizer", optimizer)  # what a loss scale is wrapped around
        self._pairs: list[tuple[Any, Any]] = []
        if getattr(inner, "use_ema", False):
            averages = inner._model_variables_moving_average
            self._pairs = list(zip(ranker.trainable_variables, averages, strict=True))
            optimizer.finalize_variable_values = lambda variables: None

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within it, the model's weights are the average; after it, the weights themselves again."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for weight, average in self._pairs:
            value = weight.numpy()
            weight.assign(average)
            average.assign(value)
