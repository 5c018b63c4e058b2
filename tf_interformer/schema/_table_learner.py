"""Learns the vocabulary of a table."""

from collections import Counter
from typing import Any

import numpy as np


class TableLearner:
    """Counts of the values that any column of one table holds; `owner` is the `Categorical` that owns it."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.counts: Counter = Counter()

    def update(self, values: np.ndarray) -> None:
        if values.dtype == object:  # not sorted as NumPy's own strings, which are all as wide as the longest
            self.counts.update(values.tolist())
            return
        unique, counts = np.unique(values, return_counts=True)
        self.counts.update(dict(zip(unique.tolist(), counts.tolist(), strict=True)))

    def result(self) -> Any:
        if self.owner.is_learned:
            return self.owner
        known = ((value, n) for value, n in self.counts.items() if n >= self.owner.min_count)
        ordered = sorted(known, key=lambda item: (-item[1], item[0]))
        return self.owner.replace(vocabulary=tuple(value for value, _ in ordered if value != self.owner.missing))
