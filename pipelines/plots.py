"""Pictures of a training run and of its predictions, as files.

Every function draws one file and returns its path. Nothing goes through pyplot, so there is no global state
and no display; the file appears under its name only once it is complete. Functions on predictions take one
task (two arrays) or several (two dicts of arrays by task), and draw one panel per task.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from tf_interformer.figures import BLUE, GREEN, INK, MUTED, ORANGE, new_figure, save_figure, style
from tf_interformer.metrics import auc, calibration_ratio, expected_calibration_error, reliability_table

Columns = ArrayLike | Mapping[str, ArrayLike]


def learning_curves(
    history: Sequence[Mapping[str, float]],
    path: str | os.PathLike[str],
    tasks: Sequence[str] = ("",),
    best_epoch: int | None = None,
    best_possible: Mapping[str, float] | None = None,
) -> Path:
    """Draws training loss, validation loss and validation AUC by epoch.

    Args:
        history: one dict per epoch, keyed as Keras logs are: `"loss"`, `"val_loss"`, `"val_auc"`, and for the
            task `click` `"click_loss"`, `"val_click_loss"`, `"val_click_auc"`. `"epoch"` is its number;
            without it, epochs count from 1. What is missing is not drawn.
        path: where the picture goes; its ending is its format (.png, .svg, .pdf).
        tasks: names of the tasks, one row of panels each. Defaults to `("",)`, the keys without a task.
        best_epoch: int, or None. The epoch that was kept. Defaults to `None`: the best validation AUC of each
            task, else its lowest validation loss.
        best_possible: dict, or None. Values no model can beat (known for made data), drawn as lines, keyed
            `"loss"`, `"auc"`, `"click_loss"`, `"click_auc"`. Defaults to `None`.

    Returns:
        The path.

    Raises:
        ValueError: If `history` is empty, or holds nothing to draw for a task.
    """
    if not history:
        raise ValueError("`history` must hold at least one epoch. Received: an empty list")
    epochs = [record.get("epoch", index + 1) for index, record in enumerate(history)]
    figure = new_figure(9.6, 3.4 * len(tasks))
    grid = figure.subplots(len(tasks), 2, squeeze=False)
    for (loss_axes, auc_axes), task in zip(grid, tasks, strict=True):
        prefix = f"{task}_" if task else ""

        def series(key: str) -> NDArray[np.float64]:
            return np.array([record.get(key, math.nan) for record in history], np.float64)

        train, loss, score = (series(k) for k in (f"{prefix}loss", f"val_{prefix}loss", f"val_{prefix}auc"))
        if np.isnan([train, loss, score]).all():
            raise ValueError(
                f"`history` must hold `{prefix}loss`, `val_{prefix}loss` or `val_{prefix}auc`. "
                f"Received: keys {sorted(history[0])}"
            )
        best = _best_index(epochs, loss, score, best_epoch)
        limits = best_possible or {}
        title = f"{task}: " if task else ""
        style(loss_axes, f"{title}loss", "epoch", "log loss (nats)")
        style(auc_axes, f"{title}AUC", "epoch", "AUC")
        lines = [("training", train, MUTED), ("validation", loss, BLUE)]
        _draw_epochs(loss_axes, epochs, lines, best, limits.get(f"{prefix}loss"))
        _draw_epochs(auc_axes, epochs, [("validation", score, BLUE)], best, limits.get(f"{prefix}auc"))
    return save_figure(figure, path)


def calibration_curve(labels: Columns, probabilities: Columns, path: str | os.PathLike[str], bins: int = 20) -> Path:
    """Draws the reliability diagram: what was promised against what happened, and how often each was
    promised.

    Args:
        labels: array of 0 and 1, shape `[n]`, or a dict of such arrays by task.
        probabilities: array of floats in [0, 1], shape `[n]`, or a dict of such arrays by task.
        path: where the picture goes.
        bins: int. Number of bins of about equal count. Defaults to `20`.

    Returns:
        The path.

    Raises:
        ValueError: If the tasks differ, or the arrays are not labels and probabilities.
    """
    columns = _by_task(labels, probabilities)
    figure = new_figure(4.8 * len(columns), 5.6)
    grid = figure.subplots(2, len(columns), squeeze=False, sharex="col", height_ratios=(4, 1))
    for (curve, counts), (task, (truth, scores)) in zip(grid.T, columns.items(), strict=True):
        table = reliability_table(truth, scores, bins)
        promised, kept = table["mean_probability"], table["click_rate"]
        low, high = _wilson(kept, table["count"])
        ceiling = min(1.0, 1.08 * max(promised.max(), high.max()))
        style(curve, task or "calibration", "", "observed rate", title_pad=29)
        curve.plot([0, ceiling], [0, ceiling], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        curve.errorbar(
            promised,
            kept,
            yerr=[kept - low, high - kept],
            fmt="o-",
            color=BLUE,
            markersize=4,
            linewidth=1.2,
            ecolor=BLUE,
            elinewidth=0.8,
        )
        curve.set_xlim(0, ceiling)
        curve.set_ylim(0, ceiling)
        facts = (
            f"predicted / observed {calibration_ratio(truth, scores):.3f},  "
            f"ECE {expected_calibration_error(truth, scores, bins):.4f}\n"
            f"{len(promised)} quantile bins with 95 % intervals"
        )
        _note(curve, 0.0, 1.015, facts)
        _name_ends(curve, [(ceiling, ceiling, "perfect", MUTED)])
        style(counts, "", "predicted probability", "examples")
        counts.hist(scores, bins=40, range=(0, ceiling), color=BLUE, alpha=0.55)
        if (beyond := float(np.mean(scores > ceiling))) > 0:
            _note(counts, 0.99, 0.93, f"{beyond:.1%} lie beyond the right edge", ha="right", va="top")
        counts.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    return save_figure(figure, path)


def score_histogram(labels: Columns, probabilities: Columns, path: str | os.PathLike[str], bins: int = 50) -> Path:
    """Draws the distribution of the predicted probability within each class.

    Args:
        labels: array of 0 and 1, shape `[n]`, or a dict of such arrays by task.
        probabilities: array of floats in [0, 1], shape `[n]`, or a dict of such arrays by task.
        path: where the picture goes.
        bins: int. Number of bars. Defaults to `50`.

    Returns:
        The path.

    Raises:
        ValueError: If the tasks or lengths differ, or a probability lies outside [0, 1].
    """

    def draw(axes: Any, truth: NDArray, scores: NDArray) -> None:
        if not (scores.min() >= 0.0 and scores.max() <= 1.0):
            raise ValueError(f"`probabilities` must lie in [0, 1]. Received: {scores.min()} to {scores.max()}")
        edges = np.linspace(0.0, scores.max() or 1.0, bins + 1)
        for value, name, color in ((0, "negative", MUTED), (1, "positive", ORANGE)):
            mine = scores[truth == value]
            if not mine.size:
                continue
            share = np.histogram(mine, edges)[0] / mine.size
            axes.stairs(100 * share, edges, fill=True, color=color, alpha=0.3)
            axes.stairs(100 * share, edges, color=color, linewidth=1.4, label=f"{name} ({mine.size:,})")
        axes.set_xlim(0, edges[-1])
        axes.set_ylim(0)
        axes.legend(fontsize=9, labelcolor="linecolor", handlelength=1.2, edgecolor="none", framealpha=0.9)

    return _panels(labels, probabilities, path, "predicted probability", "share of its class (%)", draw)


def roc_curve(labels: Columns, probabilities: Columns, path: str | os.PathLike[str]) -> Path:
    """Draws the ROC curve: clicks found against other examples let through, over all thresholds.

    Args:
        labels: array of 0 and 1, shape `[n]`, or a dict of such arrays by task.
        probabilities: array of floats, shape `[n]`, or a dict of such arrays by task. Logits do as well.
        path: where the picture goes.

    Returns:
        The path.

    Raises:
        ValueError: If the tasks differ, or the arrays are not labels and scores.
    """

    def draw(axes: Any, truth: NDArray, scores: NDArray) -> None:
        area = auc(truth, scores)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        axes.set_aspect("equal")
        if math.isnan(area):
            _note(axes, 0.5, 0.25, "undefined: one class only", ha="center")
            return
        false_rate, true_rate = _roc_points(truth, scores)
        axes.fill_between(false_rate, true_rate, color=BLUE, alpha=0.08, linewidth=0)
        axes.plot(false_rate, true_rate, color=BLUE, linewidth=1.6)
        axes.text(0.95, 0.06, f"AUC {area:.4f}", ha="right", color=BLUE, fontsize=11)

    return _panels(labels, probabilities, path, "false positive rate", "true positive rate", draw)


def spread(values: Mapping[str, Sequence[float]], path: str | os.PathLike[str], title: str, label: str) -> Path:
    """Draws several runs of several variants: every run a dot, the mean of a variant a bar.

    More than eight variants stand below each other, with a line through the mean of the first.

    Args:
        values: dict. Name of a variant -> one value per run.
        path: where the picture goes.
        title: What the values are.
        label: What varies.

    Returns:
        The path.
    """
    if len(values) > 8:  # names side by side would run into each other
        return _spread_in_lines(values, path, title, label)
    figure = new_figure(1.6 + 1.1 * len(values), 3.6)
    axes = figure.subplots()
    style(axes, title, label, "")
    for place, runs in enumerate(values.values()):
        mean = float(np.mean(runs))
        axes.plot([place - 0.28, place + 0.28], [mean, mean], color=BLUE, linewidth=2.5)
        axes.scatter([place] * len(runs), runs, s=22, color=INK, alpha=0.7, zorder=3)
        axes.annotate(f"{mean:.4f}", (place, max(runs)), xytext=(0, 7), textcoords="offset points", ha="center",
                      fontsize=8.5, color=BLUE)  # fmt: skip
    axes.set_xticks(range(len(values)), list(values))
    axes.margins(x=0.12, y=0.18)
    axes.grid(visible=False, axis="x")
    return save_figure(figure, path)


def _spread_in_lines(
    values: Mapping[str, Sequence[float]], path: str | os.PathLike[str], title: str, label: str
) -> Path:
    figure = new_figure(7.2, 1.1 + 0.27 * len(values))
    axes = figure.subplots()
    style(axes, title, "", label)
    first = float(np.mean(next(iter(values.values()))))
    axes.axvline(first, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))  # what the others are compared with
    for place, runs in enumerate(values.values()):
        mean = float(np.mean(runs))
        axes.plot([mean, mean], [place - 0.3, place + 0.3], color=BLUE, linewidth=2.5)
        axes.scatter(runs, [place] * len(runs), s=22, color=INK, alpha=0.7, zorder=3)
        axes.annotate(f"{mean:.4f}", (max(runs), place), xytext=(7, 0), textcoords="offset points", va="center",
                      fontsize=8.5, color=BLUE)  # fmt: skip
    axes.set_yticks(range(len(values)), list(values))
    axes.invert_yaxis()
    axes.margins(x=0.14, y=0.03)
    axes.grid(visible=False, axis="y")
    return save_figure(figure, path)


def _panels(
    labels: Columns,
    probabilities: Columns,
    path: str | os.PathLike[str],
    x_label: str,
    y_label: str,
    draw: Callable[[Any, NDArray, NDArray], None],
) -> Path:
    columns = _by_task(labels, probabilities)
    figure = new_figure(4.8 * len(columns), 4.4)
    grid = figure.subplots(1, len(columns), squeeze=False)[0]
    for axes, (task, (truth, scores)) in zip(grid, columns.items(), strict=True):
        style(axes, task, x_label, y_label)
        draw(axes, truth, scores)
    return save_figure(figure, path)


def _by_task(labels: Columns, probabilities: Columns) -> dict[str, tuple[NDArray, NDArray]]:
    """Brings one task and several into one form; a single task has no name."""
    if isinstance(labels, Mapping) != isinstance(probabilities, Mapping):
        raise ValueError("`labels` and `probabilities` must both be arrays or both be dicts by task.")
    truths = labels if isinstance(labels, Mapping) else {"": labels}
    scores = probabilities if isinstance(probabilities, Mapping) else {"": probabilities}
    if set(truths) != set(scores) or not truths:
        raise ValueError(
            "`labels` and `probabilities` must have the same tasks, at least one. "
            f"Received: {sorted(truths)} and {sorted(scores)}"
        )
    columns = {task: (np.ravel(truths[task]), np.ravel(scores[task]).astype(np.float64)) for task in truths}
    for task, (truth, score) in columns.items():
        if truth.size != score.size or not truth.size:
            raise ValueError(
                "`labels` and `probabilities` must be equally long and not empty. "
                f"Received: {truth.size} and {score.size}{f' for task {task!r}' if task else ''}"
            )
    return columns


def _best_index(
    epochs: Sequence[float], loss: NDArray[np.float64], score: NDArray[np.float64], best_epoch: int | None
) -> int | None:
    if best_epoch is not None:
        if best_epoch not in epochs:
            raise ValueError(f"`best_epoch` must be an epoch of `history`. Received: {best_epoch}")
        return list(epochs).index(best_epoch)
    if not np.isnan(score).all():
        return int(np.nanargmax(score))
    return None if np.isnan(loss).all() else int(np.nanargmin(loss))


def _draw_epochs(
    axes: Any,
    epochs: Sequence[float],
    lines: Sequence[tuple[str, NDArray[np.float64], str]],
    best: int | None,
    limit: float | None,
) -> None:
    """Draws lines over epochs, each named at its right end."""
    ends = []
    for name, values, color in lines:
        if np.isnan(values).all():
            continue
        axes.plot(epochs, values, color=color, linewidth=1.6, marker="o", markersize=3.5)
        last = np.flatnonzero(~np.isnan(values))[-1]
        ends.append((epochs[last], float(values[last]), name, color))
    if limit is not None:
        axes.axhline(limit, color=GREEN, linewidth=1.2, linestyle=(0, (4, 3)))
        ends.append((epochs[-1], limit, "best possible", GREEN))
    if not ends:
        axes.set_xticks([])
        axes.set_yticks([])
        _note(axes, 0.5, 0.5, "not recorded", ha="center")
        return
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 0.5, epochs[0] + 0.5)
    axes.margins(y=0.12)
    values = lines[-1][1]
    if best is not None and not math.isnan(values[best]):
        axes.axvline(epochs[best], color=ORANGE, linewidth=1, alpha=0.5)
        axes.plot([epochs[best]], [values[best]], marker="o", markersize=8, color="none", markeredgecolor=ORANGE)
        axes.set_title(f"best epoch {epochs[best]:g}: {values[best]:.4f}", loc="right", fontsize=9, color=ORANGE)
    _name_ends(axes, ends)


def _name_ends(axes: Any, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Writes each line's name beside its end, pushed apart where ends are close."""
    bottom, top = axes.get_ylim()
    right = axes.get_xlim()[1]
    gap = 0.075 * (top - bottom)
    height = -math.inf
    for _, y, name, color in sorted(ends, key=lambda end: end[1]):
        height = max(y, height + gap)
        axes.annotate(
            name,
            (right, height),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=color,
            annotation_clip=False,
        )


