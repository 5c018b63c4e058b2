"""Each user's events in time order, and what of them lies before a given moment."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pyarrow as pa

IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

# A moment of a user is one number: the user in the high bits, milliseconds since 1970 (41 bits today) in the low.
_TIME_BITS = 43


def moments(user: IntArray, time_ms: IntArray) -> IntArray:
    """Returns one sortable number per `(user, time)`.

    Args:
        user: int array `[N]`. Users numbered from 0.
        time_ms: int array `[N]`. Milliseconds since 1970.

    Returns:
        An int64 array `[N]`, ordered by user and then by time.
    """
    return (user.astype(np.int64) << _TIME_BITS) | time_ms.astype(np.int64)


@dataclasses.dataclass(frozen=True)
class Windows:
    """The most recent events of a user before each row, as ranges of positions in a `Stream`.

    Args:
        first: int array `[R]`. Position of the user's very first event.
        start: int array `[R]`. Position of the oldest event of the window.
        end: int array `[R]`. One past the position of the newest event of the window.
    """

    first: IntArray
    start: IntArray
    end: IntArray

    @property
    def length(self) -> IntArray:
        """Events in each window, int array `[R]`."""
        return self.end - self.start

    def last(self, count: int) -> Windows:
        """Returns the windows cut down to their `count` newest events."""
        return dataclasses.replace(self, start=np.maximum(self.start, self.end - count))

    def positions(self) -> IntArray:
        """Positions of the events of one window after the other, int array `[sum of the lengths]`."""
        length = self.length
        ends = np.cumsum(length)
        return np.arange(ends[-1] if len(ends) else 0) + np.repeat(self.start - (ends - length), length)

    def lists(self, values: IntArray) -> pl.Series:
        """Returns one list per window, oldest event first.

        Args:
            values: int array `[sum of the lengths]`. One value for each of `positions()`.

        Returns:
            A polars list series of `R` rows.
        """
        offsets = np.concatenate([[0], np.cumsum(self.length)]).astype(np.int64)
        return _list_series(values, offsets)


class Stream:
    """Events of all users, sorted by user and then by time.

    Args:
        moment: int array `[E]`. `moments(user, time)` of each event, ascending.
        columns: dict of int arrays `[E]`. What is known of each event, in the same order.
    """

    def __init__(self, moment: IntArray, columns: dict[str, IntArray]) -> None:
        self.moment = moment
        self.columns = columns

    def before(self, moment: IntArray, max_length: int) -> Windows:
        """Returns the events of the same user that are *strictly* earlier than each moment.

        Args:
            moment: int array `[R]`.
            max_length: int. Only the most recent `max_length` events are in the window.

        Returns:
            `Windows` over `R` rows.
        """
        end = np.searchsorted(self.moment, moment, side="left")
        first = np.searchsorted(self.moment, (moment >> _TIME_BITS) << _TIME_BITS, side="left")
        return Windows(first=first, start=np.maximum(first, end - max_length), end=end)

    def since(self, moment: IntArray, windows: Windows) -> Windows:
        """Returns the windows cut down to the events at or after each moment of the same user."""
        start = np.clip(np.searchsorted(self.moment, moment, side="left"), windows.start, windows.end)
        return dataclasses.replace(windows, start=start)

    def total(self, column: str, windows: Windows) -> IntArray:
        """Returns the sum of `column` over each window, int array `[R]`."""
        running = np.concatenate([[0], np.cumsum(self.columns[column])])
        total: IntArray = running[windows.end] - running[windows.start]
        return total

    def occurrences(self, column: str, value: IntArray, windows: Windows) -> IntArray:
        """Counts how often a value occurs in each window.

        Args:
            column: str. A column of codes, none of them negative.
            value: int array `[R]`. The code to look for; a negative one is never found.
            windows: `Windows` over `R` rows.

        Returns:
            An int array `[R]`.
        """
        codes = self.columns[column]
        size = len(codes) + 1
        places = np.sort(codes * size + np.arange(len(codes)))
        found: IntArray = np.searchsorted(places, value * size + windows.end) - np.searchsorted(
            places, value * size + windows.start
        )
        return np.where(value < 0, 0, found)

    def lists(self, values: IntArray, windows: Windows) -> pl.Series:
        """Returns the windows themselves, oldest event first.

        Args:
            values: int array `[E]`. One value per event of this stream.
            windows: `Windows` over `R` rows.

        Returns:
            A polars list series of `R` rows.
        """
        return windows.lists(values[windows.positions()])


def age_buckets(age_ms: IntArray) -> IntArray:
    """Tells how long ago something was by its order of magnitude.

    The bucket is `1 + floor(log2(1 + seconds))`: 1 is less than a second, 6 a minute, 12 an hour, 17 a day. It leaves 0
    for what has no age.

    Args:
        age_ms: int array. Milliseconds, none of them negative.

    Returns:
        An int64 array of the same shape.
    """
    # A number's binary exponent, which no rounding of a logarithm can miss.
    return np.frexp(1 + age_ms // 1000)[1].astype(np.int64)


def _list_series(values: IntArray, offsets: IntArray) -> pl.Series:
    array = pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values))
    series = pl.from_arrow(array)
    assert isinstance(series, pl.Series)
    return series
