"""What a column of a raw batch may hold: one check for learning, preprocessing and serving, which needs NumPy alone.

- None and NaN are missing.
- Bytes are text where they are UTF-8, and refused elsewhere; blanks around a text are no part of it.
- Whole numbers are of 64 bits, signed, or refused; so are those written `7.0`, as pandas writes integers with gaps.
- Numbers are finite and within float32, or refused; booleans are 0 and 1.
- Lists may be arrays, lists of lists, arrays of lists or ragged tensors; a missing list is empty.
"""

from tf_interformer.columns._cells import BLANKS, FINITE
from tf_interformer.columns._error import ColumnError
from tf_interformer.columns._exact import exact
from tf_interformer.columns._ids import ids_by_value
from tf_interformer.columns._lists import Lists
from tf_interformer.columns._read import check_lengths, counts, labels, lists, numbers, values, vectors, weights
from tf_interformer.columns._rows import count_rows

__all__ = [
    "BLANKS",
    "FINITE",
    "ColumnError",
    "Lists",
    "check_lengths",
    "count_rows",
    "counts",
    "exact",
    "ids_by_value",
    "labels",
    "lists",
    "numbers",
    "values",
    "vectors",
    "weights",
]
