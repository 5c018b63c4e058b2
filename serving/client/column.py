"""One column of a request: what its values must be."""

import math
from typing import Any

import numpy as np

from serving.client.errors import InvalidRequest
from tf_interformer.schema import RawColumn

_DTYPES = {"string": np.dtype(object), "int64": np.dtype(np.int64), "float32": np.dtype(np.float32)}
_ARTICLES = {"string": "a string", "int64": "an integer", "float32": "a number"}


class Column:
    """A column of the model's signature.

    Args:
        column: `RawColumn`. What the schema says of it.
    """

    def __init__(self, column: RawColumn) -> None:
        self.name, self.kind, self.missing = column.name, column.dtype, column.missing
        # Events are checked one by one.
        self.width = None if column.kind == "events" else column.width
        self.exact = column.kind == "vector"

    def checked(self, value: Any, where: str) -> Any:
        """The value of one row, lists filled up; `where` says in errors where it stood.

        Raises:
            InvalidRequest: It is of another type, not finite, or too long.
        """
        if self.width is None:
            return self._scalar(value, where)
        if value is None:
            return [self.missing] * self.width
        value = value.tolist() if isinstance(value, np.ndarray) else value
        if not isinstance(value, (list, tuple)):
            raise InvalidRequest(f"{where} must be a list. Received: {value!r:.80}")
        if len(value) > self.width or (self.exact and len(value) < self.width):
            rule = "exactly" if self.exact else "at most"
            raise InvalidRequest(f"{where} must hold {rule} {self.width} values. Received: {len(value)}")
        values = [self._scalar(item, where) for item in value]
        return values + [self.missing] * (self.width - len(values))

    def _scalar(self, value: Any, where: str) -> Any:
        if value is None:
            return self.missing
        value = value.item() if isinstance(value, np.generic) else value
        fits = {
            "string": isinstance(value, str),
            "int64": isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63,
            "float32": isinstance(value, (int, float)) and not isinstance(value, bool),
        }[self.kind]
        if not fits:
            raise InvalidRequest(f"{where} must be {_ARTICLES[self.kind]}. Received: {value!r:.80}")
        if self.kind == "float32" and not math.isnan(value) and abs(value) > np.finfo(np.float32).max:
            raise InvalidRequest(f"{where} must be finite (None means missing). Received: {value!r:.80}")
        return value

    def array(self, rows: list[Any]) -> np.ndarray:
        """The checked values of all rows."""
        made = np.empty((len(rows),) if self.width is None else (len(rows), self.width), _DTYPES[self.kind])
        for place, row in enumerate(rows):
            made[place] = row
        return made
