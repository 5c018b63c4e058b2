"""Normalised discounted cumulative gain."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tf_interformer.metrics._gains import expected_gains


def ndcg(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike, k: int = 10) -> float:
    """Computes the normalised discounted cumulative gain of the first `k` of each list, averaged over lists.

        DCG_l  = sum_{i in l: y_i = 1, r_i <= k} 1 / log2(1 + r_i)
        NDCG@k = 1/|L| sum_{l in L} DCG_l / sum_{r = 1}^{min(P_l, k)} 1 / log2(1 + r)        L: the lists with a click

    with `r_i` the rank of item `i` in its list, 1 for the highest score, and `P_l` the clicks of the list: the gain is
    binary, and 1 is a list with its clicks on top. Items that tie may stand in any order: each has the mean discount
    of the ranks that they occupy together (McSherry and Najork), so that DCG is the expectation over random tie
    breaks.

    Lists without a click have no NDCG and are skipped; one in which everything was clicked counts, as 1.

    Args:
        labels: array of 0 and 1, shape `[n]` or `[n, 1]`. What happened.
        scores: array of numbers, shape `[n]` or `[n, 1]`. Logits or probabilities: only their order within a
            list counts.
        groups: array of integers, strings or bytes, shape `[n]` or `[n, 1]`. The list in which each example was
            shown; they need not be contiguous.
        k: int. How many of a list are looked at. Defaults to 10.

    Returns:
        A float in [0, 1]; NaN if no list has a click.

    Raises:
        ValueError: If `k` is below 1, the shapes differ, there are no examples, a label is neither 0 nor 1, a score is
            NaN or a group is missing (NaN or None).
        TypeError: If the labels or scores are not numbers.

    Example:

    >>> round(ndcg([0, 1, 0, 1, 0], [0.9, 0.4, 0.1, 0.8, 0.3], ["first", "first", "first", "second", "second"]), 4)
    0.8155
    >>> ndcg([0, 1], [0.9, 0.4], [7, 7], k=1)
    0.0

    Reference:
        - [Järvelin and Kekäläinen, 2002: Cumulated Gain-Based Evaluation of IR
          Techniques](https://doi.org/10.1145/582415.582418)
        - [McSherry and Najork, 2008: Computing Information Retrieval Performance Measures Efficiently in the Presence
          of Tied Scores](https://doi.org/10.1007/978-3-540-78646-7_38)
    """
    if k < 1:
        raise ValueError(f"`k` must be at least 1. Received: {k}")

    def discounts(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(ranks <= k, 1.0 / np.log2(1.0 + ranks), 0.0)

    gains, clicks = expected_gains(labels, scores, groups, discounts)
    counted = clicks > 0
    if not counted.any():
        return float("nan")
    ideal = np.cumsum(discounts(np.arange(1.0, clicks.max() + 1)))
    return float(np.mean(gains[counted] / ideal[clicks[counted] - 1]))
