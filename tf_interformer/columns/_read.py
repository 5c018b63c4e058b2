"""The columns that a raw batch may hold, each checked and in NumPy."""

from typing import Any

import numpy as np

from tf_interformer.columns._cells import cleaned, floats
from tf_interformer.columns._error import ColumnError
from tf_interformer.columns._lists import Lists
from tf_interformer.columns._rows import array_of, is_missing, objects, of_rank


def values(name: str, column: Any, dtype: str, missing: Any) -> np.ndarray:
    """A categorical column `[rows]`, as str (dtype object) or int64.

    Args:
        name: Name of the column, for messages.
        column: An array, a list, a tensor or what NumPy makes an array of.
        dtype: `"string"` or `"int64"`.
        missing: What stands for a missing value.

    Raises:
        ColumnError: A value is of another type, or the column of another shape.

    Example:

    >>> values("item", ["a", None, b" b"], "string", "").tolist()
    ['a', '', 'b']
    """
    return cleaned(name, of_rank(name, array_of(name, column), 1), dtype, missing)


def lists(name: str, column: Any, dtype: str, missing: Any) -> Lists:
    """A column with a list in each row; arguments and errors as of `values`, or of `numbers` by dtype `"float32"`.

    Example:

    >>> lists("seen", [["a"], None, ["b", "a"]], "string", "").lengths.tolist()
    [1, 0, 2]
    """
    if hasattr(column, "row_lengths") and hasattr(column, "flat_values"):  # a RaggedTensor
        if column.ragged_rank != 1 or len(column.flat_values.shape) != 1:
            raise ColumnError(f"column {name!r} must hold a list of values in each row. Received: {column.shape}")
        flat = cleaned(name, column.flat_values.numpy(), dtype, missing)
        return Lists(flat, np.asarray(column.row_lengths(), np.int64))
    array = array_of(name, column)
    if array.ndim == 1:
        return _of_rows(name, array, dtype, missing)
    array = of_rank(name, array, 2)
    return Lists(cleaned(name, array.ravel(), dtype, missing), np.full(len(array), array.shape[1], np.int64))


def _of_rows(name: str, array: np.ndarray, dtype: str, missing: Any) -> Lists:
    rows = [() if is_missing(row) else row for row in array.tolist()] if array.dtype == object else [None]
    for place, row in enumerate(rows):
        if not isinstance(row, (list, tuple, np.ndarray)):
            raise ColumnError(
                f"column {name!r} must hold a list in each row. Received: {array.tolist()[place]!r:.80}, "
                f"shape {array.shape}"
            )
    parts = [objects(row) if not isinstance(row, np.ndarray) else row.ravel() for row in rows]
    # Not by way of NumPy's own strings, which are all as wide as the longest.
    flat = objects([value for part in parts for value in part.tolist()])
    return Lists(cleaned(name, flat, dtype, missing), np.array([len(part) for part in parts], np.int64))


def numbers(name: str, column: Any) -> np.ndarray:
    """A column of numbers `[rows]`, float32, NaN where missing.

    Raises:
        ColumnError: A value is no number, is infinite or too large for float32, or the column is of another shape.
    """
    return floats(name, of_rank(name, array_of(name, column), 1))


def vectors(name: str, column: Any, dim: int) -> np.ndarray:
    """A column of vectors `[rows, dim]`, float32, NaN where missing; a missing vector is all NaN.

    Raises:
        ColumnError: As of `numbers`, or a vector is of another length.
    """
    array = array_of(name, column)
    if array.ndim == 1 and (array.dtype == object or not array.size):
        rows = [[np.nan] * dim if is_missing(row) else row for row in array.tolist()]
        wrong = next((row for row in rows if np.ndim(row) != 1 or len(row) != dim), None)
        if wrong is not None:
            raise ColumnError(f"column {name!r} must hold vectors of length {dim}. Received: {wrong!r:.80}")
        array = np.array([floats(name, array_of(name, row)) for row in rows], np.float32).reshape(len(rows), dim)
    if array.ndim != 2 or array.shape[1] != dim:
        raise ColumnError(f"column {name!r} must hold vectors of length {dim}. Received: shape {array.shape}")
    return floats(name, array)


def counts(name: str, column: Any) -> np.ndarray:
    """A column of lengths `[rows]`, int64.

    Raises:
        ColumnError: A value is no integer, or negative.
    """
    found = cleaned(name, of_rank(name, array_of(name, column), 1), "int64", -1)
    if found.size and found.min() < 0:
        raise ColumnError(f"column {name!r} must not be negative. Received: {found.min()}")
    return found


def check_lengths(name: str, lengths: np.ndarray, events: str, given: Lists) -> None:
    """Raise where a row has fewer events than its length says.

    Raises:
        ColumnError: It does, or there are not as many rows.
    """
    if lengths.size != given.lengths.size:
        raise ColumnError(
            f"the columns must have the same number of rows. Received: {lengths.size} of {name!r}, "
            f"{given.lengths.size} of {events!r}"
        )
    wrong = np.flatnonzero(lengths > given.lengths)
    if wrong.size:
        row = wrong[0]
        raise ColumnError(
            f"column {name!r} exceeds the events in {events!r}. Received in row {row}: {lengths[row]} of "
            f"{given.lengths[row]} events"
        )


def labels(name: str, column: Any) -> np.ndarray:
    """A column of labels `[rows]`, float32.

    Raises:
        ColumnError: A value is neither 0 nor 1.
    """
    found = numbers(name, column)
    wrong = found[~((found == 0) | (found == 1))]
    if wrong.size:
        raise ColumnError(f"label {name!r} must be 0 or 1. Received: {wrong[0]}")
    return found


def weights(name: str, column: Any) -> np.ndarray:
    """A column of weights `[rows]`, float32.

    Raises:
        ColumnError: A value is missing, negative or infinite.
    """
    found = numbers(name, column)
    wrong = found[~(found >= 0)]
    if wrong.size:
        raise ColumnError(f"weight {name!r} must be finite and at least 0. Received: {wrong[0]}")
    return found
