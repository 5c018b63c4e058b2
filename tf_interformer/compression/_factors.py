"""Matrices of projections, decomposed."""

import numpy as np
from numpy.typing import NDArray

from tf_interformer.compression.projection_report import ProjectionReport
from tf_interformer.layers.composite_projection import CompositeProjection


class Factors:
    """The singular value decomposition of a projection's matrix, or of every head's."""

    def __init__(self, projection: CompositeProjection) -> None:
        self.number = projection.num_heads if projection.rank_per_head else 1
        if projection.rank is None:
            matrices = self._split(np.asarray(projection.kernel.numpy(), np.float64))
        else:
            left = np.asarray(projection.left_kernel.numpy(), np.float64)
            right = np.asarray(projection.right_kernel.numpy(), np.float64)
            matrices = np.matmul(self._split(left), right)
        self.rows, self.columns = matrices.shape[1:]
        self.projection = projection
        self.left, self.spectrum, self.right = np.linalg.svd(matrices, full_matrices=False)

    def _split(self, kernel: NDArray[np.floating]) -> NDArray[np.floating]:
        """`[rows, number * columns] -> [number, rows, columns]`."""
        return kernel.reshape(kernel.shape[0], self.number, -1).transpose(1, 0, 2)

    def kept(self, rank: int) -> float:
        squares = self.spectrum**2
        totals = squares.sum(axis=1)
        shares = squares[:, :rank].sum(axis=1) / np.where(totals > 0, totals, 1.0)
        return float(np.where(totals > 0, shares, 1.0).min())

    def rank_for(self, energy: float) -> int:
        squares = self.spectrum**2
        # Sums from the small end keep the last digits, on which an energy near 1 depends.
        lost = np.cumsum(squares[:, ::-1], axis=1)[:, ::-1]  # by a rank of 0, 1, ...
        enough = np.count_nonzero(lost > (1.0 - energy) * lost[:, :1], axis=1)
        return max(1, int(enough.max()))

    def multiplications(self, rank: int | None) -> int:
        if rank is None:
            return self.number * self.rows * self.columns
        return self.number * min(rank, self.rows, self.columns) * (self.rows + self.columns)

    def write(self, target: CompositeProjection) -> None:
        rank = _rank(target)
        roots = np.sqrt(self.spectrum[:, :rank])
        left = (self.left[:, :, :rank] * roots[:, None, :]).transpose(1, 0, 2)
        target.left_kernel.assign(left.reshape(self.rows, -1))
        target.right_kernel.assign((roots[:, :, None] * self.right[:, :rank]).reshape(target.right_kernel.shape))

    def report(self, path: str, new: CompositeProjection) -> ProjectionReport:
        rank = None if new.rank is None else _rank(new)
        return ProjectionReport(
            path=path,
            spectrum=self.spectrum,
            rank=rank,
            energy=self.kept(self.spectrum.shape[1] if rank is None else rank),
            before=self.multiplications(self.projection.rank),
            after=self.multiplications(new.rank),
        )


def _rank(projection: CompositeProjection) -> int:
    """The rank that it has, which may be less than what it was asked for."""
    return int(projection.right_kernel.shape[-2])
