"""AUC within groups (users), averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tf_interformer.metrics._checks import check_labels, check_scores, column
from tf_interformer.metrics._groups import factorize
from tf_interformer.metrics._ranks import doubled_mid_ranks

Weighting = Literal["impressions", "clicks"]


@dataclass(frozen=True, eq=False)
class GroupedAUC:
    """The AUC of every group, before averaging.

    Attributes:
        groups: array, shape `[G]`. The distinct groups.
        auc: float64 array, shape `[G]`. The AUC of each; NaN where all labels of the group are equal.
        impressions: integer array, shape `[G]`. Examples of each group.
        clicks: integer array, shape `[G]`. Positive examples of each group.
    """

    groups: NDArray
    auc: NDArray[np.float64]
    impressions: NDArray[np.int64]
    clicks: NDArray[np.int64]

    @property
    def counted(self) -> NDArray[np.bool_]:
        """The groups that have both classes, shape `[G]`: only these enter the mean."""
        return ~np.isnan(self.auc)

    @property
    def coverage(self) -> float:
        """Share of the impressions that belong to counted groups."""
        return float(self.impressions[self.counted].sum() / self.impressions.sum())

    def mean(self, weighting: Weighting = "impressions") -> float:
        """Returns the weighted mean over the counted groups, NaN if there are none.

        Args:
            weighting: `"impressions"` or `"clicks"`. What a group weighs. Defaults to `"impressions"`.
        """
        if weighting not in get_args(Weighting):
            raise ValueError(f"`weighting` must be 'impressions' or 'clicks'. Received: {weighting!r}")
        counted = self.counted
        if not counted.any():
            return float("nan")
        weights = self.impressions if weighting == "impressions" else self.clicks
        return float(np.average(self.auc[counted], weights=weights[counted]))


def grouped_auc(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> GroupedAUC:
    """Computes the exact AUC within every group, in one sort.

    Args:
        labels: array of 0 and 1, shape `[n]` or `[n, 1]`. What happened.
        scores: array of numbers, shape `[n]` or `[n, 1]`. Logits or probabilities.
        groups: array of integers, strings or bytes, shape `[n]` or `[n, 1]`. The user (or query) of each
            example; they need not be contiguous.

    Returns:
        A `GroupedAUC`. Its integer groups are sorted, its string groups are in order of appearance.

    Raises:
        ValueError: If the shapes differ, there are no examples, a label is neither 0 nor 1, a score is NaN or
            a group is missing (NaN or None).
        TypeError: If the labels or scores are not numbers.

    Example:

    >>> by_user = grouped_auc([0, 1, 1, 0, 0], [0.2, 0.9, 0.1, 0.4, 0.3], ["ann", "ann", "bob", "bob", "cy"])
    >>> dict(zip(by_user.groups.tolist(), by_user.auc.tolist()))
    {'ann': 1.0, 'bob': 0.0, 'cy': nan}
    >>> by_user.coverage
    0.8
    """
    clicked = check_labels(labels)
    values = check_scores(scores, size=clicked.size)
    names, codes = factorize(column(groups, "groups"), clicked.size)

    order = np.lexsort((values, codes))
    values, codes, clicked = values[order], codes[order], clicked[order]
    new_group = np.append(True, codes[1:] != codes[:-1])
    new_value = new_group | np.append(True, values[1:] != values[:-1])
    starts = np.flatnonzero(new_group)
    impressions = np.diff(np.append(starts, codes.size))
    clicks = np.add.reduceat(clicked.astype(np.int64), starts)
    # Positions before a group's first row hold that many ranks of other groups: take them off again.
    rank_sums = np.add.reduceat(np.where(clicked, doubled_mid_ranks(new_value), 0), starts) - 2 * starts * clicks
    pairs = clicks * (impressions - clicks)
    scored = np.full(starts.size, np.nan)
    np.divide(rank_sums - clicks * (clicks + 1), 2 * pairs, out=scored, where=pairs > 0)
    return GroupedAUC(groups=names, auc=scored, impressions=impressions, clicks=clicks)


def gauc(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike, weighting: Weighting = "impressions") -> float:
    """Computes the group AUC: the AUC within each user, averaged over users.

        gAUC = sum_u w_u AUC_u / sum_u w_u        over the users u with both classes

    where `w_u` is the user's number of impressions (DIN, FuxiCTR, the BARS boards; the default) or of clicks
    (the wording of InterFormer). Users who clicked everything or nothing have no AUC and are skipped:
    `grouped_auc(...).coverage` tells which share of the impressions is left.

    Args:
        labels: array of 0 and 1, shape `[n]` or `[n, 1]`. What happened.
        scores: array of numbers, shape `[n]` or `[n, 1]`. Logits or probabilities: only their order within a
            user counts.
        groups: array of integers, strings or bytes, shape `[n]` or `[n, 1]`. The user of each example.
        weighting: `"impressions"` or `"clicks"`. What a user weighs. Defaults to `"impressions"`.

    Returns:
        A float in [0, 1]; NaN if no user has both classes.

    Raises:
        ValueError: If `weighting` is unknown, or as for `grouped_auc`.
        TypeError: If the labels or scores are not numbers.

    Example:

    >>> labels, scores = [0, 1, 1, 0, 0], [0.2, 0.9, 0.1, 0.4, 0.3]
    >>> round(gauc(labels, scores, [7, 7, 8, 8, 8]), 4)
    0.4
    >>> gauc(labels, scores, [7, 7, 8, 8, 8], weighting="clicks")
    0.5

    Reference:
        - [Zeng et al., 2024: InterFormer](https://arxiv.org/abs/2411.09852)
        - [Zhou et al., 2018: Deep Interest Network](https://arxiv.org/abs/1706.06978)
    """
    return grouped_auc(labels, scores, groups).mean(weighting)
