"""Log loss, and log loss relative to the entropy of the click rate."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from tf_interformer.metrics._checks import check_base_rate, check_labels, check_probabilities, check_scores


def log_loss(labels: ArrayLike, probabilities: ArrayLike, from_logits: bool = False) -> float:
    """Computes the mean binary cross-entropy, in nats.

        LogLoss = -1/n sum_i [ y_i ln p_i + (1 - y_i) ln(1 - p_i) ]

    Probabilities are clipped by the machine epsilon of the type they come in (as scikit-learn does), so a
    sigmoid that rounded to 0 or 1 costs much, not infinity. Logits need no clipping and lose nothing.

    Args:
        labels: array of 0 and 1, shape `[n]` or `[n, 1]`. What happened.
        probabilities: array of floats, shape `[n]` or `[n, 1]`. The predicted probability of a 1, or its
            logit.
        from_logits: bool. Whether `probabilities` holds logits. Defaults to `False`.

    Returns:
        A float, 0 at best.

    Raises:
        ValueError: If the shapes differ, there are no examples, a label is neither 0 nor 1, a probability
            lies outside [0, 1] or a prediction is NaN.
        TypeError: If the labels or predictions are not numbers.

    Example:

    >>> round(log_loss([1, 0], [0.9, 0.2]), 4)
    0.1643
    """
    clicked = check_labels(labels)
    if from_logits:
        logits = check_scores(probabilities, "probabilities", clicked.size)
        return float(np.logaddexp(0.0, np.where(clicked, -logits, logits)).mean())
    values = check_probabilities(probabilities, clicked.size)
    kind = np.asarray(probabilities).dtype
    epsilon = np.finfo(np.float32 if kind.kind in "fV" and kind.itemsize < 8 else np.float64).eps
    return float(-np.log(np.clip(np.where(clicked, values, 1.0 - values), epsilon, 1.0 - epsilon)).mean())


def normalized_entropy(
    labels: ArrayLike, probabilities: ArrayLike, base_rate: float | None = None, from_logits: bool = False
) -> float:
    """Computes the normalized entropy (NE): log loss relative to always predicting the average click rate.

        NE = LogLoss / -( c ln c + (1 - c) ln(1 - c) )

    with `c` the average click rate of the *training* data (He et al.; InterFormer reports it for its
    industrial data). Below 1 the model knows more than the rate; unlike log loss, NE compares across data
    sets whose rates differ.

    Args:
        labels: array of 0 and 1, shape `[n]` or `[n, 1]`. What happened.
        probabilities: array of floats, shape `[n]` or `[n, 1]`. The predicted probability of a 1, or its
            logit.
        base_rate: float in (0, 1), or None. The click rate of the training data. None takes the mean of
            `labels` in its place, which no model knew beforehand: say so where you print it. Defaults
            to `None`.
        from_logits: bool. Whether `probabilities` holds logits. Defaults to `False`.

    Returns:
        A float, 0 at best; NaN if `base_rate` is None and all labels are equal.

    Raises:
        ValueError: If `base_rate` lies outside (0, 1), or as for `log_loss`.
        TypeError: If the labels or predictions are not numbers.

    Example:

    >>> labels, probabilities = [1, 0, 0, 0], [0.7, 0.2, 0.1, 0.2]
    >>> round(normalized_entropy(labels, probabilities, base_rate=0.3), 4)
    0.3717
    >>> normalized_entropy(labels, [0.25] * 4)
    1.0

    Reference:
        - [He et al., 2014: Practical Lessons from Predicting Clicks on Ads at
          Facebook](https://doi.org/10.1145/2648584.2648589)
        - [Zeng et al., 2024: InterFormer](https://arxiv.org/abs/2411.09852)
    """
    check_base_rate(base_rate)
    loss = log_loss(labels, probabilities, from_logits)
    rate = float(check_labels(labels).mean()) if base_rate is None else base_rate
    if rate in (0.0, 1.0):
        return float("nan")
    return loss / entropy_of(rate)


def entropy_of(rate: float) -> float:
    """Returns the log loss of always predicting a click rate in (0, 1) that is right, in nats.

    Args:
        rate: float. The click rate.

    Example:

    >>> round(entropy_of(0.5), 4)
    0.6931
    """
    return -(rate * math.log(rate) + (1.0 - rate) * math.log1p(-rate))
