"""Losses and AUC over epochs."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pipelines.plots._words import name_ends, note
from tf_interformer.figures import BLUE, GREEN, MUTED, ORANGE, new_figure, save_figure, style


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
        note(axes, 0.5, 0.5, "not recorded", ha="center")
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
    name_ends(axes, ends)
