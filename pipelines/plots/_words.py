"""Words in pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tf_interformer.figures import INK


def name_ends(axes: Any, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Writes each line's name beside its end, pushed apart where ends are close."""
    bottom, top = axes.get_ylim()
    right = axes.get_xlim()[1]
    gap = 0.075 * (top - bottom)
    height = -math.inf
    for _, y, name, color in sorted(ends, key=lambda end: end[1]):
        height = max(y, height + gap)
        axes.annotate(
            name,
            (right, height),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=color,
            annotation_clip=False,
        )


def note(axes: Any, x: float, y: float, text: str, **alignment: str) -> None:
    """Writes text at a place given in parts of the panel, on white, so that the grid does not cross it."""
    backing = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2}
    axes.text(x, y, text, transform=axes.transAxes, fontsize=8.5, color=INK, bbox=backing, **alignment)
