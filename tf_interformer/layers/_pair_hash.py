"""Rows of codebooks for pairs of ids, by arithmetic that is the same everywhere.

A hash of `(i, id_i, j, id_j)` with `i <= j` is a polynomial over the field of `P` elements: Horner's scheme over the
two positions and the two limbs (base `P`) of each id, `h = (h a + limb + c) mod P`, and then the bijection
`x -> x^3`. Two such hashes make one number below `P^2`, of which the remainder by the size of the codebook is taken.
Nothing exceeds `P^2 < 2^31`, so that int32 suffices on every backend, compiled or not.
"""

from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tf_interformer._keras import ops
from tf_interformer.layers._common import Tensor

P = 46337  # the largest prime whose square is below 2^31; 3 does not divide P - 1


def constant(name: str) -> int:
    """Returns a number in `[1, P)` that belongs to a name, the same in every process and version."""
    return 1 + int.from_bytes(sha256(name.encode()).digest()[:8], "big") % (P - 1)


class PairHash:
    """Hashes pairs of ids to rows of `num_codebooks` codebooks that lie one after the other in one table.

    Args:
        first, second: int arrays `[pairs]`. Positions i <= j of the tokens of each pair.
        num_codebooks: int. M.
        codebook_size: int. Rows of each codebook.
    """

    def __init__(
        self, first: NDArray[np.int64], second: NDArray[np.int64], num_codebooks: int, codebook_size: int
    ) -> None:
        a, c = (
            np.array([constant(f"{letter}/{m}/{k}") for m in range(num_codebooks) for k in range(2)], np.int64)
            for letter in "ac"
        )
        start = np.zeros((len(first), 2 * num_codebooks), np.int64)
        for limb in (first + 1, second + 1):
            start = (start * a + limb[:, None] + c) % P
        # Horner's scheme is linear in the limbs: `start a^4 + lo_i a^3 + hi_i a^2 + lo_j a + hi_j + c (a^3 + .. + 1)`.
        powers = [np.ones_like(a)]
        for _ in range(4):
            powers.append(powers[-1] * a % P)
        rest = c * (powers[0] + powers[1] + powers[2] + powers[3])
        self._first, self._second = first.astype("int32"), second.astype("int32")
        self._start = ((start * powers[4] + rest) % P).astype("int32")
        self._multipliers = [power.astype("int32") for power in reversed(powers[:4])]
        self._num_codebooks, self._size = num_codebooks, codebook_size
        self._offsets = (np.arange(num_codebooks) * codebook_size).astype("int32")

    def __call__(self, ids: Tensor) -> Tensor:
        """Returns rows `[batch, pairs, M]` for ids `[batch, N]`, which must not be negative."""
        low, high = (ops.expand_dims(limb, -1) for limb in (ids % P, ids // P % P))  # [B, N, 1]
        a3, a2, a1, a0 = self._multipliers
        first = (low * a3 % P + high * a2 % P) % P  # [B, N, 2 M]
        second = (low * a1 % P + high * a0 % P) % P
        h = ops.take(first, self._first, axis=1) + ops.take(second, self._second, axis=1)
        h = (h + self._start) % P  # [B, pairs, 2 M]
        h = ops.reshape(h * h % P * h % P, (-1, len(self._first), self._num_codebooks, 2))
        rows: Any = (h[..., 0] * P + h[..., 1]) % self._size
        return rows + self._offsets
