"""The metrics of `ranking_metrics` by their names: what tables call them, and which way is better."""

from typing import NamedTuple


class MetricName(NamedTuple):
    """What there is to know of a metric without its values.

    Attributes:
        title: What tables call it.
        higher_is_better: Whether more of it is better; `None` where neither is, as of calibration, best at 1.
        key: The key of the schema that it needs, `group` or `request`, if any.

    Example:

    >>> METRICS["ne"].title, METRICS["ne"].higher_is_better
    ('NE', False)
    """

    title: str
    higher_is_better: bool | None
    key: str | None = None


METRICS = {
    "auc": MetricName("AUC", True),
    "gauc": MetricName("gAUC", True, "group"),
    "gauc_click_weighted": MetricName("gAUC by clicks", True, "group"),
    "request_gauc": MetricName("request gAUC", True, "request"),
    "mrr": MetricName("MRR", True, "request"),
    "ndcg_10": MetricName("NDCG@10", True, "request"),
    "log_loss": MetricName("log loss", False),
    "ne": MetricName("NE", False),
    "calibration": MetricName("calibration", None),
    "ece": MetricName("ECE", False),
}
# What is told of one model: gAUC by one weighting is enough.
REPORTED = tuple(name for name in METRICS if name != "gauc_click_weighted")
# What a table of several models shows.
SHOWN = ("auc", "gauc", "request_gauc", "mrr", "ndcg_10", "ne")
