"""The values of cells: text, integers of 64 bits, numbers of float32."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tf_interformer.columns._error import ColumnError
from tf_interformer.columns._rows import is_missing, objects

# What stands around a text and is no part of it: as `tf.strings.strip` has it.
BLANKS = " \t\n\v\f\r"
FINITE = "finite numbers, of at most 3.4e38 in size (NaN is missing)"
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_INT64 = (-(2**63), 2**63 - 1)
_EXACT = 2.0**53


def cleaned(name: str, array: np.ndarray, dtype: str, missing: Any) -> np.ndarray:
    if dtype == "float32":
        return floats(name, array)
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
        return objects(quick).reshape(array.shape)

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
        if is_missing(value):
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
        if is_missing(value):
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


def floats(name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind == "O":

        def number(value: Any) -> float:
            if is_missing(value):
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
