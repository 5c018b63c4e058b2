"""All metrics of one task at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tf_interformer.metrics._checks import check_labels, check_probabilities, check_scores, column
from tf_interformer.metrics._groups import factorize
from tf_interformer.metrics.discounted_gain import ndcg
from tf_interformer.metrics.entropy import log_loss, normalized_entropy
from tf_interformer.metrics.grouped_auc import gauc, grouped_auc
from tf_interformer.metrics.reciprocal_rank import mrr
from tf_interformer.metrics.reliability import calibration_ratio, expected_calibration_error
from tf_interformer.metrics.roc_auc import auc


def ranking_metrics(
    labels: ArrayLike,
    predictions: ArrayLike,
    groups: ArrayLike | None = None,
    base_rate: float | None = None,
    from_logits: bool = False,
    requests: ArrayLike | None = None,
) -> dict[str, float]:
    """Computes every metric of one task over a whole evaluation split.

    Args:
        labels: array of 0 and 1, shape `[n]` or `[n, 1]`. What happened.
        predictions: array of floats, shape `[n]` or `[n, 1]`. Probabilities, or logits: prefer logits, a
            saturated sigmoid makes ties.
        groups: array of integers, strings or bytes, shape `[n]`, or None. The user of each example. Defaults
            to `None`.
        base_rate: float in (0, 1), or None. The click rate of the training data, for `"ne"`; None takes the
            mean of `labels` in its place. Defaults to `None`.
        from_logits: bool. Whether `predictions` holds logits. Defaults to `False`.
        requests: array of integers, strings or bytes, shape `[n]`, or None. The list in which each example was shown.
            Defaults to `None`.

    Returns:
        A dict of floats, whatever the data with the same keys; NaN where a metric is undefined:
        `"auc"`; `"gauc"` weighted by impressions, `"gauc_click_weighted"` and `"grouped_users"`, the share of
        the impressions whose user has both classes (these three NaN without `groups`); `"log_loss"` in nats;
        `"ne"`; `"calibration"`, predicted over observed clicks; `"ece"`; `"examples"`; `"positives"`.
        With `requests` also `"request_gauc"`, the AUC within each list, weighted by impressions; `"mrr"`; `"ndcg_10"`.

    Raises:
        ValueError: If a shape differs, there are no examples, a label is neither 0 nor 1, a probability lies
            outside [0, 1], a prediction is NaN or `base_rate` lies outside (0, 1).
        TypeError: If the labels or predictions are not numbers.

    Example:

    >>> metrics = ranking_metrics([0, 1, 0, 1], [0.2, 0.9, 0.6, 0.4], groups=["ann", "ann", "bob", "bob"])
    >>> metrics["auc"], metrics["gauc"], metrics["grouped_users"]
    (0.75, 0.5, 1.0)
    """
    clicked = check_labels(labels)
    scores = check_scores(predictions, "predictions", clicked.size)
    probabilities = _sigmoid(scores) if from_logits else check_probabilities(scores, name="predictions")
    by_user = None if groups is None else grouped_auc(clicked, scores, groups)
    undefined = float("nan")
    found = {
        "auc": auc(clicked, scores),
        "gauc": undefined if by_user is None else by_user.mean("impressions"),
        "gauc_click_weighted": undefined if by_user is None else by_user.mean("clicks"),
        "grouped_users": undefined if by_user is None else by_user.coverage,
        "log_loss": log_loss(clicked, predictions, from_logits),
        "ne": normalized_entropy(clicked, predictions, base_rate, from_logits),
        "calibration": calibration_ratio(clicked, probabilities),
        "ece": expected_calibration_error(clicked, probabilities),
        "examples": float(clicked.size),
        "positives": float(clicked.sum()),
    }
    return found if requests is None else found | _by_request(clicked, scores, requests)


def _by_request(clicked: np.ndarray, scores: np.ndarray, requests: ArrayLike) -> dict[str, float]:
    _, codes = factorize(column(requests, "requests"), clicked.size, "requests")
    return {
        "request_gauc": gauc(clicked, scores, codes),
        "mrr": mrr(clicked, scores, codes),
        "ndcg_10": ndcg(clicked, scores, codes, k=10),
    }


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    # tanh saturates without the overflow of exp(-x).
    return 0.5 * (1.0 + np.tanh(0.5 * logits))
