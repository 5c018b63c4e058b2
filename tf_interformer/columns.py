"""What a column of a raw batch may hold: one check for learning, preprocessing and serving, which needs NumPy alone.

- None and NaN are missing.
- Bytes are text where they are UTF-8, and refused elsewhere; blanks around a text are no part of it.
- Whole numbers are of 64 bits, signed, or refused; so are those written `7.0`, as pandas writes integers with gaps.
- Numbers are finite and within float32, or refused; booleans are 0 and 1.
- Lists may be arrays, lists of lists, arrays of lists or ragged tensors; a missing list is empty.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

# What stands around a text and is no part of it: as `tf.strings.strip` has it.
BLANKS = " \t\n\v\f\r"
FINITE = "finite numbers, of at most 3.4e38 in size (NaN is missing)"
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_INT64 = (-(2**63), 2**63 - 1)
_EXACT = 2.0**53


class ColumnError(ValueError):
    """A column holds what it may not; the message names it and the value."""


@dataclass(frozen=True)
class Lists:
    """A column of lists: all values, one row after the other, and how many are of each row.

    Args:
        values: `[all values]`.
        lengths: int64 `[rows]`.

    Example:

    >>> Lists(np.array([7, 8, 9]), np.array([1, 2])).last(np.array([1, 2]), count=1, missing=0).tolist()
    [[7], [9]]
    """

    values: np.ndarray
    lengths: np.ndarray

    def first(self, count: int, missing: Any) -> np.ndarray:
        """The first `count` values of each row `[rows, count]`, padded on the right."""
        kept = np.minimum(self.lengths, count)
        return self._gathered(np.zeros_like(kept), kept, count, missing)

    def last(self, lengths: np.ndarray, count: int, missing: Any) -> np.ndarray:
        """Of the first `lengths` values of each row the last `count`, `[rows, count]`, padded on the right."""
        kept = np.minimum(lengths, count)
        return self._gathered(lengths - kept, kept, count, missing)

    def real(self, lengths: np.ndarray) -> np.ndarray:
        """The first `lengths` values of each row, all in one array."""
        steps = np.arange(self.values.size) - np.repeat(np.cumsum(self.lengths) - self.lengths, self.lengths)
        return self.values[steps < np.repeat(lengths, self.lengths)]

    def _gathered(self, starts: np.ndarray, kept: np.ndarray, count: int, missing: Any) -> np.ndarray:
        found = np.full((self.lengths.size, count), missing, self.values.dtype)
        rows = np.repeat(np.arange(kept.size), kept)
        steps = np.arange(rows.size) - np.repeat(np.cumsum(kept) - kept, kept)
        begins = np.cumsum(self.lengths) - self.lengths
        found[rows, steps] = self.values[begins[rows] + starts[rows] + steps]
        return found


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
    return _cleaned(name, _of_rank(name, _array(name, column), 1), dtype, missing)


def lists(name: str, column: Any, dtype: str, missing: Any) -> Lists:
    """A column with a list in each row; arguments and errors as of `values`, or of `numbers` by dtype `"float32"`.

    Example:

    >>> lists("seen", [["a"], None, ["b", "a"]], "string", "").lengths.tolist()
    [1, 0, 2]
    """
    if hasattr(column, "row_lengths") and hasattr(column, "flat_values"):  # a RaggedTensor
        if column.ragged_rank != 1 or len(column.flat_values.shape) != 1:
            raise ColumnError(f"column {name!r} must hold a list of values in each row. Received: {column.shape}")
        flat = _cleaned(name, column.flat_values.numpy(), dtype, missing)
        return Lists(flat, np.asarray(column.row_lengths(), np.int64))
    array = _array(name, column)
    if array.ndim == 1:
        return _of_rows(name, array, dtype, missing)
    array = _of_rank(name, array, 2)
    return Lists(_cleaned(name, array.ravel(), dtype, missing), np.full(len(array), array.shape[1], np.int64))


def _of_rows(name: str, array: np.ndarray, dtype: str, missing: Any) -> Lists:
    rows = [() if _is_missing(row) else row for row in array.tolist()] if array.dtype == object else [None]
    for place, row in enumerate(rows):
        if not isinstance(row, (list, tuple, np.ndarray)):
            raise ColumnError(
                f"column {name!r} must hold a list in each row. Received: {array.tolist()[place]!r:.80}, "
                f"shape {array.shape}"
            )
    parts = [_objects(row) if not isinstance(row, np.ndarray) else row.ravel() for row in rows]
    # Not by way of NumPy's own strings, which are all as wide as the longest.
    flat = _objects([value for part in parts for value in part.tolist()])
    return Lists(_cleaned(name, flat, dtype, missing), np.array([len(part) for part in parts], np.int64))


def numbers(name: str, column: Any) -> np.ndarray:
    """A column of numbers `[rows]`, float32, NaN where missing.

    Raises:
        ColumnError: A value is no number, is infinite or too large for float32, or the column is of another shape.
    """
    return _floats(name, _of_rank(name, _array(name, column), 1))


def vectors(name: str, column: Any, dim: int) -> np.ndarray:
    """A column of vectors `[rows, dim]`, float32, NaN where missing; a missing vector is all NaN.

    Raises:
        ColumnError: As of `numbers`, or a vector is of another length.
    """
    array = _array(name, column)
    if array.ndim == 1 and (array.dtype == object or not array.size):
        rows = [[np.nan] * dim if _is_missing(row) else row for row in array.tolist()]
        wrong = next((row for row in rows if np.ndim(row) != 1 or len(row) != dim), None)
        if wrong is not None:
            raise ColumnError(f"column {name!r} must hold vectors of length {dim}. Received: {wrong!r:.80}")
        array = np.array([_floats(name, _array(name, row)) for row in rows], np.float32).reshape(len(rows), dim)
    if array.ndim != 2 or array.shape[1] != dim:
        raise ColumnError(f"column {name!r} must hold vectors of length {dim}. Received: shape {array.shape}")
    return _floats(name, array)


def counts(name: str, column: Any) -> np.ndarray:
    """A column of lengths `[rows]`, int64.

    Raises:
        ColumnError: A value is no integer, or negative.
    """
    found = _cleaned(name, _of_rank(name, _array(name, column), 1), "int64", -1)
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


def ids_by_value(missing: Any, vocabulary: Iterable[Any]) -> dict[Any, int]:
    """The id of every known value: 0 of the missing one, from 2 on the vocabulary's."""
    found: dict[Any, int] = {}
    for place, value in enumerate((missing, *vocabulary)):
        # Two values that differ by the blanks around them have one id: that of the more frequent one.
        found.setdefault(value.strip(BLANKS) if isinstance(value, str) else value, place + 1 if place else 0)
    return found


