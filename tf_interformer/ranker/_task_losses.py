"""How the losses of a ranker's tasks become one."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from tf_interformer._keras import keras, ops
from tf_interformer.losses import list_losses
from tf_interformer.schema import FeatureSchema
from tf_interformer.schema._name import LIST_COLUMN


class TaskLosses:
    """Adds the tasks' losses up, and makes what Keras's own sum of binary cross-entropies lacks.

    Args:
        schema: `FeatureSchema`, whose labels have the weights.
        weighting: str. `"fixed"` or `"uncertainty"`, as `Ranker(task_weighting=...)` has it.
        list_loss: float. As `Ranker` has it.

    Raises:
        ValueError: An argument is unknown or out of range, or `"uncertainty"` meets a label whose weight is 0.
    """

    def __init__(self, schema: FeatureSchema, weighting: str, list_loss: float) -> None:
        if weighting not in ("fixed", "uncertainty"):
            raise ValueError(f"`task_weighting` must be 'fixed' or 'uncertainty'. Received: {weighting!r}")
        if not list_loss >= 0:
            raise ValueError(f"`list_loss` must be at least 0. Received: {list_loss!r}")
        self.weights = {label.name: label.weight for label in schema.labels}
        if weighting == "uncertainty" and not all(self.weights.values()):
            raise ValueError(f"'uncertainty' needs labels with a weight above 0. Received: {self.weights}")
        self.learned = weighting == "uncertainty"
        self.list_loss = float(list_loss)

    def add_log_variances(self, owner: Any) -> Any:
        """Make the trainable log-variance of each task a weight of `owner`."""
        start = [-math.log(weight) for weight in self.weights.values()]
        return owner.add_weight(
            name="log_variances",
            shape=(len(start),),
            initializer=lambda shape, dtype=None, **_: ops.convert_to_tensor(start, dtype),
            trainable=True,
        )

    def total(self, losses: Mapping[str, Any], log_variances: Any = None) -> Any:
        """The sum; `losses` holds a loss per task, all of one shape."""
        if not self.learned:
            return sum(weight * losses[task] for task, weight in self.weights.items())
        variances = zip(self.weights, ops.unstack(ops.convert_to_tensor(log_variances)), strict=True)
        return sum(ops.exp(-s) * losses[task] + s / 2 for task, s in variances)

    def missing(self, inputs: Any, labels: Any, logits: Mapping[str, Any], weights: Any, log_variances: Any) -> Any:
        """What the loss has beside what Keras adds up, weights that are learned and `list_loss`; or None."""
        listed = {}
        if self.list_loss:
            if LIST_COLUMN not in inputs:
                raise ValueError(
                    "`list_loss` needs batches that say which list each example is of: make them by "
                    "`preprocessor.training_batch(raw, lists='group')`"
                )
            lists = inputs[LIST_COLUMN]
            means = _means(lambda label, logit: list_losses(label, logit, lists), labels, logits, weights)
            listed = {task: self.list_loss * mean for task, mean in means.items()}
        if not self.learned:
            return self.total(listed) if listed else None
        # Keras adds the losses up unweighted, and keeps their means for the logs: what is missing is the difference.
        binary = _means(_binary_losses, labels, logits, weights)
        whole = {task: mean + listed.get(task, 0.0) for task, mean in binary.items()}
        return self.total(whole, log_variances) - sum(binary.values())


def _means(losses: Callable[[Any, Any], Any], labels: Any, logits: Mapping[str, Any], weights: Any) -> dict[str, Any]:
    """Mean loss per task; weighted sums divided by the number of examples, as Keras has it."""
    means = {}
    for task, logit in logits.items():
        label = labels[task] if isinstance(labels, Mapping) else labels
        label = ops.cast(ops.reshape(label, (-1, 1)), logit.dtype)
        loss = losses(label, logit)
        weight = weights.get(task) if isinstance(weights, Mapping) else weights
        if weight is not None:
            loss = loss * ops.cast(ops.reshape(weight, (-1,)), loss.dtype)
        # A replica may be left without examples.
        means[task] = ops.sum(loss) / ops.cast(ops.maximum(ops.shape(logit)[0], 1), loss.dtype)
    return means


def _binary_losses(labels: Any, logits: Any) -> Any:
    return keras.losses.binary_crossentropy(labels, logits, from_logits=True)
