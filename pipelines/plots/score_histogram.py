"""Scores of each class."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.plots._panels import Columns, panels
from tf_interformer.figures import MUTED, ORANGE


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

    return panels(labels, probabilities, path, "predicted probability", "share of its class (%)", draw)
