"""By which metric of which task epochs and settings are chosen."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipelines.config import ConfigError
from tf_interformer._suggestions import did_you_mean
from tf_interformer.metrics.names import METRICS
from tf_interformer.schema import FeatureSchema

_MONITORED = [name for name, metric in METRICS.items() if metric.higher_is_better is not None]


class Monitor(NamedTuple):
    """What `training.monitor` names."""

    task: str
    metric: str

    @classmethod
    def parse(cls, text: str, tasks: Sequence[str]) -> "Monitor":
        """Of `TASK/METRIC`, or `METRIC` of the first task.

        Raises:
            ConfigError: There is no such task or metric.
        """
        task, _, metric = text.rpartition("/")
        task = task or tasks[0]
        if task not in tasks or metric not in _MONITORED:
            meant = did_you_mean(metric, _MONITORED) if metric not in _MONITORED else did_you_mean(task, tasks)
            raise ConfigError(
                f"training.monitor must be METRIC or TASK/METRIC with a metric of {sorted(_MONITORED)} and a "
                f"task of {list(tasks)}. Received: {text!r}.{meant}"
            )
        return cls(task, metric)

    @classmethod
    def of_schema(cls, text: str, schema: FeatureSchema) -> "Monitor":
        """The same, of the schema's tasks.

        Raises:
            ConfigError: There is no such task or metric, or the schema lacks the key that the metric needs.
        """
        found = cls.parse(text, schema.tasks)
        key = METRICS[found.metric].key
        if key is not None:
            require_key(f"training.monitor: {found.metric}", text, key, schema)
        return found

    def of(self, by_task: Mapping[str, Mapping[str, float]]) -> float:
        """The metric's value, of the metrics of a split by task."""
        return float(by_task[self.task][self.metric])

    def signed(self, value: float) -> float:
        """A value so that more is better."""
        return value if METRICS[self.metric].higher_is_better else -value


def require_key(what: str, value: Any, key: str, schema: FeatureSchema) -> None:
    """Make sure that the schema has a key.

    Raises:
        ConfigError: It has none.
    """
    if key not in schema.key_columns:
        raise ConfigError(
            f"{what} needs a schema with a `{key}` column, and {schema.name!r} has none. Received: {value!r}"
        )
