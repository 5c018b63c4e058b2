"""Do the predicted probabilities come true?"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tf_interformer.metrics._checks import check_labels, check_probabilities

Strategy = Literal["quantile", "uniform"]


def calibration_ratio(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Computes predicted clicks over observed clicks.

        calibration = sum_i p_i / sum_i y_i

    1 is right on average, 1.1 promises 10 % too many clicks. A bid computed from the probability is wrong by
    the same factor.

    Args:
        labels: array of 0 and 1, shape `[n]` or `[n, 1]`. What happened.
        probabilities: array of floats in [0, 1], shape `[n]` or `[n, 1]`. The predicted probability of a 1.

    Returns:
        A float; NaN if nothing was clicked.

    Raises:
        ValueError: If the shapes differ, there are no examples, a label is neither 0 nor 1, a probability
            lies outside [0, 1] or is NaN.
        TypeError: If the labels or probabilities are not numbers.

    Example:

    >>> calibration_ratio([1, 0, 0, 0], [0.5, 0.25, 0.25, 0.25])
    1.25

    Reference:
        - [He et al., 2014: Practical Lessons from Predicting Clicks on Ads at
          Facebook](https://doi.org/10.1145/2648584.2648589)
    """
    clicked = check_labels(labels)
    values = check_probabilities(probabilities, clicked.size)
    clicks = int(clicked.sum())
    return float(values.sum()) / clicks if clicks else float("nan")


def reliability_table(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = 20, strategy: Strategy = "quantile"
) -> dict[str, NDArray]:
    """Groups the examples by predicted probability and compares each group with what happened.

    Args:
        labels: array of 0 and 1, shape `[n]` or `[n, 1]`. What happened.
        probabilities: array of floats in [0, 1], shape `[n]` or `[n, 1]`. The predicted probability of a 1.
        bins: int. Number of bins. Empty bins are left out, and equal probabilities never part, so fewer may
            come back. Defaults to `20`.
        strategy: `"quantile"` for bins of about equal count, `"uniform"` for bins of equal width: with rare
            clicks nearly everything falls into the first of those. Defaults to `"quantile"`.

    Returns:
        A dict of arrays of shape `[b]`, `b <= bins`, by increasing probability:
        `"count"` examples, `"mean_probability"` what was promised, `"click_rate"` what was kept, `"lowest"`
        and `"highest"` probability in the bin.

    Raises:
        ValueError: If `bins` is below 1, `strategy` unknown, or as for `calibration_ratio`.
        TypeError: If the labels or probabilities are not numbers.

    Example:

    >>> table = reliability_table([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9], bins=2)
    >>> table["click_rate"].tolist(), table["mean_probability"].round(2).tolist()
    ([0.0, 1.0], [0.15, 0.75])
    """
    if bins < 1:
        raise ValueError(f"`bins` must be at least 1. Received: {bins!r}")
    if strategy not in get_args(Strategy):
        raise ValueError(f"`strategy` must be 'quantile' or 'uniform'. Received: {strategy!r}")
    clicked = check_labels(labels)
    values = check_probabilities(probabilities, clicked.size)
    inner = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    edges = np.quantile(values, inner) if strategy == "quantile" else inner
    index = np.searchsorted(edges, values, side="right")
    count = np.bincount(index, minlength=bins)
    lowest, highest = np.full(bins, np.inf), np.full(bins, -np.inf)
    np.minimum.at(lowest, index, values)
    np.maximum.at(highest, index, values)
    kept = count > 0
    return {
        "count": count[kept],
        "mean_probability": np.bincount(index, values, bins)[kept] / count[kept],
        "click_rate": np.bincount(index, clicked, bins)[kept] / count[kept],
        "lowest": lowest[kept],
        "highest": highest[kept],
    }


def expected_calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, bins: int = 20, strategy: Strategy = "quantile"
) -> float:
    """Computes the expected calibration error (ECE).

        ECE = sum_b n_b / n | mean of p in b - mean of y in b |

    over the bins `b` of `reliability_table`. Too high here and too low there do not cancel, as they do in
    `calibration_ratio`. Noise does not cancel either: even a perfect model has an ECE of about
    `0.8 sqrt(c (1 - c) bins / n)` at click rate `c`.

    Args:
        labels: array of 0 and 1, shape `[n]` or `[n, 1]`. What happened.
        probabilities: array of floats in [0, 1], shape `[n]` or `[n, 1]`. The predicted probability of a 1.
        bins: int. Number of bins. Defaults to `20`.
        strategy: `"quantile"` (equal count) or `"uniform"` (equal width). Defaults to `"quantile"`.

    Returns:
        A float in [0, 1], 0 at best.

    Raises:
        ValueError: As for `reliability_table`.
        TypeError: If the labels or probabilities are not numbers.

    Example:

    >>> round(expected_calibration_error([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9], bins=2), 4)
    0.2

    Reference:
        - [Guo et al., 2017: On Calibration of Modern Neural Networks](https://arxiv.org/abs/1706.04599)
    """
    table = reliability_table(labels, probabilities, bins, strategy)
    gaps = np.abs(table["mean_probability"] - table["click_rate"])
    return float(np.average(gaps, weights=table["count"]))
