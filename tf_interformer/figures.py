"""Figures without a display and without pyplot's global state, in the colours that all pictures share."""

import os
from pathlib import Path
from typing import Any

from tf_interformer.whole import whole_file

# Of Okabe and Ito's palette: distinguishable with any colour vision.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
INK, MUTED, LIGHT = "#222222", "#6B6B6B", "#E4E4E4"
COLORS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", INK, MUTED)
DPI = 120


def new_figure(width: float, height: float) -> Any:
    """Returns an empty matplotlib figure of a size in inches."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("Plots need matplotlib: pip install 'tf_interformer[pipelines]'") from error
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def style(axes: Any, title: str, x_label: str, y_label: str, title_pad: float = 6, size: float = 9.5) -> None:
    """Labels and colours that all pictures share; `size` is that of the labels."""
    if title:
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=title_pad)
    axes.set_xlabel(x_label, fontsize=size, color=INK)
    axes.set_ylabel(y_label, fontsize=size, color=INK)
    axes.grid(color=LIGHT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=size - 1, color=MUTED, labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)


def save_figure(figure: Any, path: str | os.PathLike[str]) -> Path:
    """Writes to a temporary name first, so that nobody ever reads half a picture; returns the path."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as draft:
        figure.savefig(draft, dpi=DPI, facecolor="white", format=target.suffix[1:] or "png")
    return target
