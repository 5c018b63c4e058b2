"""Keras callbacks."""

from collections.abc import Iterable
from typing import Any

from tf_interformer._keras import keras
from tf_interformer.evaluation import evaluate


class RankingMetrics(keras.callbacks.Callback):
    """Exact metrics over a whole split after each epoch, where other callbacks can see them.

    It adds `val_auc`, `val_gauc`, `val_log_loss`, ... to the epoch's logs (with several tasks
    `val_TASK_auc`, ...). List it *before* `EarlyStopping` and `ModelCheckpoint`, which can then monitor
    them. Metrics of training batches cost time at every step and mean little; this costs one pass.

    Args:
        dataset: iterable of `(encoded, labels, others)` batches; see `tf_interformer.evaluation.evaluate`.
        prefix: str. Of the names in the logs. Defaults to `"val_"`.

    Example:

    >>> callbacks = [
    ...     RankingMetrics(validation_dataset),
    ...     keras.callbacks.EarlyStopping("val_auc", mode="max", patience=2, restore_best_weights=True),
    ... ]  # doctest: +SKIP
    """

    def __init__(self, dataset: Iterable[tuple[Any, ...]], prefix: str = "val_") -> None:
        super().__init__()
        self.dataset = dataset
        self.prefix = prefix

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        by_task = evaluate(self.model, self.dataset)
        for task, metrics in by_task.items():
            middle = "" if len(by_task) == 1 else f"{task}_"
            if logs is not None:
                logs.update({f"{self.prefix}{middle}{name}": value for name, value in metrics.items()})
