"""The visual embeddings of KuaiVideo_x1."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from pipelines.datasets.kuaivideo.schema import VISUAL_DIM
from pipelines.datasets.tables import DataError


class ItemVectors:
    """Vectors by item, from an HDF5 file with `key` `[N]` and `value` `[N, 64]`.

    Args:
        path: str or Path.

    Raises:
        DataError: If the file is missing or is not as described.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        if not path.is_file():
            raise DataError(f"There is no file `{path}`, the visual embeddings. Put it beside train.csv.")
        try:
            with h5py.File(path) as file:
                keys, values = (np.asarray(file[name][:]) for name in ("key", "value"))
        except (OSError, KeyError, TypeError) as error:
            raise DataError(
                f"`{path}` must be an HDF5 file with `key` and `value`. Received: {error}. Get the file again."
            ) from error
        if keys.ndim != 1 or values.shape != (len(keys), VISUAL_DIM) or not len(keys):
            raise DataError(
                f"`{path}` must hold a `key` and {VISUAL_DIM} numbers in `value` for each item. "
                f"Received: {keys.shape} and {values.shape}. Get the file again."
            )
        try:
            keys = keys.astype(np.int64)
        except ValueError:
            first = keys.tolist()[0]
            raise DataError(f"`{path}`: `key` must hold integers. Received: {first!r}. Get the file again.") from None
        order = np.argsort(keys, kind="stable")
        self._keys, self._values = keys[order], values[order].astype(np.float32)

    def of(self, items: np.ndarray) -> np.ndarray:
        """Returns the vectors `[batch, 64]` of items `[batch]`; NaN, which means missing, for those without one."""
        places = np.minimum(np.searchsorted(self._keys, items), len(self._keys) - 1)
        found: np.ndarray = self._values[places]
        found[self._keys[places] != items] = np.nan
        return found
