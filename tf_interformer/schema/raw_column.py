"""One column of a raw batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tf_interformer import columns

Holds = Literal["value", "values", "vector", "events", "length", "label", "key", "weight"]
Side = Literal["user", "candidate"]


@dataclass(frozen=True)
class RawColumn:
    """One column of a raw batch, as files, requests and the `Preprocessor` hold it.

    A feature makes its own, and the schema adds what follows from the rest of it: `FeatureSchema.raw_columns`.

    Args:
        name: str. Name of the column.
        kind: str. What a row holds: one `"value"`; `"values"`, at most `width`; a `"vector"` of `width` numbers;
            `"events"`, of which the last `width` are used; the `"length"` of a history; a `"label"`, `"key"` or
            `"weight"`, which no served model asks for.
        dtype: str. Type of the values in a batch: `"string"`, `"int64"`, `"float32"` or `"int32"`.
        missing: str, int, float or None. What stands for "nothing there"; None where there must be something.
            Defaults to `None`.
        width: int or None. See `kind`. Defaults to `None`: a row holds one value.
        side: `"user"` or `"candidate"`. Of a request with many candidates, whether it has one row or a row for each, as
            labels and weights have. Defaults to `"user"`.
        table: str or None. Name of the column that owns the vocabulary of its values. Defaults to `None`: they have
            none.
        sequence: str or None. Name of the sequence that it is a part of. Defaults to `None`.
        length: str or None. Of events, name of the column that says how many are real. Defaults to `None`.
        serve_as: str, int, float or None. The value by which a served model replaces it. Defaults to `None`: the
            model asks for it.

    Example:

    >>> column = RawColumn("tags", "values", "int64", missing=-1, width=3)
    >>> column.shape, column.is_served
    ((None, None), True)
    >>> column.read([[7, 8], None]).lengths.tolist()
    [2, 0]
    """

    name: str
    kind: Holds
    dtype: Literal["string", "int64", "float32", "int32"]
    missing: Any = None
    width: int | None = None
    side: Side = "user"
    table: str | None = None
    sequence: str | None = None
    length: str | None = None
    serve_as: Any = None

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Shape in a raw batch."""
        if self.kind == "vector":
            return (None, self.width)
        return (None, None) if self.has_lists else (None,)

    @property
    def has_lists(self) -> bool:
        """Whether rows hold lists, which may differ in length."""
        return self.kind in ("values", "events")

    @property
    def stored_dtype(self) -> str:
        """Type of the values in a file: labels are stored as integers."""
        return "int64" if self.kind == "label" else self.dtype

    @property
    def is_input(self) -> bool:
        """Whether a model reads it: all but labels, keys and the weight."""
        return self.kind not in ("label", "key", "weight")

    @property
    def is_served(self) -> bool:
        """Whether a served model asks for it."""
        return self.is_input and self.serve_as is None

    def of(self, raw: Mapping[str, Any]) -> Any:
        """What a raw batch holds of it.

        Raises:
            ColumnError: Nothing.
        """
        if self.name not in raw:
            what = " (the number of events)" if self.kind == "length" else ""
            raise columns.ColumnError(f"column {self.name!r}{what} is missing. Received: {', '.join(sorted(raw))}")
        return raw[self.name]

    def read(self, given: Any) -> "np.ndarray | columns.Lists":
        """The values in NumPy, `Lists` where rows hold lists, checked as `tf_interformer.columns` has it.

        Args:
            given: An array, a list, a tensor or what NumPy makes an array of.

        Raises:
            ColumnError: A value is of another type, or the column of another shape.
        """
        if self.has_lists:
            return columns.lists(self.name, given, self.dtype, self.missing)
        if self.kind == "vector":
            assert self.width is not None
            return columns.vectors(self.name, given, self.width)
        plain = {"length": columns.counts, "label": columns.labels, "weight": columns.weights}
        if self.kind in plain:
            return plain[self.kind](self.name, given)
        if self.dtype == "float32":
            return columns.numbers(self.name, given)
        return columns.values(self.name, given, self.dtype, self.missing)
