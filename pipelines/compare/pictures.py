"""The pictures of the report, each as the text of an SVG."""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from pipelines.compare.leaderboard import Entry
from tf_interformer.figures import BLUE, GREEN, INK, MUTED, ORANGE, new_figure, style
from tf_interformer.metrics import reliability_table

_PANELS = 5  # side by side
_NAMED = 12  # models that a scatter names, beside those on the front


def spread(rows: Sequence[Mapping[str, Any]], best_possible: float | None) -> str:
    """Test AUC of every model, best on top: each run a dot, the mean a bar."""
    figure = new_figure(8.6, 0.9 + 0.25 * len(rows))
    axes = figure.subplots()
    for place, row in enumerate(rows):
        mean = float(np.mean(row["auc"]))
        axes.plot([mean, mean], [place - 0.32, place + 0.32], color=BLUE, linewidth=2.5)
        axes.scatter(row["auc"], [place] * len(row["auc"]), s=16, color=INK, alpha=0.6, linewidths=0, zorder=3)
    if best_possible is not None:
        axes.axvline(best_possible, color=GREEN, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.annotate("best possible", (best_possible, -0.7), ha="right", xytext=(-3, 0), textcoords="offset points",
                      va="center", fontsize=8.5, color=GREEN)  # fmt: skip
    axes.set_yticks(range(len(rows)), [row["model"] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -1.1)
    style(axes, "", "test AUC", "", size=9)
    return svg_of(figure)


def quality_against(rows: Sequence[Mapping[str, Any]], cost: str, label: str) -> str:
    """Mean test AUC against a cost on a logarithmic axis, with the models that no other beats in both."""
    known = [row for row in rows if row[cost]]
    figure = new_figure(6.2, 4.6)
    axes = figure.subplots()
    style(axes, "", label, "test AUC", size=9)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.tick_params(axis="x", rotation=30)
    x = np.array([row[cost] for row in known], float)
    y = np.array([np.mean(row["auc"]) for row in known])
    wide = bool(known) and x.max() > 1000 * x.min()
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    front = _front(x, y)
    on_front = np.isin(np.arange(len(known)), front)
    axes.plot(x[front], y[front], color=ORANGE, linewidth=1.2, drawstyle="steps-post", zorder=1)
    axes.scatter(x[~on_front], y[~on_front], s=22, color=BLUE, alpha=0.7, linewidths=0)
    axes.scatter(x[front], y[front], s=30, color=ORANGE, linewidths=0, zorder=3)
    axes.margins(x=0.14, y=0.08)
    named = [*front, *(i for i in range(min(_NAMED, len(known))) if not on_front[i])]
    _name_points(figure, axes, x, y, [(i, known[i]["model"], ORANGE if on_front[i] else INK) for i in named])
    return svg_of(figure)


def _front(x: np.ndarray, y: np.ndarray) -> list[int]:
    """The points that are better than every cheaper one, from cheap to dear."""
    found: list[int] = []
    for i in np.lexsort((-y, x)):
        if not found or y[i] > y[found[-1]]:
            found.append(int(i))
    return found


def _name_points(figure: Any, axes: Any, x: np.ndarray, y: np.ndarray, named: list[tuple[int, str, str]]) -> None:
    """Writes names beside their points; one that would lie on another is left out."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    taken: list[Any] = []
    for i, name, color in named:
        beside = (((5, 0), "left"), ((0, 8), "center"), ((0, -9), "center"), ((-5, 0), "right"))
        off_the_line = (((-3, 7), "right"), ((0, 8), "center"), ((4, -9), "left"))
        for offset, align in off_the_line if color == ORANGE else beside:
            text = axes.annotate(name, (x[i], y[i]), xytext=offset, textcoords="offset points", fontsize=8,
                                 color=color, ha=align, va="center")  # fmt: skip
            box = text.get_window_extent(renderer)
            inside = box.x0 >= frame.x0 and box.x1 <= frame.x1 and box.y0 >= frame.y0 and box.y1 <= frame.y1
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()


def learning_curves(entries: Sequence[Entry]) -> str:
    """Validation AUC by epoch, a panel per model, a line per seed."""

    def draw(axes: Any, entry: Entry) -> None:
        for made in entry.metrics:
            key = next(key for key in made["history"][0] if key.startswith("val_") and key.endswith("auc"))
            epochs = [record["epoch"] for record in made["history"]]
            values = [record[key] for record in made["history"]]
            axes.plot(epochs, values, color=BLUE, linewidth=1, marker="o", markersize=2.5, alpha=0.8)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))

    shown = [entry for entry in entries if entry.metrics[0].get("history")]
    return _small_multiples(shown, draw, "epoch", "validation AUC") if shown else ""


def calibration(entries: Sequence[Entry], labels: np.ndarray, bins: int = 12) -> str:
    """Reliability diagrams, a panel per model, all seeds together; the axes end where all but few predictions do."""
    ceiling = 0.0
    tables = {}
    for entry in entries:
        truth = np.tile(labels, len(entry.logits))
        table = reliability_table(truth, entry.probabilities(), bins)
        tables[entry.name] = table
        ceiling = max(ceiling, *table["mean_probability"], *table["click_rate"])

    def draw(axes: Any, entry: Entry) -> None:
        table = tables[entry.name]
        axes.plot([0, ceiling], [0, ceiling], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.plot(table["mean_probability"], table["click_rate"], color=BLUE, linewidth=1, marker="o", markersize=2.5)

    return _small_multiples(entries, draw, "predicted", "observed rate")


def _small_multiples(entries: Sequence[Entry], draw: Callable[[Any, Entry], None], x_label: str, y_label: str) -> str:
    across = min(_PANELS, len(entries))
    down = math.ceil(len(entries) / across)
    figure = new_figure(max(4.0, 1.9 * across), 0.5 + 1.55 * down)
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axes, entry in zip(grid.flat, entries, strict=False):
        draw(axes, entry)
        style(axes, "", "", "", size=9)
        axes.set_title(entry.name, loc="left", fontsize=8, color=INK, pad=3)
        axes.tick_params(labelsize=7)
    for axes in grid.flat[len(entries) :]:
        axes.set_visible(False)
    for column in range(across):
        last = (len(entries) - 1 - column) // across
        grid[last, column].tick_params(labelbottom=True)
    figure.supxlabel(x_label, fontsize=9, color=INK)
    figure.supylabel(y_label, fontsize=9, color=INK)
    return svg_of(figure)


def svg_of(figure: Any) -> str:
    """A matplotlib figure as the text of an SVG."""
    stream = io.StringIO()
    FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]
