"""Exact area under the ROC curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tf_interformer.metrics._checks import check_labels, check_scores
from tf_interformer.metrics._ranks import doubled_mid_ranks


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Computes the exact area under the ROC curve.

    It is the probability that a random positive scores above a random negative, a tie counting one half, from
    the rank-sum (Mann-Whitney) identity

        AUC = (sum_{i: y_i = 1} r_i - P (P + 1) / 2) / (P N)

    with `r_i` the mid-rank of example `i`, `P` positives and `N` negatives. Nothing is binned, unlike in
    `keras.metrics.AUC`, whose 200 thresholds move the third decimal on rare clicks.

    Args:
        labels: array of 0 and 1, shape `[n]` or `[n, 1]`. What happened.
        scores: array of numbers, shape `[n]` or `[n, 1]`. Logits or probabilities: only their order counts.

    Returns:
        A float in [0, 1]; NaN if all labels are equal, where the AUC is undefined.

    Raises:
        ValueError: If the shapes differ, there are no examples, a label is neither 0 nor 1 or a score is NaN.
        TypeError: If the labels or scores are not numbers.

    Example:

    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75

    Reference:
        - [Fawcett, 2006: An introduction to ROC analysis](https://doi.org/10.1016/j.patrec.2005.10.010)
    """
    clicked = check_labels(labels)
    values = check_scores(scores, size=clicked.size)
    positives = int(clicked.sum())
    negatives = clicked.size - positives
    if not positives or not negatives:
        return float("nan")
    order = np.argsort(values)
    ranked = values[order]
    new_value = np.append(True, ranked[1:] != ranked[:-1])
    rank_sum = int(doubled_mid_ranks(new_value)[clicked[order]].sum())
    return (rank_sum - positives * (positives + 1)) / (2 * positives * negatives)
