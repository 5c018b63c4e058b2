"""The forms in which a training batch may come."""

from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf


def unpack(batch: Any, tasks: Iterable[str], extras: Iterable[str]) -> tuple[dict, dict, dict]:
    """Splits a batch into features, labels `[B, 1]` by task, and extra columns such as sample weights.

    Args:
        batch: `features`, `(features, labels)` or `(features, labels, others)`.
        tasks: Names of the labels.
        extras: Names of the extra columns; the first one is the sample weight.

    Raises:
        ValueError: If the batch has another form or lacks a label.
    """
    tasks, extras = list(tasks), list(extras)
    features, labels, others = _three(batch)
    if not isinstance(features, Mapping):
        raise ValueError(f"The features of a batch must be a dict. Received: {type(features).__name__}")
    if labels is None:
        labels = features
    elif not isinstance(labels, Mapping):
        if len(tasks) > 1:
            raise ValueError(f"The labels of several tasks {tasks} must be a dict. Received: {type(labels).__name__}")
        labels = {tasks[0]: labels}
    missing = [task for task in tasks if task not in labels]
    if missing:
        raise ValueError(f"The batch lacks the labels {missing}. Received: {', '.join(sorted(labels))}")
    if others is None:
        others = features
    elif not isinstance(others, Mapping):
        others = {extras[0]: others, **{name: features[name] for name in extras[1:] if name in features}}
    found = {name: others[name] if name in others else features.get(name) for name in extras}
    own = {name: value for name, value in features.items() if name not in (*tasks, *extras)}
    return own, {task: as_column(labels[task]) for task in tasks}, found


def as_column(values: Any) -> tf.Tensor:
    """Float32 `[B, 1]`."""
    return tf.cast(tf.reshape(values, [-1, 1]), tf.float32)


def _three(batch: Any) -> tuple[Any, Any, Any]:
    if not isinstance(batch, (list, tuple)):
        return batch, None, None
    if not 1 <= len(batch) <= 3:
        raise ValueError(
            "A batch must be `features`, `(features, labels)` or `(features, labels, others)`. "
            f"Received: a tuple of {len(batch)}"
        )
    features, labels, others = (*batch, None, None)[:3]
    return features, labels, others
