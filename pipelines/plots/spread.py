"""Several runs of several variants."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tf_interformer.figures import BLUE, INK, MUTED, new_figure, save_figure, style


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
