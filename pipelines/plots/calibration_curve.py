"""The reliability diagram."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pipelines.plots._panels import Columns, by_task
from pipelines.plots._words import name_ends, note
from tf_interformer.figures import BLUE, MUTED, new_figure, save_figure, style
from tf_interformer.metrics import calibration_ratio, expected_calibration_error, reliability_table


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
    columns = by_task(labels, probabilities)
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
        note(curve, 0.0, 1.015, facts)
        name_ends(curve, [(ceiling, ceiling, "perfect", MUTED)])
        style(counts, "", "predicted probability", "examples")
        counts.hist(scores, bins=40, range=(0, ceiling), color=BLUE, alpha=0.55)
        if (beyond := float(np.mean(scores > ceiling))) > 0:
            note(counts, 0.99, 0.93, f"{beyond:.1%} lie beyond the right edge", ha="right", va="top")
        counts.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    return save_figure(figure, path)


def _wilson(rates: NDArray, counts: NDArray) -> tuple[NDArray, NDArray]:
    """Returns Wilson's 95 % interval of each click rate: unlike the normal one, it stays within [0, 1]."""
    z = 1.96
    scale = 1.0 + z * z / counts
    middle = (rates + z * z / (2 * counts)) / scale
    half = z * np.sqrt(rates * (1 - rates) / counts + z * z / (4 * counts * counts)) / scale
    # Rounding may leave the rate a hair outside its own interval.
    return np.minimum(middle - half, rates), np.maximum(middle + half, rates)
