"""Figures without a display and without pyplot's global state."""

import os
from pathlib import Path
from typing import Any

from tf_interformer.whole import whole_file

# Of Okabe and Ito's palette: distinguishable with any colour vision.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#222222", "#6B6B6B")
INK, MUTED, LIGHT = "#222222", "#6B6B6B", "#E4E4E4"
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


def save_figure(figure: Any, path: str | os.PathLike[str]) -> None:
    """Writes to a temporary name first, so that nobody ever reads half a picture."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as draft:
        figure.savefig(draft, dpi=DPI, facecolor="white", format=target.suffix[1:] or "png")
