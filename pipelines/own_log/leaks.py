"""Columns that give the label away: each one alone is asked to predict it, on rows that it has not seen."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tf_interformer.metrics import auc

# A lone column above this AUC has most likely seen the label.
THRESHOLD = 0.95
_ROWS = 200_000
_BINS = 64
# How many rows the overall rate is worth beside a value's own, and how many a rule must hold for.
_PRIOR = 10.0
_ENOUGH = 20

Bools = NDArray[np.bool_]


class LeakTest:
    """Asks columns, one at a time, how well they predict a label.

    The rows are halved at random. On one half each value, or each of 64 quantile bins of a number, gets its smoothed
    rate of the label, (positives + 10 g) / (rows + 10) with g the overall rate; on the other half these rates are the
    scores. A value that is seldom seen has hardly a rate of its own, so an id does not pass for a leak.

    Args:
        frame: The log.
        label: Name of the label, 0 or 1 in every row.

    Attributes:
        enough: Whether there are the 20 positives and 20 negatives on the second half that an AUC needs.
    """

    def __init__(self, frame: pl.DataFrame, label: str) -> None:
        random = np.random.default_rng(0)
        rows = frame.height
        self.label = label
        self.rows = np.sort(random.choice(rows, _ROWS, replace=False)) if rows > _ROWS else np.arange(rows)
        self.positive: Bools = frame[label].gather(self.rows).to_numpy().astype(bool)
        self.held: Bools = random.random(len(self.rows)) < 0.5
        positives = int(self.positive[self.held].sum())
        self.enough = min(positives, int(self.held.sum()) - positives) >= _ENOUGH

    def lone_auc(self, column: pl.Series) -> float:
        """AUC of the column alone on the rows held out; NaN when they are too few."""
        return self._auc(self._codes(column.gather(self.rows))) if self.enough else float("nan")

    def reason(self, column: pl.Series) -> str | None:
        """Why the column must be a leak, in words; None when it need not be."""
        if not self.enough:
            return None
        values = column.gather(self.rows)
        empty = values.is_null().to_numpy().astype(bool)
        for state, mask in (("empty", empty), ("filled", ~empty)):
            if np.array_equal(mask, self.positive):
                return f"{state} exactly where {self.label} is 1"
        found = self._auc(self._codes(values))
        if found > THRESHOLD:
            return f"alone it predicts {self.label}: AUC {found:.3f} on rows held out"
        if self._always(~empty) and empty.any():
            return f"wherever it is filled, {self.label} is 1"
        # One value of many may well be that good; one of two is an outcome under another name.
        if column.dtype in (pl.Int64, pl.String) and values.drop_nulls().n_unique() == 2:
            for value in values.drop_nulls().unique().sort():
                if self._always((values == value).fill_null(False).to_numpy().astype(bool)):
                    return f"wherever it is {value!r}, {self.label} is 1"
        return None

    def _always(self, mask: Bools) -> bool:
        """Whether a label that is rare elsewhere is always 1 on these rows: on so many that it is no chance."""
        if not mask.any() or not self.positive[mask].all():
            return False
        rate = self.positive.mean()
        return bool(mask.sum() >= _ENOUGH and mask.sum() * np.log(rate) < -_ENOUGH)

    def _auc(self, codes: NDArray[np.int64]) -> float:
        seen = ~self.held
        rate = self.positive[seen].mean()
        rows = np.bincount(codes[seen], minlength=codes.max() + 1)
        positives = np.bincount(codes[seen & self.positive], minlength=codes.max() + 1)
        rates = (positives + _PRIOR * rate) / (rows + _PRIOR)
        return auc(self.positive[self.held], rates[codes[self.held]])

    def _codes(self, values: pl.Series) -> NDArray[np.int64]:
        """A number for every value, or bin, and one for a gap."""
        if isinstance(values.dtype, pl.List):
            values = values.list.eval(pl.element().cast(pl.String).fill_null("")).list.join("\x1f")
        if values.dtype.is_numeric() and values.n_unique() > _BINS:
            numbers = values.cast(pl.Float64).to_numpy()
            gap = np.isnan(numbers)
            known = numbers[~gap & ~self.held]
            edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1))) if known.size else np.zeros(0)
            return np.where(gap, 0, 1 + np.searchsorted(edges, numbers, side="left")).astype(np.int64)
        return values.rank("dense").fill_null(0).to_numpy().astype(np.int64)
