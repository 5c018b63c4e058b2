"""What NumPy and TensorFlow have in common, under one name each."""

from collections.abc import Sequence
from typing import Any, Protocol

# An `ndarray` or a tensor: arithmetic, comparisons by <, & of booleans and slices are the same for both.
Array = Any


class Arrays(Protocol):
    """The functions of arrays that the kinds of features encode by.

    `NumpyArrays` needs NumPy alone and is what a machine that scores without TensorFlow has; `TensorArrays` makes the
    graph that the input pipeline and the exported model share. Both give the same ids, and the same numbers to the last
    bit or so of float32.

    Example:

    >>> from tf_interformer.arrays.numpy_arrays import NumpyArrays
    >>> arrays: Arrays = NumpyArrays({})
    >>> arrays.bucketize(np.array([0.5, 3.0, 9.0]), (1.0, 3.0)).tolist()
    [0, 2, 2]
    """

    def ids(self, table: str, values: Array, missing: Any) -> Array:
        """The id of each value in the vocabulary of a table, int32: 1 of an unknown value, 0 of the missing one.

        That is the table's owner's, and `missing`, that of a column which shares the table.
        """
        ...

    def cast(self, x: Array, dtype: str) -> Array:
        """`x` as `dtype`."""
        ...

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        """`x` where the condition holds, else `y`; one of the two may be a plain value."""
        ...

    def equal(self, x: Array, y: Array) -> Array:
        """Where both are the same, also of texts; `y` may be a plain value."""
        ...

    def is_nan(self, x: Array) -> Array:
        """Where there is no number."""
        ...

    def any(self, x: Array, axis: int, keepdims: bool = False) -> Array:
        """Whether one of an axis holds."""
        ...

    def sum(self, x: Array, axis: int) -> Array:
        """Sum over an axis."""
        ...

    def max(self, x: Array, axis: int) -> Array:
        """The largest of an axis of integers, 0 of none."""
        ...

    def abs(self, x: Array) -> Array:
        """Absolute value."""
        ...

    def sign(self, x: Array) -> Array:
        """-1, 0 or 1."""
        ...

    def log1p(self, x: Array) -> Array:
        """`log(1 + x)`."""
        ...

    def steps(self, count: int) -> Array:
        """`0 .. count - 1`, int32."""
        ...

    def take(self, x: Array, rows: Array) -> Array:
        """The named rows of `x`."""
        ...

    def bucketize(self, x: Array, bounds: Sequence[float]) -> Array:
        """How many of the bounds are at most `x`, int32."""
        ...

    def unit(self, x: Array) -> Array:
        """Vectors `[rows, dim]` divided by their length; zeros stay zeros."""
        ...

    def fitting(self, what: str, x: Array) -> Array:
        """Encoded numbers, refused where the type cannot hold them in which the model computes; NumPy's takes all."""
        ...
