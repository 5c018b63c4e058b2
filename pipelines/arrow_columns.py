"""Arrow columns of any layout that can hold the values, as the plain ones of a schema."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.datasets.tables import DataError
from tf_interformer.schema import Categorical, FeatureSchema, Numeric, Vector

_PLAIN = {"string": pa.large_string(), "int64": pa.int64(), "float32": pa.float32()}
_NUMPY = {"string": object, "int64": np.int64, "float32": np.float32}


def plain_types(schema: FeatureSchema, extras: tuple[str, ...] = ()) -> dict[str, pa.DataType]:
    """Column -> what it is read as: text, int64 or float32, or lists of them.

    Args:
        schema: `FeatureSchema`.
        extras: Float columns that are read beside the schema's.
    """
    types: dict[str, pa.DataType] = {}
    for feature in schema.features:
        if isinstance(feature, Numeric):
            types[feature.name] = pa.float32()
        elif isinstance(feature, Vector):
            types[feature.name] = pa.large_list(pa.float32())
        else:
            types[feature.name] = _of(feature, feature.max_values is not None)
    for sequence in schema.sequences:
        types |= {sequence.column(field.name): _of(field, several=True) for field in sequence.fields}
    types |= dict.fromkeys((*schema.tasks, *extras), pa.float32())
    for key, dtype in schema.key_columns.values():
        types.setdefault(key, _PLAIN[dtype])
    if schema.weight is not None:
        types[schema.weight] = pa.float32()
    return types


def _of(feature: Categorical | Numeric, several: bool) -> pa.DataType:
    return pa.large_list(_PLAIN[feature.dtype]) if several else _PLAIN[feature.dtype]


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


def check_rows(schema: FeatureSchema, batch: pa.RecordBatch, extras: tuple[str, ...], place: str) -> None:
    """Refuse rows without what every row must have, labels other than 0 and 1, vectors and events that do not fit.

    Raises:
        DataError: Names the file, the column and a value.
    """
    optional = {feature.name for feature in schema.features}
    keys = {key for key, _ in schema.key_columns.values()} - optional
    needed = [*schema.tasks, *keys, *extras, *([schema.weight] if schema.weight is not None else [])]
    for name in needed:
        if batch.column(name).null_count:
            raise DataError(f"{place}: column {name!r} must not be empty. Received: {batch.column(name).null_count} "
                            "rows without a value")  # fmt: skip
    for name in schema.tasks:
        labels = batch.column(name).to_numpy(zero_copy_only=False)
        wrong = labels[(labels != 0) & (labels != 1)]
        if wrong.size:
            raise DataError(f"{place}: label {name!r} must be 0 or 1. Received: {wrong[0]:g}")
    for vector in schema.vectors:
        lengths = _lengths(batch.column(vector.name))
        wrong = lengths[(lengths > 0) & (lengths != vector.dim)]
        if wrong.size:
            raise DataError(f"{place}: vector {vector.name!r} must hold {vector.dim} numbers. Received: {wrong[0]}")
    for sequence in schema.sequences:
        first, *others = (sequence.column(field.name) for field in sequence.fields)
        for other in others:
            if not np.array_equal(_lengths(batch.column(first)), _lengths(batch.column(other))):
                raise DataError(f"{place}: the columns {first!r} and {other!r} of sequence {sequence.name!r} hold "
                                "different numbers of events")  # fmt: skip


def dense_columns(schema: FeatureSchema, table: pa.Table, extras: tuple[str, ...]) -> dict[str, np.ndarray]:
    """A raw batch of plain columns: nulls as the schema's missing values, lists padded on the right."""
    batch: dict[str, np.ndarray] = {}
    for feature in schema.features:
        column = table.column(feature.name).combine_chunks()
        if isinstance(feature, Numeric):
            batch[feature.name] = _numbers(column)
        elif isinstance(feature, Vector):
            batch[feature.name] = _vectors(column, feature)
        elif feature.max_values is None:
            batch[feature.name] = _values(column, feature)
        else:
            batch[feature.name] = _padded(column, feature, feature.max_values)[0]
    for sequence in schema.sequences:
        for field in sequence.fields:
            name = sequence.column(field.name)
            batch[name], batch[sequence.length_column] = _padded(table.column(name).combine_chunks(), field, None)
    for key, _ in schema.key_columns.values():
        if key not in batch:
            batch[key] = table.column(key).to_numpy()
    others = [*schema.tasks, *extras, *([schema.weight] if schema.weight is not None else [])]
    return batch | {name: _numbers(table.column(name).combine_chunks()) for name in others}


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


def _vectors(column: Any, feature: Vector) -> np.ndarray:
    lengths = _lengths(column)
    dense = np.full((len(lengths), feature.dim), np.nan, np.float32)
    dense[lengths > 0] = _numbers(pc.list_flatten(column)).reshape(-1, feature.dim)
    return dense


def _values(column: Any, feature: Categorical | Numeric) -> np.ndarray:
    values = column.fill_null(feature.missing).to_numpy(zero_copy_only=False)
    return np.asarray(values, _NUMPY[feature.dtype])


def _padded(column: Any, feature: Categorical | Numeric, width: int | None) -> tuple[np.ndarray, np.ndarray]:
    """A list column as a matrix padded on the right, and the lengths."""
    lengths = _lengths(column).astype(np.int32)
    flat = _values(pc.list_flatten(column), feature)
    starts = np.cumsum(lengths) - lengths
    steps = np.arange(width if width is not None else int(lengths.max(initial=0)))[None]
    real = steps < lengths[:, None]
    dense = np.full(real.shape, feature.missing, flat.dtype)
    dense[real] = flat[(starts[:, None] + steps)[real]]
    return dense, lengths
