"""What is learned of the training split before a model is, and whether there is anything to learn."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pipelines.config import ConfigError
from pipelines.input import Source
from pipelines.monitor import Monitor
from tf_interformer.metrics import ranking_metrics
from tf_interformer.schema import FeatureSchema


def learn(source: Source, watch: Callable[[dict[str, Any]], None] | None = None) -> tuple[FeatureSchema, int]:
    """The schema, learned in one pass over the training split, and the number of its examples.

    Args:
        source: The data.
        watch: Is shown every raw batch. Defaults to `None`.

    Raises:
        ConfigError: A label is the same in all examples.
    """
    examples = 0
    positives = dict.fromkeys(source.schema.tasks, 0)

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal examples
        for batch in source.raw_batches("train", 8192).as_numpy_iterator():
            examples += len(batch[source.schema.tasks[0]])
            for task in positives:
                positives[task] += int(batch[task].sum())
            if watch is not None:
                watch(batch)
            yield batch

    schema = source.schema.learn(counted())
    for task, count in positives.items():
        if count in (0, examples):
            raise ConfigError(
                f"the training split holds one class only: {task!r} is {int(count > 0)} in all {examples:,} "
                "examples, so there is nothing to learn. Take other days or another label (dataset.labels)"
            )
    return schema, examples


def check_splits(source: Source, monitor: Monitor, say: Callable[[str], None]) -> None:
    """Say before anything is trained what would be found out at its end.

    Args:
        source: The data.
        monitor: What is monitored.
        say: Where remarks go.

    Raises:
        ConfigError: A split is empty, or the metric is undefined on the validation split.
    """
    schema = source.schema
    for split in ("validation", "test"):
        found = source.outcomes(split)
        if not found:
            raise ConfigError(f"the {split} split holds no example: {', '.join(source.files[split])}")
        keys: Any = {f"{role}s": found[column] for role, (column, _) in schema.key_columns.items()}
        for name in schema.tasks:
            labels = found[name]
            alike = ranking_metrics(labels, np.zeros(len(labels)), from_logits=True, **keys)
            one_class = labels.min() == labels.max()
            told = f"{name!r} is {int(labels[0])} in all {len(labels):,} examples of the {split} split"
            if split == "validation" and name == monitor.task and math.isnan(alike[monitor.metric]):
                why = told if one_class else "one class only in each user or list"
                raise ConfigError(
                    f"training.monitor: {monitor.metric} of {name!r} is undefined on the validation split: {why}. "
                    "Validate on more examples, or by log_loss"
                )
            if one_class:
                say(f"{told}: its AUC is undefined")
