"""Pairs of tokens, by copies and slices alone: the gradient of a gather is slow where XLA runs it serially."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from tf_interformer._keras import ops
from tf_interformer.layers._common import Tensor

# Of so few tokens pairs are chosen by one product with zeros and ones, which is less than to copy them.
_FEW = 12


def pair_count(tokens: int) -> int:
    """Returns `N (N - 1) / 2`, the number of pairs of different tokens."""
    return tokens * (tokens - 1) // 2


def of_pairs(combine: Callable[[Any, Any], Any], left: Tensor, right: Tensor) -> Tensor:
    """Returns `combine(left_i, right_j)` of all `i < j`: `[B, pairs, F]`, first all with i = 0, then i = 1, ...

    Args:
        combine: callable. Takes `[B, 1, F]` and `[B, M, F]` and returns `[B, M, F]`.
        left, right: `[B, N, F]`.
    """
    rows = [combine(left[:, i : i + 1], right[:, i + 1 :]) for i in range(left.shape[1] - 1)]
    return ops.concatenate(rows, axis=1) if len(rows) > 1 else rows[0]


def circle_pairs(gram: Tensor, tokens: int) -> Tensor:
    """Returns the strict upper triangle of `[B, N, N]`, symmetric: `[B, pairs]`.

    Pairs come in the order `(0, 1), (1, 2), .., (N-1, 0), (0, 2), (1, 3), ..`: first all neighbours, then all tokens
    two apart, and so on around the circle of tokens.
    """
    if tokens <= _FEW:
        chosen = ops.convert_to_tensor(_choice(tokens), dtype=gram.dtype)
        return ops.matmul(ops.reshape(gram, (-1, tokens * tokens)), chosen)
    # Two copies side by side, re-read with rows one longer: column k is then the k-th diagonal around the circle.
    twice = ops.reshape(ops.concatenate([gram, gram], axis=2), (-1, 2 * tokens * tokens))
    twice = ops.pad(twice, ((0, 0), (0, tokens)))
    diagonals = ops.reshape(twice, (-1, tokens, 2 * tokens + 1))
    whole = (tokens - 1) // 2
    parts = []
    if whole:
        by_distance = ops.transpose(diagonals[:, :, 1 : whole + 1], (0, 2, 1))
        parts.append(ops.reshape(by_distance, (-1, whole * tokens)))
    if tokens % 2 == 0:
        # Opposite tokens of an even circle meet twice.
        parts.append(diagonals[:, : tokens // 2, tokens // 2])
    return ops.concatenate(parts, axis=1)


@cache
def _choice(tokens: int) -> np.ndarray:
    """What takes the pairs, in the order of `circle_pairs`, out of a flat `[N, N]`: zeros and ones `[N N, pairs]`."""
    around = [(i, (i + distance) % tokens) for distance in range(1, (tokens + 1) // 2) for i in range(tokens)]
    opposite = [(i, i + tokens // 2) for i in range(tokens // 2)] if tokens % 2 == 0 else []
    return np.eye(tokens * tokens)[:, np.array([i * tokens + j for i, j in around + opposite])]
