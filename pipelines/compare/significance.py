"""Whether two models differ: a paired test of AUC and gAUC over users and seeds.

DeLong's test, with users in place of examples (Obuchowski, Biometrics 1997): AUC is, up to small terms, a sum of one
number per user, so the difference of two models is one too, and its variance follows from how these numbers vary. The
same holds for gAUC, of users and of lists: a user adds what all its lists do. Runs of the same seed are paired. The
variance over seeds is added to that over users.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tf_interformer.metrics import grouped_auc

Floats = NDArray[np.float64]


class Parts(NamedTuple):
    """A metric, and what every user adds to its deviation: `[users]`, their sum is 0."""

    value: float
    by_user: Floats


class Difference(NamedTuple):
    """A paired difference, with its 95 % interval and two-sided p."""

    value: float
    low: float
    high: float
    p: float


def auc_parts(labels: NDArray, scores: NDArray, users: NDArray) -> Parts:
    """AUC by users, numbered from 0; NaN where a class is missing."""
    positive = np.asarray(labels) == 1
    count = int(users.max()) + 1
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        return Parts(math.nan, np.full(count, math.nan))
    ranks = stats.rankdata(scores)
    # For each example the share of the other class that it is on the right side of
    right = np.empty(len(ranks))
    right[positive] = (ranks[positive] - stats.rankdata(scores[positive])) / n
    right[~positive] = 1.0 - (ranks[~positive] - stats.rankdata(scores[~positive])) / m
    value = float(right[positive].mean())
    share = (right - value) / np.where(positive, m, n)
    by_user = np.zeros(count)
    np.add.at(by_user, users, share)
    return Parts(value, by_user)


def gauc_parts(labels: NDArray, scores: NDArray, users: NDArray, lists: NDArray | None = None) -> Parts:
    """gAUC, weighted by impressions, by users numbered from 0; NaN where no user, or no list, has both classes.

    Args:
        labels: 0 and 1.
        scores: Numbers.
        users: Numbers from 0.
        lists: What each AUC is of, as integers: the lists that users were shown, each to one user. Defaults to `None`:
            the users themselves.
    """
    lists = users if lists is None else lists
    found = grouped_auc(labels, scores, lists)
    owners = users[np.unique(lists, return_index=True)[1]]
    by_user = np.zeros(int(users.max()) + 1)
    counted = found.counted
    if not counted.any():
        return Parts(math.nan, np.full(by_user.size, math.nan))
    weights = found.impressions[counted] / found.impressions[counted].sum()
    value = found.mean()
    np.add.at(by_user, owners[counted], weights * (found.auc[counted] - value))
    return Parts(value, by_user)


def difference(first: Sequence[Parts], second: Sequence[Parts]) -> Difference:
    """Tests `second - first`, one of each per seed, in the same order."""
    each = [b.value - a.value for a, b in zip(first, second, strict=True)]
    by_user = np.mean([b.by_user - a.by_user for a, b in zip(first, second, strict=True)], axis=0)
    value, seeds = float(np.mean(each)), len(each)
    users = int(np.count_nonzero(by_user))
    if math.isnan(value) or users < 2:
        return Difference(value, math.nan, math.nan, math.nan)
    over_users = float(np.sum(by_user**2)) * users / (users - 1)
    over_seeds = float(np.var(each, ddof=1)) / seeds if seeds > 1 else 0.0
    variance = over_users + over_seeds
    # Welch and Satterthwaite: few seeds make an uncertain variance.
    freedom = variance**2 / (over_users**2 / (users - 1) + (over_seeds**2 / (seeds - 1) if seeds > 1 else 0.0))
    error = math.sqrt(variance)
    half = float(stats.t.ppf(0.975, freedom)) * error
    return Difference(value, value - half, value + half, float(2 * stats.t.sf(abs(value) / error, freedom)))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction for several tests; NaN stays."""
    order = [i for i in np.argsort(p) if not math.isnan(p[i])]
    corrected, highest = list(p), 0.0
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - place) * p[i]))
        corrected[i] = highest
    return corrected