def count_rows(column: Any) -> int:
    """How many rows a column has; 0 where it is none."""
    if hasattr(column, "nrows"):  # a RaggedTensor
        return int(column.nrows())
    try:
        return len(column)
    except TypeError:
        return 0


# From what users have to arrays


def _array(name: str, column: Any) -> np.ndarray:
    if isinstance(column, np.ma.MaskedArray):
        found = column.data.astype(object)
        found[np.ma.getmaskarray(column)] = None
        return found
    if isinstance(column, np.ndarray):
        return column
    if isinstance(column, (list, tuple)):
        return _objects(column)  # not by way of NumPy's own strings, which are all as wide as the longest
    if hasattr(column, "numpy"):  # a tensor of TensorFlow or PyTorch
        column = column.numpy()
    try:
        array = np.asarray(column)
    except ValueError:
        array = np.empty((), object)
    if not array.ndim:
        raise ColumnError(f"column {name!r} must hold a value for each row. Received: {column!r:.80}")
    return array


def _objects(rows: Any) -> np.ndarray:
    array = np.empty(len(rows), object)
    for place, row in enumerate(rows):
        array[place] = row
    return array


def _of_rank(name: str, array: np.ndarray, rank: int) -> np.ndarray:
    if array.ndim == rank + 1 and array.shape[-1] == 1:
        array = array[..., 0]  # Keras hands over [batch, 1] where [batch] was meant
    if rank == 1 and array.ndim == 1 and array.dtype == object and array.size:
        cells = array.tolist()
        if all(isinstance(cell, (list, tuple, np.ndarray)) and len(cell) == 1 for cell in cells):
            array = _objects([cell[0] for cell in cells])
    if array.ndim != rank:
        raise ColumnError(f"column {name!r} must have rank {rank}. Received: shape {array.shape}")
    return array


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # of pandas
        return True
    return isinstance(value, (float, np.floating)) and bool(value != value)


def _cleaned(name: str, array: np.ndarray, dtype: str, missing: Any) -> np.ndarray:
    if dtype == "float32":
        return _floats(name, array)
    return _integers(name, array, missing) if dtype == "int64" else _texts(name, array, missing)


