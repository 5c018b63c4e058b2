"""The columns of a schema, made of the columns of a log."""

import polars as pl

from pipelines.config import ConfigError
from pipelines.datasets.tables import DataError
from pipelines.own_log.lists import as_lists
from pipelines.own_log.nested import list_series, with_lone_gaps
from pipelines.own_log.roles import check_label
from tf_interformer.schema import FeatureSchema, RawColumn, Sequence

_TYPES = {"int64": pl.Int64, "string": pl.String}
_NOTHING = {"int64": -1, "string": ""}


def scalar_columns(schema: FeatureSchema) -> set[str]:
    """Names of the columns that hold one value per row."""
    return {column.name for column in schema.raw_columns if column.width is None}


def examples(frame: pl.DataFrame, schema: FeatureSchema, built: set[str]) -> pl.DataFrame:
    """One row per row of the log with the columns that `pipelines.input` reads, none of them with gaps.

    The column of a sequence's field is `SEQUENCE_FIELD` of the log, or else its list column `FIELD`, or else, where
    the sequence has one field, its list column `SEQUENCE`. Only the most recent `max_length` events are kept.

    Args:
        frame: Columns of a `Log`.
        schema: The schema.
        built: Names of sequences that are built, and so not looked for.

    Raises:
        ConfigError: The log lacks a column.
        DataError: A column does not hold what the schema says.
    """
    inputs = [column for column in schema.raw_columns if column.is_input and column.sequence is None]
    columns = {column.name: _plain(_column(frame, column.name), column) for column in inputs}
    for sequence in schema.sequences:
        if sequence.name not in built:
            columns |= _sequence(frame, sequence)
    others = [column for column in schema.raw_columns if not column.is_input]
    columns |= {column.name: _plain(_column(frame, column.name), column) for column in others}
    return pl.DataFrame([column.rename(name) for name, column in columns.items()])


def _column(frame: pl.DataFrame, name: str) -> pl.Series:
    if name not in frame.columns:
        raise ConfigError(f"the schema's column {name!r} is not in the log, which has: {', '.join(frame.columns)}")
    return frame[name]


def _plain(series: pl.Series, column: RawColumn) -> pl.Series:
    """A column of the log as one of the schema."""
    if column.kind == "label":
        check_label(series)
        return series
    if column.kind == "weight":
        weights = _numbers(series)
        if weights.is_nan().any() or (weights < 0).any():
            raise DataError(f"the log's column `{column.name}` must hold weights of 0 or more, as the schema says")
        return weights
    if column.kind == "vector":
        return _vectors(series, column)
    if column.has_lists:
        return _lists(series, column, series.name).list.head(column.width or 0)
    return _numbers(series) if column.dtype == "float32" else _values(series, column)


def _numbers(column: pl.Series) -> pl.Series:
    numbers = column.cast(pl.Float32, strict=False) if not column.dtype.is_nested() else None
    if numbers is None or numbers.null_count() > column.null_count():
        raise _misfit(column, numbers, "a number")
    return numbers.set(~numbers.is_finite(), None).fill_null(float("nan"))


def _vectors(series: pl.Series, column: RawColumn) -> pl.Series:
    lists = as_lists(series).cast(pl.List(pl.Float32))
    wrong = lists.is_not_null() & (lists.list.len() != column.width)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise DataError(
            f"the log's column `{series.name}` must hold {column.width} numbers in every row, as the schema says. "
            f"Received in row {row + 1}: {len(series[row])}"
        )
    return lists.fill_null([float("nan")] * (column.width or 0))


def _values(series: pl.Series, column: RawColumn) -> pl.Series:
    what = "a word" if column.dtype == "string" else "a whole number"
    if series.dtype.is_nested():
        raise _misfit(series, None, what)
    if column.dtype == "int64" and series.dtype.is_float():
        values = series.cast(pl.Int64, strict=False)
        values = values.set(values.cast(pl.Float64) != series, None)
    else:
        values = series.cast(_TYPES[column.dtype], strict=False)
    if values.null_count() > series.null_count():
        raise _misfit(series, values, what)
    # A key has no missing value of its own: rows without one are of one user, or list.
    return values.fill_null(_NOTHING[column.dtype] if column.missing is None else column.missing)


def _misfit(column: pl.Series, values: pl.Series | None, what: str) -> DataError:
    row = 0 if values is None else int((values.is_null() & column.is_not_null()).arg_max() or 0)
    cell = column[row].to_list() if isinstance(column[row], pl.Series) else column[row]
    return DataError(
        f"the log's column `{column.name}` must hold {what}, as the schema says. Received in row {row + 1}: {cell!r}"
    )


def _lists(series: pl.Series, column: RawColumn, name: str) -> pl.Series:
    lists = as_lists(series).fill_null([])
    flat = lists.explode(empty_as_null=False).rename(series.name)
    flat = _numbers(flat) if column.dtype == "float32" else _values(flat, column)
    offsets = pl.concat([pl.Series([0], dtype=pl.Int64), lists.list.len().cast(pl.Int64).cum_sum()])
    return list_series(name, flat, offsets.to_numpy())


def _sequence(frame: pl.DataFrame, sequence: Sequence) -> dict[str, pl.Series]:
    sources = {field.name: as_lists(_source(frame, sequence, field.name)).fill_null([]) for field in sequence.fields}
    columns: dict[str, pl.Series] = {}
    events = [column for column in sequence.raw_columns if column.length is not None]
    for field, column in zip(sequence.fields, events, strict=True):
        source = with_lone_gaps(sources[field.name], list(sources.values()))
        columns[column.name] = _lists(source, column, column.name)
    first, *others = columns
    if not columns[first].list.len().sum():
        raise DataError(
            f"sequence {sequence.name!r} is empty in every row: the log's column `{first}` holds no event. Fill it, "
            "take the sequence out of the schema, or build one by --history"
        )
    for other in others:
        unequal = columns[first].list.len() != columns[other].list.len()
        if unequal.any():
            row = int(unequal.arg_max() or 0)
            raise DataError(
                f"sequence {sequence.name!r}: the columns {first} and {other} must hold as many events in every row. "
                f"Received in row {row + 1}: {len(columns[first][row])} and {len(columns[other][row])}"
            )
    return {name: column.list.tail(sequence.max_length) for name, column in columns.items()}


def _source(frame: pl.DataFrame, sequence: Sequence, field: str) -> pl.Series:
    name = sequence.column(field)
    if name in frame.columns:
        return frame[name]
    others = [field, sequence.name] if len(sequence.fields) == 1 else [field]
    for other in others:
        if other in frame.columns and isinstance(frame[other].dtype, pl.List):
            return frame[other]
    raise ConfigError(
        f"sequence {sequence.name!r}: the log has no column {name!r}, nor a list column "
        f"{' or '.join(map(repr, others))}. It has: {', '.join(frame.columns)}"
    )
