"""Lists made of their values and of where each begins."""

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray


def list_series(name: str, values: pl.Series, offsets: NDArray[np.int64]) -> pl.Series:
    """Values as lists that begin at the offsets."""
    array: Any = pa.LargeListArray.from_arrays(pa.array(offsets), values.to_arrow())
    series = pl.from_arrow(array)
    assert isinstance(series, pl.Series)
    return series.rename(name)


def flat(lists: pl.Series) -> pl.Series:
    """The values of all lists, one after the other."""
    return lists.fill_null([]).explode(empty_as_null=False)


def with_values(lists: pl.Series, values: pl.Series) -> pl.Series:
    """Lists of the same lengths that hold other values; a missing list stays missing."""
    lengths = lists.list.len().fill_null(0).cast(pl.Int64)
    offsets = np.concatenate([[0], lengths.cum_sum().to_numpy()]).astype(np.int64)
    made = list_series(lists.name, values, offsets)
    return made if not lists.null_count() else made.set(lists.is_null(), None)


def same_lengths(one: pl.Series, other: pl.Series) -> bool:
    """Whether the lists of two columns may be the fields of the same events: as text, one empty value is no value."""
    own, theirs = one.list.len(), other.list.len()
    return bool(((own == theirs) | ((own <= 1) & (theirs <= 1))).all())


def with_lone_gaps(lists: pl.Series, others: list[pl.Series]) -> pl.Series:
    """The lists, one missing value in those that are empty where another of the columns has one event."""
    lone = lists.list.len() == 0
    lone &= pl.DataFrame({str(place): other.list.len() for place, other in enumerate(others)}).max_horizontal() == 1
    if not lone.any():
        return lists
    gap = pl.Series([[None]], dtype=lists.dtype)
    return pl.DataFrame({lists.name: lists}).select(
        pl.when(lone).then(pl.lit(gap).first()).otherwise(pl.first()).alias(lists.name)
    )[lists.name]
