"""Raw columns to the inputs of an ONNX file, in NumPy: without TensorFlow or Keras."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_interformer import columns
from tf_interformer.arrays.numpy_arrays import NumpyArrays
from tf_interformer.errors import UserError
from tf_interformer.schema import FeatureSchema, RawColumn, SchemaError
from tf_interformer.schema._name import ROW_COLUMN
from tf_interformer.schema.encoding import Encoding


class EncoderError(UserError):
    """A raw batch, or the file of a schema, does not fit; the message names the column and the value."""


class Encoder:
    """Looks up, hashes and normalises a raw batch as `Preprocessor(raw, serving=True)` does, to the same ids.

    Columns may be NumPy arrays or lists. Lists of histories or of several values may differ in length; `None` and NaN
    are missing, see `tf_interformer.columns`. Features with `serve_as` take that value, whatever the batch holds, and
    other columns that the schema lacks are ignored.

    Args:
        schema: Path of the file `FILE.schema.json` that `serving.onnx` writes.

    Call:
        `encode(raw)` takes a dict of columns `[batch]`, `[batch, values]` and `[batch, time]`, and returns a dict of
        arrays by the same names, and by those of a sequence's `match` and `distance`: ids and lengths as int32,
        numbers as float32, histories `[batch, max_length]`. For a file that takes requests the user's columns have a
        row for each user, and `"_row"`, int32 `[batch]`, says which is whose.

    Raises:
        EncoderError: The file is no learned schema, or it hashes and `pyfarmhash` is not installed. From `encode`: a
            column is missing, of a wrong type, shape or number of rows, a number is infinite, or a length is negative
            or exceeds the events.

    Example:

    >>> import tempfile
    >>> from tf_interformer.schema import Categorical, Label
    >>> country = Categorical("country", vocabulary=["NL", "BR"])
    >>> schema = FeatureSchema(features=[country], labels=[Label("click", mean=0.1)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = schema.to_json(f"{folder}/model.schema.json")
    ...     encoder = Encoder(f"{folder}/model.schema.json")
    >>> encoder.encode({"country": ["BR", "", "XX"]})["country"].tolist()
    [3, 0, 1]
    """

    def __init__(self, schema: str | os.PathLike) -> None:
        try:
            read = FeatureSchema.from_json(schema)
            read.require_learned()
            self._arrays = NumpyArrays(read.tables)
        except (SchemaError, ImportError) as error:
            raise EncoderError(f"{schema}: {error}") from None
        self._schema = read
        self._encode = Encoding(read)
        self._inputs = [column for column in read.raw_columns if column.is_input]
        self._served_as = read.served_as

    @property
    def schema(self) -> FeatureSchema:
        """The schema."""
        return self._schema

    @property
    def columns(self) -> list[str]:
        """Names of the raw columns that `encode` needs."""
        return [column.name for column in self._inputs if column.is_served]

    def encode(self, raw: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The encoded batch; see the class."""
        missing = [name for name in self.columns if name not in raw]
        if missing:
            raise EncoderError(f"the columns {missing} are missing. Received: {', '.join(sorted(raw))}")
        row = {ROW_COLUMN: np.asarray(raw[ROW_COLUMN])} if ROW_COLUMN in raw else {}
        rows = self._rows(raw, row.get(ROW_COLUMN))
        sides = {column.name: column.side for column in self._inputs}
        given = {**raw, **{name: [value] * rows[sides[name]] for name, value in self._served_as.items()}}
        try:
            return self._encode(self._read(given) | row, self._arrays)
        except columns.ColumnError as error:
            raise EncoderError(str(error)) from None

    def _rows(self, raw: Mapping[str, Any], row: np.ndarray | None) -> dict[str, int]:
        """How many rows the columns of each side have."""
        counts = {c.name: _length(c.name, raw[c.name]) for c in self._inputs if c.is_served}
        if row is None:
            if len(set(counts.values())) > 1:
                raise EncoderError(f"the columns must have the same number of rows. Received: {counts}")
            return dict.fromkeys(("user", "candidate"), next(iter(counts.values())))
        if row.ndim != 1 or row.dtype != np.int32:
            raise EncoderError(f"{ROW_COLUMN!r} must be int32 [batch]. Received: {row.dtype} {list(row.shape)}")
        users = {c.name: counts[c.name] for c in self._inputs if c.is_served and c.side == "user"}
        others = {name: count for name, count in counts.items() if name not in users}
        if len(set(users.values())) > 1 or set(others.values()) - {len(row)}:
            raise EncoderError(
                f"the user's columns must have the same number of rows, the candidate's as many as {ROW_COLUMN!r}, "
                f"{len(row)}. Received: {users} and {others}"
            )
        known = next(iter(users.values()), 0)
        if row.size and not (row.min() >= 0 and row.max() < known):
            raise EncoderError(f"{ROW_COLUMN!r} must be rows of the user's columns, 0 to {known - 1}. Received: "
                               f"{row.min()} to {row.max()}")  # fmt: skip
        return {"user": known, "candidate": len(row)}

    def _read(self, raw: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """What `Encoding` takes: of events those that the model reads."""
        lengths = {c.name: np.asarray(c.read(raw[c.name])) for c in self._inputs if c.kind == "length"}
        read = {c.name: _values(c, raw[c.name], lengths) for c in self._inputs if c.kind != "length"}
        limits = {column.name: column.width or 0 for column in self._inputs}
        kept = {name: np.minimum(length, limits[name]).astype(np.int32) for name, length in lengths.items()}
        return read | kept


def _values(column: RawColumn, given: Any, lengths: Mapping[str, np.ndarray]) -> np.ndarray:
    found = column.read(given)
    if not isinstance(found, columns.Lists):
        return found
    assert column.width is not None
    if column.length is None:
        return found.first(column.width, column.missing)
    columns.check_lengths(column.length, lengths[column.length], column.name, found)
    return found.last(lengths[column.length], column.width, column.missing)


def _length(name: str, column: Any) -> int:
    try:
        return len(column)
    except TypeError:
        raise EncoderError(f"column {name!r} must hold a value for each row. Received: {column!r:.80}") from None