def _texts(name: str, array: np.ndarray, missing: str) -> np.ndarray:
    kind = array.dtype.kind
    if kind == "f" and np.isnan(array).all():  # as pandas has a column without any value
        return np.full(array.shape, missing, object)
    if kind not in "OUST":
        raise ColumnError(f"column {name!r} must hold strings. Received: {_first(array)}")

    cells = array.ravel().tolist()
    quick = _all_texts(cells)
    if quick is not None:
        return _objects(quick).reshape(array.shape)

    def text(value: Any) -> str:
        if isinstance(value, bytes):
            try:
                return value.decode().strip(BLANKS)
            except UnicodeDecodeError:
                raise ColumnError(
                    f"column {name!r} must hold text, and these bytes are no UTF-8: write them as text, such as "
                    f"hexadecimal. Received: {value!r:.80}"
                ) from None
        if isinstance(value, str):
            if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
                raise ColumnError(f"column {name!r} must hold text, which has no half characters. "
                                  f"Received: {value!r:.80}")  # fmt: skip
            return value.strip(BLANKS)
        if _is_missing(value):
            return missing
        raise ColumnError(f"column {name!r} must hold strings. Received: {value!r:.80}")

    return _each(text, array, object)


def _all_texts(cells: list[Any]) -> list[str] | None:
    """The cells, where all are strings or all bytes, and text."""
    kinds = set(map(type, cells))
    try:
        if kinds == {bytes}:
            return [cell.decode().strip(BLANKS) for cell in cells]
        if kinds == {str}:
            "".join(cells).encode()
            return [cell.strip(BLANKS) for cell in cells]
    except UnicodeError:
        pass
    return None


def _integers(name: str, array: np.ndarray, missing: int) -> np.ndarray:
    kind = array.dtype.kind
    if kind in "ib":
        return array.astype(np.int64)
    if kind == "u":
        if array.size and array.max() > _INT64[1]:
            raise _too_large(name, array.max())
        return array.astype(np.int64)
    if kind == "f":
        known = array[~np.isnan(array)]
        wrong = known[~((known == np.floor(known)) & (np.abs(known) < _EXACT))]
        if wrong.size:
            raise ColumnError(f"column {name!r} must hold integers. Received: {wrong[0]}")
        return np.where(np.isnan(array), missing, array).astype(np.int64)
    if kind != "O":
        raise ColumnError(f"column {name!r} must hold integers. Received: {_first(array)}")

    cells = array.ravel().tolist()
    if set(map(type, cells)) == {int} and min(cells) >= _INT64[0] and max(cells) <= _INT64[1]:
        return np.array(cells, np.int64).reshape(array.shape)

    def integer(value: Any) -> int:
        if isinstance(value, (int, np.integer, np.bool_)):
            if not _INT64[0] <= value <= _INT64[1]:
                raise _too_large(name, value)
            return int(value)
        if _is_missing(value):
            return missing
        if isinstance(value, float) and abs(value) < _EXACT and value == int(value):
            return int(value)
        raise ColumnError(f"column {name!r} must hold integers. Received: {value!r:.80}")

    return _each(integer, array, np.int64)


def _first(array: np.ndarray) -> str:
    return f"{array.ravel()[0].item()!r:.80}" if array.size else str(array.dtype)


def _too_large(name: str, value: Any) -> ColumnError:
    return ColumnError(
        f"column {name!r} must hold integers of 64 bits, signed: give larger ones as strings, dtype='string'. "
        f"Received: {value}"
    )


def _floats(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "O":

        def number(value: Any) -> float:
            if _is_missing(value):
                return np.nan
            if isinstance(value, (int, float, np.number, np.bool_)) or type(value).__name__ == "Decimal":
                return float(value)
            raise ColumnError(f"column {name!r} must hold numbers. Received: {value!r:.80}")

        array = _each(number, array, np.float64)
    if array.dtype.kind not in "fiub":
        raise ColumnError(f"column {name!r} must hold numbers. Received: {_first(array)}")
    if array.dtype.kind == "f":
        wrong = array[np.abs(array) > _FLOAT32_MAX]
        if wrong.size:
            raise ColumnError(f"column {name!r} must hold {FINITE}. Received: {wrong[0]}")
    return array.astype(np.float32)


def _each(function: Callable[[Any], Any], array: np.ndarray, dtype: Any) -> np.ndarray:
    found = np.empty(array.size, dtype)
    for place, value in enumerate(array.ravel().tolist()):
        found[place] = function(value)
    return found.reshape(array.shape)
