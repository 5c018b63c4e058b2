"""Groups of examples, numbered."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tf_interformer.metrics._checks import check_size


def factorize(groups: NDArray, size: int, name: str = "groups") -> tuple[NDArray, NDArray[np.int64]]:
    """Returns the distinct groups and each row's index into them.

    Integer groups are sorted, strings are in order of appearance.
    """
    check_size(groups, name, size)
    if groups.dtype.kind == "f" and np.isnan(groups).any():
        raise ValueError(f"`{name}` must not contain NaN. Received: NaN for some examples")
    if groups.dtype.kind not in "OSUT":
        names, codes = np.unique(groups, return_inverse=True)
        return names, codes.astype(np.int64)
    # Hashing strings is several times faster than sorting them.
    rows = groups.tolist()
    index = {name: i for i, name in enumerate(dict.fromkeys(rows))}
    if None in index:
        raise ValueError(f"`{name}` must name a group for every example. Received: None for some examples")
    names = np.empty(len(index), groups.dtype)
    names[:] = list(index)
    return names, np.fromiter(map(index.__getitem__, rows), np.int64, len(rows))
