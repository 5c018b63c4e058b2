"""What the positives of a list are worth by their ranks, ties counted in expectation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tf_interformer.metrics._checks import check_labels, check_scores, column
from tf_interformer.metrics._groups import factorize

Worth = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def expected_gains(
    labels: ArrayLike, scores: ArrayLike, groups: ArrayLike, worth: Worth
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Adds up, for every group, what its positives are worth by their ranks, the highest score first.

    Entries that tie may stand in any order, each as likely as another: each is worth the mean over the ranks that they
    occupy together, which makes the sum the expectation over all orders.

    Args:
        labels: array of 0 and 1, shape `[n]` or `[n, 1]`.
        scores: array of numbers, shape `[n]` or `[n, 1]`.
        groups: array of integers, strings or bytes, shape `[n]` or `[n, 1]`.
        worth: function from ranks, which count from 1, to what a positive there is worth.

    Returns:
        The sums and the numbers of positives, each of shape `[G]`, in one order.

    Raises:
        ValueError: If the shapes differ, there are no examples, a label is neither 0 nor 1, a score is NaN or
            a group is missing (NaN or None).
        TypeError: If the labels or scores are not numbers.
    """
    clicked = check_labels(labels)
    values = check_scores(scores, size=clicked.size)
    _, codes = factorize(column(groups, "groups"), clicked.size)

    order = np.lexsort((-values, codes))
    values, codes, clicked = values[order], codes[order], clicked[order]
    new_group = np.append(True, codes[1:] != codes[:-1])
    ties = np.flatnonzero(new_group | np.append(True, values[1:] != values[:-1]))
    starts = np.flatnonzero(new_group)
    group_of_tie = np.cumsum(new_group)[ties] - 1
    # Ranks within the group: a tie occupies those above `first` up to `last`.
    first = ties - starts[group_of_tie]
    sizes = np.diff(np.append(ties, codes.size))
    last = first + sizes
    up_to = np.append(0.0, np.cumsum(worth(np.arange(1.0, last.max() + 1))))
    clicks = np.add.reduceat(clicked.astype(np.int64), ties)
    gains = clicks * (up_to[last] - up_to[first]) / sizes
    first_ties = np.searchsorted(ties, starts)
    return np.add.reduceat(gains, first_ties), np.add.reduceat(clicks, first_ties)
