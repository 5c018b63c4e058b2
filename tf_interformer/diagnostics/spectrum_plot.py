"""Singular values of composite projections as a picture."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tf_interformer.figures import COLORS, INK, LIGHT, MUTED, new_figure, save_figure


def plot_spectra(
    spectra: Mapping[str, NDArray[np.floating]],
    ranks: Mapping[str, int] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """Draws the singular values of each projection, a line per matrix, relative to the matrix's largest.

    How fast they fall tells how low a rank may be.

    Args:
        spectra: dict. Name of a projection -> singular values `[matrices, number]`, largest first. There is one matrix
            for all heads, or one for each where `rank_per_head`.
        ranks: dict or `None`. Name of a projection -> rank, drawn as a line. Defaults to `None`.
        path: path or `None`. Where the picture goes; its ending is its format. Defaults to `None`, which writes
            nothing.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ValueError: If there is no projection.
        ImportError: If matplotlib is not installed.

    Example:

    >>> figure = plot_spectra({"key": np.array([[4.0, 2.0, 1.0], [3.0, 1.0, 0.5]])}, ranks={"key": 2})
    >>> figure.axes[0].get_title(loc="left")
    'key'
    """
    if not spectra:
        raise ValueError("`spectra` must hold at least one projection. Received: {}")
    columns = min(3, len(spectra))
    rows = -(-len(spectra) // columns)
    figure = new_figure(3.6 * columns, 2.8 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(spectra) :]:
        axes.set_visible(False)
    for axes, (name, values) in zip(panels, spectra.items(), strict=False):
        relative = values / np.maximum(values[:, :1], np.finfo(np.float64).tiny)
        number = np.arange(1, values.shape[1] + 1)
        for head, line in enumerate(relative):
            axes.plot(number, np.maximum(line, 1e-6), color=COLORS[head % len(COLORS)], linewidth=1.4, label=str(head))
        axes.set_yscale("log")
        axes.set_ylim(min(max(float(relative.min()), 1e-6) / 1.5, 0.09), 1.5)
        if ranks and name in ranks:
            axes.axvline(ranks[name], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
            side = "left" if ranks[name] < 0.7 * values.shape[1] else "right"
            where = {"transform": axes.get_xaxis_transform(), "ha": side}
            axes.text(ranks[name], 0.03, f" rank {ranks[name]} ", color=MUTED, fontsize=8.5, **where)
        axes.set_title(name, loc="left", fontsize=9.5, fontweight="bold", color=INK)
        axes.set_xlabel("number", fontsize=9, color=INK)
        axes.set_ylabel("relative singular value", fontsize=9, color=INK)
        axes.grid(color=LIGHT, linewidth=0.8)
        axes.tick_params(which="both", labelsize=8, color=MUTED, labelcolor=INK)
        axes.spines[["top", "right"]].set_visible(False)
    if max(len(values) for values in spectra.values()) > 1:
        panels[0].legend(title="head", fontsize=8, title_fontsize=8, edgecolor="none", ncols=2)
    if path is not None:
        save_figure(figure, path)
    return figure
