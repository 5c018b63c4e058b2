"""A column of lists."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Lists:
    """A column of lists: all values, one row after the other, and how many are of each row.

    Args:
        values: `[all values]`.
        lengths: int64 `[rows]`.

    Example:

    >>> Lists(np.array([7, 8, 9]), np.array([1, 2])).last(np.array([1, 2]), count=1, missing=0).tolist()
    [[7], [9]]
    """

    values: np.ndarray
    lengths: np.ndarray

    def first(self, count: int, missing: Any) -> np.ndarray:
        """The first `count` values of each row `[rows, count]`, padded on the right."""
        kept = np.minimum(self.lengths, count)
        return self._gathered(np.zeros_like(kept), kept, count, missing)

    def last(self, lengths: np.ndarray, count: int, missing: Any) -> np.ndarray:
        """Of the first `lengths` values of each row the last `count`, `[rows, count]`, padded on the right."""
        kept = np.minimum(lengths, count)
        return self._gathered(lengths - kept, kept, count, missing)

    def real(self, lengths: np.ndarray) -> np.ndarray:
        """The first `lengths` values of each row, all in one array."""
        steps = np.arange(self.values.size) - np.repeat(np.cumsum(self.lengths) - self.lengths, self.lengths)
        return self.values[steps < np.repeat(lengths, self.lengths)]

    def _gathered(self, starts: np.ndarray, kept: np.ndarray, count: int, missing: Any) -> np.ndarray:
        found = np.full((self.lengths.size, count), missing, self.values.dtype)
        rows = np.repeat(np.arange(kept.size), kept)
        steps = np.arange(rows.size) - np.repeat(np.cumsum(kept) - kept, kept)
        begins = np.cumsum(self.lengths) - self.lengths
        found[rows, steps] = self.values[begins[rows] + starts[rows] + steps]
        return found
