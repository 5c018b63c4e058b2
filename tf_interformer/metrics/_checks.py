"""Validation shared by the NumPy metrics: arrays come out one-dimensional, of a known type, without NaN."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def column(values: ArrayLike, name: str) -> NDArray:
    """Returns `values` as an array of shape `[n]`; `[n, 1]`, as towers emit it, is accepted too."""
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(f"`{name}` must have shape [n] or [n, 1]. Received: shape {array.shape}")
    if not array.size:
        raise ValueError(f"`{name}` must hold at least one example. Received: an empty array")
    return array


def first_bad(array: NDArray, good: NDArray) -> str:
    """Describes the first entry that breaks a rule, and how many do."""
    bad = np.flatnonzero(~good)
    return f"{array[bad[0]].item()!r} at position {bad[0]} ({bad.size} of {array.size} entries)"


def check_labels(labels: ArrayLike) -> NDArray[np.bool_]:
    """Returns the labels as booleans of shape `[n]`."""
    array = column(labels, "labels")
    if array.dtype.kind not in "biufV":
        raise TypeError(f"`labels` must be numbers or booleans. Received: dtype {array.dtype}")
    good = (array == 0) | (array == 1)
    if not good.all():
        raise ValueError(f"`labels` must be 0 or 1. Received: {first_bad(array, good)}")
    return array == 1


def check_scores(scores: ArrayLike, name: str = "scores", size: int | None = None) -> NDArray[np.float64]:
    """Returns the scores as float64 of shape `[n]`; infinities are allowed, they rank."""
    array = column(scores, name)
    # "V" is how NumPy sees bfloat16.
    if array.dtype.kind not in "biufV":
        raise TypeError(f"`{name}` must be numbers. Received: dtype {array.dtype}")
    check_size(array, name, size)
    wide = array.astype(np.float64)
    good = ~np.isnan(wide)
    if not good.all():
        raise ValueError(f"`{name}` must not contain NaN. Received: {first_bad(wide, good)}")
    return wide


def check_probabilities(
    probabilities: ArrayLike, size: int | None = None, name: str = "probabilities"
) -> NDArray[np.float64]:
    """Returns the probabilities as float64 of shape `[n]`."""
    wide = check_scores(probabilities, name, size)
    good = (wide >= 0.0) & (wide <= 1.0)
    if not good.all():
        raise ValueError(f"`{name}` must lie in [0, 1]. Received: {first_bad(wide, good)}")
    return wide


def check_size(array: NDArray, name: str, size: int | None) -> None:
    if size is not None and array.size != size:
        raise ValueError(f"`{name}` must be as long as `labels`. Received: {array.size} against {size} labels")


def check_base_rate(base_rate: float | None) -> None:
    if base_rate is not None and not 0.0 < base_rate < 1.0:
        raise ValueError(f"`base_rate` must lie strictly between 0 and 1, or be None. Received: {base_rate!r}")
