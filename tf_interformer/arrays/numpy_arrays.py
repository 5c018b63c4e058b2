"""Encoding in NumPy, without TensorFlow."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_interformer import columns
from tf_interformer.arrays._vocabulary import Vocabulary

_INT32 = np.int32
LookUp = Callable[[np.ndarray], np.ndarray]


class NumpyArrays:
    """`Arrays` of NumPy.

    Args:
        tables: dict. The owner of each table, by column: `FeatureSchema.tables` of a learned schema.

    Raises:
        ImportError: A table hashes, and `pyfarmhash` is not installed.

    Example:

    >>> from tf_interformer.schema import Categorical
    >>> NumpyArrays({"item": Categorical("item", vocabulary=["a", "b"])}).ids(
    ...     "item", np.array(["b", "", "?", "none"], object), missing="none")
    array([3, 0, 1, 0], dtype=int32)
    """

    def __init__(self, tables: Mapping[str, Vocabulary]) -> None:
        self._tables = {name: _look_up(name, owner) for name, owner in tables.items()}
        self._missing = {name: owner.missing for name, owner in tables.items()}

    def ids(self, table: str, values: np.ndarray, missing: Any) -> np.ndarray:
        found = self._tables[table](values)
        return found if missing == self._missing[table] else self.where(self.equal(values, missing), 0, found)

    def cast(self, x: Any, dtype: str) -> np.ndarray:
        return np.asarray(x).astype(dtype)

    def where(self, condition: np.ndarray, x: Any, y: Any) -> np.ndarray:
        # A plain value must not widen what it stands beside, nor become one of NumPy's own strings.
        dtype = x.dtype if isinstance(x, np.ndarray) else y.dtype
        return np.where(condition, np.asarray(x, dtype), np.asarray(y, dtype))

    def equal(self, x: np.ndarray, y: Any) -> np.ndarray:
        return np.asarray(x == y, bool)

    def is_nan(self, x: np.ndarray) -> np.ndarray:
        return np.isnan(x)

    def any(self, x: np.ndarray, axis: int, keepdims: bool = False) -> np.ndarray:
        return np.any(x, axis=axis, keepdims=keepdims)

    def sum(self, x: np.ndarray, axis: int) -> np.ndarray:
        return np.sum(x, axis=axis, dtype=x.dtype)

    def max(self, x: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(x.max(axis=axis, initial=0))

    def abs(self, x: np.ndarray) -> np.ndarray:
        return np.abs(x)

    def sign(self, x: np.ndarray) -> np.ndarray:
        return np.sign(x)

    def log1p(self, x: np.ndarray) -> np.ndarray:
        return np.log1p(x)

    def steps(self, count: int) -> np.ndarray:
        return np.arange(count, dtype=_INT32)

    def take(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return x[rows]

    def bucketize(self, x: np.ndarray, bounds: Sequence[float]) -> np.ndarray:
        # TensorFlow's bounds are of float32, so that a number on a bound is.
        return np.searchsorted(np.asarray(bounds, np.float32), x, side="right").astype(_INT32)

    def unit(self, x: np.ndarray) -> np.ndarray:
        return x / np.sqrt(np.maximum(np.sum(x * x, axis=1, keepdims=True), np.float32(1e-12)))

    def fitting(self, what: str, x: np.ndarray) -> np.ndarray:
        return x


def _look_up(name: str, owner: Vocabulary) -> LookUp:
    """The function from the values of one table to ids."""
    if owner.hash_buckets is not None:
        return _hashing(name, owner.hash_buckets, owner.missing)
    table = columns.ids_by_value(owner.missing, owner.vocabulary)
    if owner.dtype == "int64":
        return _search(np.array(list(table), np.int64), np.array(list(table.values()), _INT32))
    return lambda values: _each(values, lambda flat: (table.get(value, 1) for value in flat))


def _search(known: np.ndarray, ids: np.ndarray) -> LookUp:
    order = np.argsort(known)
    known, ids = known[order], ids[order]

    def look_up(values: np.ndarray) -> np.ndarray:
        places = np.minimum(np.searchsorted(known, values), len(known) - 1)
        return np.where(known[places] == values, ids[places], _INT32(1))

    return look_up


def _hashing(name: str, buckets: int, missing: Any) -> LookUp:
    try:
        from farmhash import fingerprint64
    except ImportError:
        raise ImportError(f"feature {name!r} is hashed, which needs: pip install pyfarmhash") from None

    def bucket(value: Any) -> int:
        return 0 if value == missing else 2 + fingerprint64(str(value).encode()) % buckets

    return lambda values: _each(values, lambda flat: map(bucket, flat))


def _each(values: np.ndarray, function: Callable[[list[Any]], Iterable[int]]) -> np.ndarray:
    return np.fromiter(function(values.ravel().tolist()), _INT32, values.size).reshape(values.shape)
