"""Attention maps as pictures."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tf_interformer.figures import INK, MUTED, new_figure, save_figure


def plot_attention(
    weights: ArrayLike,
    names: Sequence[str],
    path: str | os.PathLike[str] | None = None,
    query_names: Sequence[str] | None = None,
    title: str = "",
    maximum: float | None = None,
) -> Any:
    """Draws attention weights as a heat map: a row per query, a column per key.

    Args:
        weights: array `[..., Q, K]`, such as one of `attention_maps`. The leading axes (examples, heads) are averaged.
        names: list of str. Names of the K keys, see `token_names`.
        path: path or `None`. Where the picture goes; its ending is its format (.png, .svg, .pdf). Defaults to
            `None`, which writes nothing.
        query_names: list of str or `None`. Names of the Q queries. `None` means the last Q of `names`: all, or
            those that a pruned layer keeps. Defaults to `None`.
        title: str. Defaults to `""`.
        maximum: float or `None`. The weight drawn darkest, to make pictures comparable. `None` means the largest
            one there is. Defaults to `None`.

    Returns:
        The `matplotlib.figure.Figure`.

    Raises:
        ValueError: If the numbers of names and weights differ.
        ImportError: If matplotlib is not installed.

    Example:

    >>> figure = plot_attention(np.eye(3), ["user", "item", "click"])
    >>> figure.axes[0].get_xticklabels()[0].get_text()
    'user'
    """
    table = np.asarray(weights, np.float64)
    if table.ndim < 2:
        raise ValueError(f"`weights` must be of the shape [..., queries, keys]. Received: shape {table.shape}")
    table = table.reshape(-1, *table.shape[-2:]).mean(axis=0)
    queries, keys = table.shape
    if query_names is None and queries <= len(names):
        query_names = list(names)[len(names) - queries :]
    if len(names) != keys or len(query_names or ()) != queries:
        raise ValueError(
            "`names` must name every key and `query_names` every query. "
            f"Received: {len(names)} and {len(query_names or ())} names, weights of shape {np.shape(weights)}"
        )
    room = [0.085 * max(map(len, some)) for some in (query_names or (), names)]  # inches that the names take
    figure = new_figure(1.8 + 0.3 * keys + room[0], 1.2 + 0.3 * queries + room[1])
    axes = figure.subplots()
    image = axes.imshow(table, cmap="Blues", vmin=0.0, vmax=maximum, aspect="equal")
    axes.set_xticks(range(keys), names, rotation=90, fontsize=9)
    axes.set_yticks(range(queries), query_names, fontsize=9)
    axes.tick_params(length=0, labelcolor=INK)
    axes.set_xlabel("attends to", fontsize=9.5, color=INK)
    axes.set_ylabel("token", fontsize=9.5, color=INK)
    axes.spines[:].set_visible(False)
    # White lines between the cells, by which the eye finds row and column
    axes.set_xticks(np.arange(keys + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(queries + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2)
    axes.tick_params(which="minor", length=0)
    if title:
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02, aspect=min(25, 3 + 2 * queries))
    bar.set_label("weight", fontsize=9.5, color=INK)
    bar.ax.tick_params(labelsize=8.5, color=MUTED, labelcolor=INK)
    bar.outline.set_visible(False)
    if path is not None:
        save_figure(figure, path)
    return figure
