"""Plain arrays, which a graph can take as they are."""

from typing import Any

import numpy as np

_INT32 = np.iinfo(np.int32)


def exact(value: Any, dtype: str, shape: tuple[int | None, ...]) -> np.ndarray | None:
    """The values as an array of the dtype and shape, where that changes none of them; else None.

    Args:
        value: Anything.
        dtype: `"string"`, `"int64"`, `"int32"` or `"float32"`.
        shape: Sizes, None where any will do.

    Example:

    >>> exact(np.array([1, 2]), "float32", (None,)), exact(np.array([1.5]), "int64", (None,)) is None
    (array([1., 2.], dtype=float32), True)
    """
    if type(value) is not np.ndarray or value.ndim != len(shape):
        return None
    if any(wanted not in (None, size) for size, wanted in zip(value.shape, shape, strict=True)):
        return None
    kind = value.dtype.kind
    if dtype == "string":
        return value if kind == "U" or (kind == "O" and _is_text(value.ravel().tolist())) else None
    if kind not in "iu" and not (kind == "f" and dtype == "float32"):
        return None
    if dtype == "float32":
        with np.errstate(over="ignore"):
            numbers = value.astype(np.float32)
        return None if np.isinf(numbers).any() else numbers
    if value.dtype == np.uint64:
        return None
    if dtype == "int32" and value.size and not _INT32.min <= value.min() <= value.max() <= _INT32.max:
        return None
    return value.astype(dtype)


def _is_text(values: list[Any]) -> bool:
    """Whether all of them are strings, or all of them bytes of UTF-8."""
    kinds = set(map(type, values))
    if kinds == {bytes}:
        try:
            b"\0".join(values).decode()
        except UnicodeDecodeError:
            return False
        return True
    return kinds <= {str}
