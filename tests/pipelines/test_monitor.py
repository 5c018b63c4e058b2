"""What is known of metrics by their names."""

import pytest

from pipelines.config import ConfigError
from pipelines.monitor import Monitor
from tf_interformer.metrics import ranking_metrics
from tf_interformer.metrics.names import METRICS


def test_every_metric_has_a_name_and_a_direction():
    good, bad = ([0.9, 0.8, 0.2, 0.1], [0.4, 0.2, 0.9, 0.3])
    labels, keys = [1, 1, 0, 0], ["a", "b", "a", "b"]
    better, worse = (ranking_metrics(labels, scores, groups=keys, requests=keys) for scores in (good, bad))
    assert set(METRICS) == set(better) - {"grouped_users", "examples", "positives"}
    for name, metric in METRICS.items():
        if metric.higher_is_better is not None:
            assert (better[name] > worse[name]) == metric.higher_is_better, name
    alone = ranking_metrics(labels, good)
    assert {name for name, metric in METRICS.items() if metric.key == "request"} == set(better) - set(alone)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("acu", r"Received: 'acu'\. Did you mean 'auc'\?"),
        ("clik/auc", r"a task of \['click', 'buy'\]\. Received: 'clik/auc'\. Did you mean 'click'\?"),
        ("calibration", "must be METRIC or TASK/METRIC with a metric of "),
    ],
)
def test_what_cannot_be_monitored(text, message):
    with pytest.raises(ConfigError, match=message):
        Monitor.parse(text, ["click", "buy"])


def test_more_is_better_of_what_is_monitored():
    by_task = {"click": {"auc": 0.7, "ne": 0.9}, "buy": {"auc": 0.6, "ne": 0.8}}
    first, other = Monitor.parse("auc", ["click", "buy"]), Monitor.parse("buy/ne", ["click", "buy"])
    assert (first.of(by_task), first.signed(0.7), other.of(by_task), other.signed(0.8)) == (0.7, 0.7, 0.8, -0.8)
