"""What a run writes about itself: metrics of every split, and pictures."""

import math
import platform
from importlib.metadata import version
from typing import Any

import numpy as np

from pipelines import plots
from pipelines.config import TrainConfig
from pipelines.input import Source, evaluation_dataset
from pipelines.training_run import RunState, TrainingRun
from tf_interformer._keras import keras
from tf_interformer.evaluation import Predictions, metrics_of, predict
from tf_interformer.metrics import ranking_metrics
from tf_interformer.metrics.names import REPORTED
from tf_interformer.ranker import Ranker

_PACKAGES = ("tensorflow", "keras", "tf-keras", "numpy")


def measure(ranker: Ranker, source: Source, batch_size: int) -> tuple[dict[str, Any], dict[str, Predictions]]:
    """Metrics of the validation and test splits, by split and task, and the predictions they are made of.

    Where the log is simulated, `best_possible` holds the metrics of the true probabilities.
    """
    metrics: dict[str, Any] = {}
    predictions: dict[str, Predictions] = {}
    for split in ("validation", "test"):
        data = evaluation_dataset(source, ranker.preprocessor, split, batch_size)
        predictions[split] = predict(ranker, data)
        metrics[split] = metrics_of(ranker, predictions[split])
        if source.probability_columns:
            metrics.setdefault("best_possible", {})[split] = _best_possible(ranker, source, predictions[split])
    return metrics, predictions


def _best_possible(ranker: Ranker, source: Source, made: Predictions) -> dict[str, dict[str, float]]:
    return {
        label.name: ranking_metrics(
            made.labels[label.name],
            np.clip(made.others[source.probability_columns[label.name]], 0.0, 1.0),
            groups=made.others.get("group"),
            requests=made.others.get("request"),
            base_rate=label.mean,
        )
        for label in ranker.schema.labels
    }


def describe(ranker: Ranker, state: RunState) -> dict[str, Any]:
    """Size, time and versions of a run."""
    table = sum(math.prod(weight.shape) for weight in ranker.embedder.trainable_weights)
    everything = sum(math.prod(weight.shape) for weight in ranker.trainable_weights)
    return {
        "best_epoch": state.best_epoch + 1,
        "epochs": state.epoch,
        "training_examples": state.examples,
        "training_seconds": round(state.seconds, 1),
        "examples_per_second": {"training": _rate(state.step_rate), "input": _rate(state.input_rate)},
        "parameters": {"embedding": table, "dense": everything - table},
        "versions": {name: version(name) for name in _PACKAGES},
        "keras_mode": "Keras 3" if keras.__name__ == "keras" else "tf_keras",
        "python": platform.python_version(),
    }


def _rate(value: float) -> int | None:
    return None if math.isnan(value) else round(value)


def draw(run: TrainingRun, state: RunState, predictions: Predictions, metrics: dict[str, Any]) -> None:
    """Write the pictures of a run: learning curves, calibration, scores, ROC."""
    tasks = list(predictions.labels)
    one = len(tasks) == 1
    best = metrics.get("best_possible", {}).get("validation", {})
    limits: dict[str, float] = {}
    for task in best:
        prefix = "" if one else f"{task}_"
        limits |= {f"{prefix}loss": best[task]["log_loss"], f"{prefix}auc": best[task]["auc"]}
    plots.learning_curves(
        state.history,
        run.plots / "learning_curves.png",
        tasks=("",) if one else tasks,
        best_epoch=state.best_epoch + 1,
        best_possible=limits or None,
    )
    labels: Any = predictions.labels
    probabilities: Any = {task: predictions.probabilities(task) for task in tasks}
    if one:
        labels, probabilities = labels[tasks[0]], probabilities[tasks[0]]
    plots.calibration_curve(labels, probabilities, run.plots / "calibration.png")
    plots.score_histogram(labels, probabilities, run.plots / "scores.png")
    plots.roc_curve(labels, probabilities, run.plots / "roc.png")


def table(metrics: dict[str, Any], config: TrainConfig) -> str:
    """The metrics as lines to read."""
    some = next(iter(metrics["test"].values()))
    names = tuple(name for name in REPORTED if name in some)
    lines = [f"{'':34}" + "".join(f"{name:>13}" for name in names)]
    for split in ("validation", "test"):
        for task, values in metrics[split].items():
            lines.append(_row(f"{split} {task}", values, names))
            best = metrics.get("best_possible", {}).get(split, {}).get(task)
            if best:
                lines.append(_row("  best possible", best, names))
    lines.append(f"model {config.model.backbone}, seed {config.training.seed}")
    return "\n".join(lines)


def _row(title: str, values: dict[str, float], names: tuple[str, ...]) -> str:
    return f"{title:34}" + "".join(f"{values[name]:13.4f}" for name in names)
