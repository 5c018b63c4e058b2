"""Arrow columns of any layout that can hold the values, as the plain ones of a schema."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.datasets.tables import DataError
from tf_interformer.schema import RawColumn

_PLAIN = {"string": pa.large_string(), "int64": pa.int64(), "float32": pa.float32()}
_NUMPY = {"string": object, "int64": np.int64, "float32": np.float32}


def plain_types(columns: Sequence[RawColumn], extras: tuple[str, ...] = ()) -> dict[str, pa.DataType]:
    """Column -> what it is read as: text, int64 or float32, or lists of them.

    Args:
        columns: Those of a schema; the lengths of histories are those of their lists.
        extras: Float columns that are read beside the schema's.
    """
    types = {column.name: _plain_type(column) for column in columns if column.kind != "length"}
    return types | dict.fromkeys(extras, pa.float32())


def _plain_type(column: RawColumn) -> pa.DataType:
    plain = _PLAIN[column.dtype]
    return pa.large_list(plain) if column.has_lists or column.kind == "vector" else plain


def plain_batch(batch: pa.RecordBatch, types: Mapping[str, pa.DataType], place: str) -> pa.RecordBatch:
    """The columns as `types` has them.

    Args:
        batch: Part of a file.
        types: Column -> type, as of `plain_types`.
        place: The file and the rows of it, for errors.

    Raises:
        DataError: A column cannot hold such values; the message names the file and the column.
    """
    columns = []
    for name, wanted in types.items():
        column = batch.column(name)
        try:
            columns.append(_as_plain(column, wanted))
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise DataError(
                f"{place}: column {name!r} must hold {_told(wanted)}, and is of type {column.type}: {error}"
            ) from None
    return pa.RecordBatch.from_arrays(columns, names=list(types))


def check_rows(columns: Sequence[RawColumn], batch: pa.RecordBatch, extras: tuple[str, ...], place: str) -> None:
    """Refuse rows without what every row must have, labels other than 0 and 1, vectors and events that do not fit.

    Raises:
        DataError: Names the file, the column and a value.
    """
    for name in (*(column.name for column in columns if not column.is_input), *extras):
        if batch.column(name).null_count:
            raise DataError(f"{place}: column {name!r} must not be empty. Received: {batch.column(name).null_count} "
                            "rows without a value")  # fmt: skip
    firsts: dict[str, tuple[str, np.ndarray]] = {}  # by length column the first whose events it counts
    for column in columns:
        if column.kind == "label":
            labels = batch.column(column.name).to_numpy(zero_copy_only=False)
            wrong = labels[(labels != 0) & (labels != 1)]
            if wrong.size:
                raise DataError(f"{place}: label {column.name!r} must be 0 or 1. Received: {wrong[0]:g}")
        if column.kind == "vector":
            lengths = _lengths(batch.column(column.name))
            wrong = lengths[(lengths > 0) & (lengths != column.width)]
            if wrong.size:
                raise DataError(
                    f"{place}: vector {column.name!r} must hold {column.width} numbers. Received: {wrong[0]}"
                )
        if column.length is not None:
            lengths = _lengths(batch.column(column.name))
            first, events = firsts.setdefault(column.length, (column.name, lengths))
            if not np.array_equal(events, lengths):
                raise DataError(f"{place}: the columns {first!r} and {column.name!r} of sequence {column.sequence!r} "
                                "hold different numbers of events")  # fmt: skip


def dense_columns(columns: Sequence[RawColumn], table: pa.Table, extras: tuple[str, ...]) -> dict[str, np.ndarray]:
    """A raw batch of plain columns: nulls as the schema's missing values, lists padded on the right."""
    batch: dict[str, np.ndarray] = {}
    for column in columns:
        if column.kind == "length":
            continue
        values = table.column(column.name).combine_chunks()
        if column.kind == "vector":
            batch[column.name] = _vectors(values, column)
        elif column.has_lists:
            batch[column.name], lengths = _padded(values, column)
            if column.length is not None:
                batch[column.length] = lengths
        else:
            batch[column.name] = _numbers(values) if column.dtype == "float32" else _values(values, column)
    return batch | {name: _numbers(table.column(name).combine_chunks()) for name in extras}


def _as_plain(column: Any, wanted: pa.DataType) -> Any:
    if isinstance(column, pa.ExtensionArray):
        return _as_plain(column.storage, wanted)
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _as_plain(column.dictionary_decode(), wanted)
    if pa.types.is_run_end_encoded(kind):
        return _as_plain(pc.run_end_decode(column), wanted)
    if pa.types.is_null(kind):
        return pa.nulls(len(column), wanted)
    if pa.types.is_large_list(wanted):
        return _as_lists(column, wanted)
    if pa.types.is_floating(kind) and pa.types.is_integer(wanted):
        column = pc.if_else(pc.is_nan(column), None, column)  # as pandas writes integers with gaps
    return column.cast(wanted, safe=not pa.types.is_floating(wanted))


def _as_lists(column: Any, wanted: pa.DataType) -> Any:
    kinds = pa.types
    tests = (kinds.is_list, kinds.is_large_list, kinds.is_fixed_size_list, kinds.is_list_view, kinds.is_large_list_view)
    if not any(test(column.type) for test in tests):
        raise pa.ArrowInvalid("write lists, such as ['a', 'b']")
    # What lies behind a null is left out, which the offsets of the column itself would take in.
    values = _as_plain(pc.list_flatten(column), wanted.value_type)
    offsets = np.concatenate([[0], np.cumsum(_lengths(column))]).astype(np.int64)
    return pa.LargeListArray.from_arrays(pa.array(offsets), values)


def _told(wanted: pa.DataType) -> str:
    if pa.types.is_large_list(wanted):
        return f"lists of {_told(wanted.value_type)}"
    if pa.types.is_large_string(wanted):
        return "text (UTF-8)"
    return "integers of 64 bits" if pa.types.is_integer(wanted) else "numbers"


def _lengths(column: Any) -> np.ndarray:
    return np.asarray(pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False))


def _numbers(column: Any) -> np.ndarray:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float32)


def _vectors(values: Any, column: RawColumn) -> np.ndarray:
    lengths = _lengths(values)
    dense = np.full((len(lengths), column.width or 0), np.nan, np.float32)
    dense[lengths > 0] = _numbers(pc.list_flatten(values)).reshape(-1, dense.shape[1])
    return dense


def _values(values: Any, column: RawColumn) -> np.ndarray:
    filled = values if column.missing is None else values.fill_null(column.missing)
    return np.asarray(filled.to_numpy(zero_copy_only=False), _NUMPY[column.dtype])


def _padded(values: Any, column: RawColumn) -> tuple[np.ndarray, np.ndarray]:
    """A list column as a matrix padded on the right, `values` to their width, and the lengths."""
    lengths = _lengths(values).astype(np.int32)
    flat = _values(pc.list_flatten(values), column)
    starts = np.cumsum(lengths) - lengths
    width = column.width if column.kind == "values" else int(lengths.max(initial=0))
    steps = np.arange(width or 0)[None]
    real = steps < lengths[:, None]
    dense = np.full(real.shape, column.missing, flat.dtype)
    dense[real] = flat[(starts[:, None] + steps)[real]]
    return dense, lengths
