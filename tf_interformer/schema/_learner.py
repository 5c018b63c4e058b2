"""What learns a feature from the training split."""

from typing import Any, Protocol

import numpy as np


class Learner(Protocol):
    """Sees the values of all batches, of a table those of every column that is looked up in it."""

    def update(self, values: np.ndarray) -> None:
        """Some values `[all]`."""
        ...

    def result(self) -> Any:
        """The feature with what was learned."""
        ...
