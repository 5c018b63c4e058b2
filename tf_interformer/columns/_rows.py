"""From what users have to arrays with a row for each example."""

from typing import Any

import numpy as np

from tf_interformer.columns._error import ColumnError


def count_rows(column: Any) -> int:
    """How many rows a column has; 0 where it is none."""
    if hasattr(column, "nrows"):  # a RaggedTensor
        return int(column.nrows())
    try:
        return len(column)
    except TypeError:
        return 0


def array_of(name: str, column: Any) -> np.ndarray:
    if isinstance(column, np.ma.MaskedArray):
        found = column.data.astype(object)
        found[np.ma.getmaskarray(column)] = None
        return found
    if isinstance(column, np.ndarray):
        return column
    if isinstance(column, (list, tuple)):
        return objects(column)  # not by way of NumPy's own strings, which are all as wide as the longest
    if hasattr(column, "numpy"):  # a tensor of TensorFlow or PyTorch
        column = column.numpy()
    try:
        array = np.asarray(column)
    except ValueError:
        array = np.empty((), object)
    if not array.ndim:
        raise ColumnError(f"column {name!r} must hold a value for each row. Received: {column!r:.80}")
    return array


def objects(rows: Any) -> np.ndarray:
    array = np.empty(len(rows), object)
    for place, row in enumerate(rows):
        array[place] = row
    return array


def of_rank(name: str, array: np.ndarray, rank: int) -> np.ndarray:
    if array.ndim == rank + 1 and array.shape[-1] == 1:
        array = array[..., 0]  # Keras hands over [batch, 1] where [batch] was meant
    if rank == 1 and array.ndim == 1 and array.dtype == object and array.size:
        cells = array.tolist()
        if all(isinstance(cell, (list, tuple, np.ndarray)) and len(cell) == 1 for cell in cells):
            array = objects([cell[0] for cell in cells])
    if array.ndim != rank:
        raise ColumnError(f"column {name!r} must have rank {rank}. Received: shape {array.shape}")
    return array


def is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # of pandas
        return True
    return isinstance(value, (float, np.floating)) and bool(value != value)
