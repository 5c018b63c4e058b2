"""How good the best possible model is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from pipelines.datasets.synthetic_clicks.simulate import split_by_time
from tf_interformer.metrics import ranking_metrics


def best_possible(log: Mapping[str, NDArray[Any]], label: str = "is_click") -> dict[str, dict[str, float]]:
    """Computes the metrics of the true probabilities: no model that knows only the features can expect better.

    On a finite split a model may come out a little above, by chance.

    Args:
        log: dict. What `simulate` returned.
        label: str. The task. Defaults to `"is_click"`.

    Returns:
        dict: split -> metrics as of `tf_interformer.metrics.ranking_metrics`; gAUC is grouped by user, NE is
        relative to the rate of the training split. Splits without examples are left out.

    Example:

    >>> from pipelines.datasets.synthetic_clicks.simulate import simulate
    >>> log = simulate(5000)
    >>> 0.8 < best_possible(log)["train"]["auc"] < 1.0
    True
    """
    splits = split_by_time(log)
    rate = float(splits["train"][label].mean()) if len(splits["train"][label]) else None
    return {
        split: ranking_metrics(
            columns[label],
            columns[f"probability_{label}"],
            groups=columns["user_id"],
            base_rate=rate if rate and rate < 1.0 else None,
        )
        for split, columns in splits.items()
        if len(columns[label])
    }