def _note(axes: Any, x: float, y: float, text: str, **alignment: str) -> None:
    """Writes text at a place given in parts of the panel, on white, so that the grid does not cross it."""
    backing = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2}
    axes.text(x, y, text, transform=axes.transAxes, fontsize=8.5, color=INK, bbox=backing, **alignment)


def _wilson(rates: NDArray, counts: NDArray) -> tuple[NDArray, NDArray]:
    """Returns Wilson's 95 % interval of each click rate: unlike the normal one, it stays within [0, 1]."""
    z = 1.96
    scale = 1.0 + z * z / counts
    middle = (rates + z * z / (2 * counts)) / scale
    half = z * np.sqrt(rates * (1 - rates) / counts + z * z / (4 * counts * counts)) / scale
    # Rounding may leave the rate a hair outside its own interval.
    return np.minimum(middle - half, rates), np.maximum(middle + half, rates)


def _roc_points(labels: NDArray, scores: NDArray, at_most: int = 2000) -> tuple[NDArray, NDArray]:
    """Returns the corners of the ROC curve, thinned to what a picture can show."""
    order = np.argsort(-scores)
    ends = np.append(np.flatnonzero(np.diff(scores[order])), scores.size - 1)
    hits = np.cumsum(labels[order] == 1)[ends]
    false_rate = np.append(0, (ends + 1 - hits) / max(1, int(np.sum(labels == 0))))
    true_rate = np.append(0, hits / hits[-1])
    keep = np.unique(np.linspace(0, ends.size, min(at_most, ends.size + 1)).round().astype(int))
    return false_rate[keep], true_rate[keep]
