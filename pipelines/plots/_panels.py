"""A panel for each task."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tf_interformer.figures import new_figure, save_figure, style

Columns = ArrayLike | Mapping[str, ArrayLike]


def panels(
    labels: Columns,
    probabilities: Columns,
    path: str | os.PathLike[str],
    x_label: str,
    y_label: str,
    draw: Callable[[Any, NDArray, NDArray], None],
) -> Path:
    columns = by_task(labels, probabilities)
    figure = new_figure(4.8 * len(columns), 4.4)
    grid = figure.subplots(1, len(columns), squeeze=False)[0]
    for axes, (task, (truth, scores)) in zip(grid, columns.items(), strict=True):
        style(axes, task, x_label, y_label)
        draw(axes, truth, scores)
    return save_figure(figure, path)


def by_task(labels: Columns, probabilities: Columns) -> dict[str, tuple[NDArray, NDArray]]:
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
