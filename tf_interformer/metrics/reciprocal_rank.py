"""Mean reciprocal rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tf_interformer.metrics._gains import expected_gains


def mrr(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> float:
    """Computes the mean reciprocal rank of the clicked items of each list, averaged over lists.

        MRR = 1/|L| sum_{l in L} 1/P_l sum_{i in l: y_i = 1} 1 / r_i        L: the lists with a click

    with `r_i` the rank of item `i` in its list, 1 for the highest score, and `P_l` the clicks of the list. This is the
    form of the MIND news benchmark; with one click per list it is the usual one. (With several, others take the best
    ranked click alone.) Items that tie may stand in any order: `1 / r_i` is then its mean over the ranks that they
    occupy together, so that MRR is the expectation over random tie breaks.

    Lists without a click have no MRR and are skipped; one in which everything was clicked counts.

    Args:
        labels: array of 0 and 1, shape `[n]` or `[n, 1]`. What happened.
        scores: array of numbers, shape `[n]` or `[n, 1]`. Logits or probabilities: only their order within a
            list counts.
        groups: array of integers, strings or bytes, shape `[n]` or `[n, 1]`. The list in which each example was
            shown; they need not be contiguous.

    Returns:
        A float in (0, 1]; NaN if no list has a click.

    Raises:
        ValueError: If the shapes differ, there are no examples, a label is neither 0 nor 1, a score is NaN or
            a group is missing (NaN or None).
        TypeError: If the labels or scores are not numbers.

    Example:

    >>> mrr([0, 1, 0, 1, 0], [0.9, 0.4, 0.1, 0.8, 0.3], ["first", "first", "first", "second", "second"])
    0.75
    >>> mrr([1, 0], [0.5, 0.5], [7, 7])  # either order, each as likely
    0.75

    Reference:
        - [Wu et al., 2020: MIND](https://doi.org/10.18653/v1/2020.acl-main.331)
        - [Voorhees, 1999: The TREC-8 Question Answering Track Report](
          https://trec.nist.gov/pubs/trec8/papers/qa_report.pdf)
    """
    gains, clicks = expected_gains(labels, scores, groups, lambda ranks: 1.0 / ranks)
    counted = clicks > 0
    return float(np.mean(gains[counted] / clicks[counted])) if counted.any() else float("nan")
