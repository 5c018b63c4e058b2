"""The ROC curve."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.plots._panels import Columns, panels
from pipelines.plots._words import note
from tf_interformer.figures import BLUE, MUTED
from tf_interformer.metrics import auc


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
            note(axes, 0.5, 0.25, "undefined: one class only", ha="center")
            return
        false_rate, true_rate = _roc_points(truth, scores)
        axes.fill_between(false_rate, true_rate, color=BLUE, alpha=0.08, linewidth=0)
        axes.plot(false_rate, true_rate, color=BLUE, linewidth=1.6)
        axes.text(0.95, 0.06, f"AUC {area:.4f}", ha="right", color=BLUE, fontsize=11)

    return panels(labels, probabilities, path, "false positive rate", "true positive rate", draw)


def _roc_points(labels: NDArray, scores: NDArray, at_most: int = 2000) -> tuple[NDArray, NDArray]:
    """Returns the corners of the ROC curve, thinned to what a picture can show."""
    order = np.argsort(-scores)
    ends = np.append(np.flatnonzero(np.diff(scores[order])), scores.size - 1)
    hits = np.cumsum(labels[order] == 1)[ends]
    false_rate = np.append(0, (ends + 1 - hits) / max(1, int(np.sum(labels == 0))))
    true_rate = np.append(0, hits / hits[-1])
    keep = np.unique(np.linspace(0, ends.size, min(at_most, ends.size + 1)).round().astype(int))
    return false_rate[keep], true_rate[keep]
