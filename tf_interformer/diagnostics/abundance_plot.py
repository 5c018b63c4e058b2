"""Information abundance as a picture."""

import os
from collections.abc import Mapping
from typing import Any

from tf_interformer.figures import COLORS, INK, LIGHT, MUTED, new_figure, save_figure


def plot_information_abundance(
    values: Mapping[str, float],
    path: str | os.PathLike[str] | None = None,
    most: Mapping[str, int] | None = None,
    title: str = "Information abundance",
) -> Any:
    """Draws the information abundance of every field as a bar, the poorest on top.

    Args:
        values: dict. Field -> value, as `information_abundance` returns it.
        path: path or `None`. Where the picture goes; its ending is its format (.png, .svg, .pdf). Defaults to
            `None`, which writes nothing.
        most: dict or `None`. Field -> the highest value that it could have, drawn behind its bar. Defaults to `None`.
        title: str. Defaults to `"Information abundance"`.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ValueError: If there is no field.
        ImportError: If matplotlib is not installed.

    Example:

    >>> figure = plot_information_abundance({"item": 9.5, "gender": 1.2}, most={"item": 16, "gender": 2})
    >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
    ['gender', 'item']
    """
    if not values:
        raise ValueError("`values` must hold at least one field. Received: values={}")
    fields = sorted(values, key=lambda field: values[field])
    height = 1.1 + 0.28 * len(fields)
    figure = new_figure(6.4, height)
    axes = figure.subplots()
    if most:
        limits = [most.get(field, 0) for field in fields]
        axes.barh(fields, limits, color=LIGHT, height=0.72, label="at most")
    axes.barh(fields, [values[field] for field in fields], color=COLORS[0], height=0.72, label="abundance")
    for row, field in enumerate(fields):
        axes.text(values[field], row, f" {values[field]:.1f}", va="center", fontsize=8.5, color=INK)
    axes.invert_yaxis()
    axes.axvline(1, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.set_xlim(0, 1.08 * max([1.0, *values.values(), *(most or {}).values()]))
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    axes.set_xlabel("sum of singular values / largest  (dashed: collapsed to one direction)", fontsize=9, color=INK)
    axes.grid(axis="x", color=LIGHT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8.5, color=MUTED, labelcolor=INK)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    if most:
        # Above the bars, which reach anywhere.
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=8.5, edgecolor="none")
    if path is not None:
        save_figure(figure, path)
    return figure
