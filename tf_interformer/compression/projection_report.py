"""What became of one projection."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ProjectionReport:
    """What became of one composite projection.

    Attributes:
        path: str. Such as `"backbone/block_0/attention/key"`.
        spectrum: array `[1, min(L d, H M d_k)]`. The singular values of the matrix, largest first; with
            `rank_per_head`, `[H, min(L d, M d_k)]`, those of each head's.
        rank: int or `None`. Its rank now; `None` means a full matrix.
        energy: float. The share of the squared singular values that is kept, in the matrix that loses most.
        before: int. Multiplications per example, which are as many as its weights.
        after: int. The same, now.

    Example:

    >>> ProjectionReport("key", np.array([[2.0, 1.0]]), rank=1, energy=0.8, before=40, after=14).path
    'key'
    """

    path: str
    spectrum: NDArray[np.floating]
    rank: int | None
    energy: float
    before: int
    after: int
