"""Scoring a whole split, and its metrics."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_interformer._keras import keras_backend
from tf_interformer._tensorflow import tf
from tf_interformer.metrics import ranking_metrics
from tf_interformer.ranker import Ranker
from tf_interformer.schema._name import ROW_COLUMN


@dataclass(frozen=True)
class Predictions:
    """Logits and what happened, for every example of a split.

    Attributes:
        logits: dict. Task name -> `[examples]`, corrected for the down-sampling of the training split.
        labels: dict. Task name -> `[examples]`.
        others: dict. Further columns of the dataset, such as `"group"` and `"request"`, each `[examples]`.
    """

    logits: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray]
    others: Mapping[str, np.ndarray]

    def probabilities(self, task: str) -> np.ndarray:
        """Click probabilities of one task."""
        # tanh does not overflow where exp would
        return 0.5 * (1.0 + np.tanh(0.5 * self.logits[task].astype(np.float64)))


def predict(ranker: Ranker, dataset: Iterable[tuple[Any, ...]]) -> Predictions:
    """Score every example of a dataset, once.

    Logits are corrected for the down-sampling of the training split, as the dataset is taken to hold all negatives.
    A feature with `serve_as` has its logged value, as the dataset holds it: encode with `serving=True` to measure
    the model as it is served.

    Args:
        ranker: `Ranker`.
        dataset: iterable of `(encoded, labels)` or `(encoded, labels, others)` batches, of rows or of requests; sample
            weights in place of the dict `others` are ignored.

    Raises:
        ValueError: The dataset is empty.
    """
    parts: list[tuple[dict, dict, Mapping]] = []
    whole = 0
    users = {column.name for column in ranker.schema.encoded_columns if column.side == "user"}
    logits_of = _logits_of_requests(ranker)
    for encoded, labels, *rest in dataset:
        by_request = ROW_COLUMN in encoded
        count = len(encoded[ROW_COLUMN] if by_request else next(iter(encoded.values())))
        whole = max(whole, count)
        # The last batch is filled up, lest a compiled model be compiled again for its size alone.
        own = set(encoded) - users if by_request else set(encoded)
        filled = {name: _filled(value, whole) if name in own else value for name, value in encoded.items()}
        logits = (logits_of if by_request else ranker.predict_on_batch)(filled)
        logits = ranker.corrected({task: value[:count] for task, value in logits.items()})
        parts.append((logits, labels, rest[0] if rest and isinstance(rest[0], Mapping) else {}))
    if not parts:
        raise ValueError("the dataset to predict holds no batch")

    def joined(index: int) -> dict[str, np.ndarray]:
        return {
            name: np.concatenate([np.asarray(part[index][name]).reshape(-1) for part in parts])
            for name in parts[0][index]
        }

    return Predictions(joined(0), joined(1), joined(2))


def _logits_of_requests(ranker: Ranker) -> Callable[[Mapping[str, Any]], Any]:
    """As `predict_on_batch`, which under tf_keras refuses columns of different numbers of rows."""

    def logits(encoded: Mapping[str, Any]) -> Any:
        return ranker(encoded, training=False)

    return tf.function(logits, reduce_retracing=True, autograph=False) if keras_backend() == "tensorflow" else logits


def _filled(values: Any, count: int) -> np.ndarray:
    values = np.asarray(values)
    return np.concatenate([values, np.repeat(values[-1:], count - len(values), axis=0)])


def evaluate(ranker: Ranker, dataset: Iterable[tuple[Any, ...]]) -> dict[str, dict[str, float]]:
    """Exact metrics of every task over a whole split: see `tf_interformer.metrics.ranking_metrics`.

    Args:
        ranker: `Ranker`.
        dataset: iterable of `(encoded, labels)` or `(encoded, labels, others)` batches; grouped AUC needs
            `others["group"]`, metrics by list need `others["request"]`.

    Returns:
        dict: task -> metric -> value, every example counted once, whatever its weight in training. Normalised
        entropy is by the base rate of the *training* split.
    """
    return metrics_of(ranker, predict(ranker, dataset))


def metrics_of(ranker: Ranker, predictions: Predictions) -> dict[str, dict[str, float]]:
    """The same of predictions already made."""
    return {
        label.name: ranking_metrics(
            predictions.labels[label.name],
            predictions.logits[label.name],
            groups=predictions.others.get("group"),
            requests=predictions.others.get("request"),
            base_rate=label.mean if label.mean is not None and 0 < label.mean < 1 else None,
            from_logits=True,
        )
        for label in ranker.schema.labels
    }
