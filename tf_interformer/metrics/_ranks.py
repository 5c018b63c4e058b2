"""Ranks with ties, in integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def doubled_mid_ranks(new_value: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Returns twice the mid-rank (1-based) of every position of a sorted array.

    Entries that tie share the mean of the ranks they occupy. That mean may end in a half, so twice the rank
    is
    returned: sums over any number of rows then stay exact.

    Args:
        new_value: boolean array, shape `[n]`. True where a sorted entry differs from the one before it; the
            first entry must be True.

    Returns:
        Integers, shape `[n]`.
    """
    starts = np.flatnonzero(new_value)
    ends = np.append(starts[1:], new_value.size)
    return np.repeat(starts + ends + 1, ends - starts)
