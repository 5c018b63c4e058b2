"""Rotary position embeddings."""

import numpy as np

from tf_interformer._keras import ops
from tf_interformer.layers._common import Tensor, wide


def rotary_angles(positions: Tensor, head_dim: int, base: float = 10000.0, dtype: str = "float32") -> Tensor:
    """Returns the angles `position / base^(2 i / head_dim)`, `[..., time, head_dim / 2]` (RoFormer, Eq. 15).

    Args:
        positions: tensor `[..., time]`, or int: so many positions, from 0.
        head_dim: int. Width of a head; even.
        base: float. Defaults to `10000.0`.
        dtype: str. `"float32"` or `"float64"`; half precision would lose distant positions. Defaults to
            `"float32"`.

    Raises:
        ValueError: If `head_dim` is odd.

    Example:

    >>> rotary_angles(50, 16).shape
    TensorShape([50, 8])

    Reference:
        [RoFormer, arXiv 2104.09864](https://arxiv.org/abs/2104.09864)
    """
    if head_dim % 2:
        raise ValueError(f"Rotary positions need heads of even width. Received: head_dim={head_dim}")
    if not len(ops.shape(positions)):
        positions = ops.arange(positions)
    frequency = base ** (-np.arange(0, head_dim, 2, dtype="float64") / head_dim)
    return ops.expand_dims(ops.cast(positions, dtype), -1) * ops.cast(frequency, dtype)


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Rotates the pairs `(x_i, x_{i + head_dim / 2})` of `[..., time, head_dim]` by `angles`.

    The rotation is computed in float32 or wider and cast back. The scalar product of a rotated query and a rotated
    key depends on their distance only.

    Example:

    >>> rotate(np.ones((2, 4, 50, 16), "float32"), rotary_angles(50, 16)).shape
    TensorShape([2, 4, 50, 16])
    """
    first, second = ops.split(wide(x), 2, axis=-1)
    cos, sin = ops.cos(angles), ops.sin(angles)
    rotated = ops.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
    return ops.cast(rotated, x.dtype)
