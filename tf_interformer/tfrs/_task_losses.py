"""The losses and metrics of a model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_recommenders as tfrs

from tf_interformer._keras import keras
from tf_interformer._names import safe_name, with_own_name
from tf_interformer.losses import list_losses
from tf_interformer.metrics import Calibration, NormalizedEntropy
from tf_interformer.metrics.entropy import entropy_of
from tf_interformer.schema import Label
from tf_interformer.tfrs._batch import as_column

STREAMED = ("auc", "calibration", "ne")


class TaskLosses:
    """One `tfrs.tasks.Ranking` per label, and the means of all losses over an epoch.

    A plain object: Keras would count the state of a model's metrics among its weights.

    Args:
        tasks: dict. Task name -> `tfrs.tasks.Ranking` with a loss per example.
        weigh: callable. Adds up a dict of losses `[B]` by task.
        list_loss: float. Factor of `tf_interformer.losses.list_losses` in each loss; 0 for none.

    Raises:
        ValueError: If two metrics have one name.
    """

    def __init__(self, tasks: Mapping[str, Any], weigh: Callable[[Mapping[str, Any]], Any], list_loss: float) -> None:
        self.tasks = dict(tasks)
        self._weigh = weigh
        self._list_loss = list_loss
        # float64, because a float32 sum stops resolving batches after some ten million examples.
        self._total = keras.metrics.Mean("loss", dtype="float64")
        self._penalty = keras.metrics.Mean("regularization_loss", dtype="float64")
        self._means = {name: keras.metrics.Mean(f"{name}_loss", dtype="float64") for name in tasks}
        names = [metric.name for metric in self._of_tasks]
        if len(set(names)) < len(names):
            raise ValueError(f"the metrics of all tasks need different names. Received: {names}")

    @property
    def _of_tasks(self) -> list[Any]:
        return [metric for task in self.tasks.values() for metric in task.metrics]

    @property
    def metrics(self) -> list[Any]:
        """All that is to be reset when an epoch begins."""
        return [self._total, self._penalty, *self._means.values(), *self._of_tasks]

    def update(
        self, labels: Mapping[str, Any], logits: Mapping[str, Any], weights: Any, lists: Any, with_metrics: bool
    ) -> tf.Tensor:
        """The weighted sum of the tasks' losses `[B]`; it updates the means.

        Args:
            labels: Task name -> `[B, 1]`.
            logits: Task name -> `[B, 1]`.
            weights: Sample weights, a dict of them by task, or `None`.
            lists: Which list each example is of, integers `[B]`, or `None` where there is no list loss.
            with_metrics: Whether to update the tasks' metrics too.
        """
        losses = {}
        for name, task in self.tasks.items():
            weight = weights.get(name) if isinstance(weights, Mapping) else weights
            weight = None if weight is None else as_column(weight)
            loss = task(labels[name], logits[name], sample_weight=weight, compute_metrics=with_metrics)
            if loss.shape.rank == 0:
                raise ValueError(
                    f"the loss of task {name!r} must be one number per example: give it `reduction='none'`. "
                    "Received: a loss that is reduced already"
                )
            loss = tf.reshape(loss, [-1])
            if self._list_loss:
                within = tf.cast(list_losses(labels[name], logits[name], lists), loss.dtype)
                within = within if weight is None else within * tf.cast(tf.reshape(weight, [-1]), loss.dtype)
                loss += self._list_loss * within
            self._means[name].update_state(loss)
            losses[name] = loss
        total = self._weigh(losses)
        self._total.update_state(total)
        return total

    def update_penalty(self, penalty: tf.Tensor, examples: tf.Tensor) -> None:
        """Takes note of the regularisation loss of a batch."""
        self._penalty.update_state(penalty, sample_weight=examples)

    def logs(self, with_metrics: bool, factors: Mapping[str, float] | None = None) -> dict[str, Any]:
        """Means and metrics since the last reset.

        Args:
            with_metrics: Whether the tasks' metrics are among them.
            factors: Name of a metric -> what its result is multiplied by.
        """
        factors = factors or {}
        loss, penalty = self._total.result(), self._penalty.result()
        logs = {"loss": loss, "regularization_loss": penalty, "total_loss": loss + penalty}
        if len(self.tasks) > 1:
            logs |= {metric.name: metric.result() for metric in self._means.values()}
        if with_metrics:
            results = {metric.name: metric.result() * factors.get(metric.name, 1.0) for metric in self._of_tasks}
            logs |= {with_own_name(name, self.tasks): result for name, result in results.items()}
        return logs


def default_tasks(labels: Sequence[Label], metrics: Sequence[str]) -> dict[str, Any]:
    """Binary cross-entropy on the logits of each label, and those of `metrics` that are streamed."""
    return {
        label.name: _task(label, metrics, f"{safe_name(label.name)}_" if len(labels) > 1 else "") for label in labels
    }


def training_factors(labels: Sequence[Label]) -> dict[str, float]:
    """What makes the NE of a training batch relative to the click rate of the split that `negative_rate` thinned out.

    The metric itself, as an evaluation needs it, is relative to that of all impressions.
    """
    factors = {}
    for label in labels:
        base_rate = _base_rate(label)
        if base_rate is not None and label.negative_rate < 1:  # so it is the only label
            here = base_rate / (base_rate + (1 - base_rate) * label.negative_rate)
            factors["ne"] = entropy_of(base_rate) / entropy_of(here)
    return factors


def _base_rate(label: Label) -> float | None:
    return label.mean if label.mean is not None and 0 < label.mean < 1 else None


def _task(label: Label, metrics: Sequence[str], prefix: str) -> Any:
    base_rate = _base_rate(label)
    make: dict[str, Callable[[str], Any]] = {
        "auc": lambda name: keras.metrics.AUC(from_logits=True, name=name),
        "calibration": lambda name: Calibration(name=name),
        "ne": lambda name: NormalizedEntropy(base_rate=base_rate, name=name),
    }
    return tfrs.tasks.Ranking(
        loss=keras.losses.BinaryCrossentropy(from_logits=True, reduction="none"),
        metrics=[make[name](prefix + name) for name in metrics if name in STREAMED],
        name=f"task_{safe_name(label.name)}",
    )
