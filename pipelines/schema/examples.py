"""The columns of a schema, made of the columns of a log."""

import polars as pl

from pipelines.config import ConfigError
from pipelines.datasets.tables import DataError
from pipelines.schema.lists import as_lists
from pipelines.schema.nested import list_series, with_lone_gaps
from pipelines.schema.roles import check_label
from tf_interformer.schema import Categorical, FeatureSchema, Numeric, Sequence, Vector

_TYPES = {"int64": pl.Int64, "string": pl.String}


def scalar_columns(schema: FeatureSchema) -> set[str]:
    """Names of the columns that hold one value per row."""
    several = {f.name for f in schema.features if isinstance(f, Vector)}
    several |= {f.name for f in schema.categoricals if f.max_values is not None}
    others = {column for column, _ in schema.key_columns.values()}
    others |= {schema.weight} if schema.weight is not None else set()
    return {f.name for f in schema.features} - several | set(schema.tasks) | others


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
    columns: dict[str, pl.Series] = {}
    for feature in schema.features:
        column = _column(frame, feature.name)
        if isinstance(feature, Numeric):
            columns[feature.name] = _numbers(column)
        elif isinstance(feature, Vector):
            columns[feature.name] = _vectors(column, feature)
        elif feature.max_values is None:
            columns[feature.name] = _values(column, feature)
        else:
            columns[feature.name] = _lists(column, feature, column.name).list.head(feature.max_values)
    for sequence in schema.sequences:
        if sequence.name not in built:
            columns |= _sequence(frame, sequence)
    for label in schema.labels:
        check_label(_column(frame, label.name))
        columns[label.name] = frame[label.name]
    for name, dtype in schema.key_columns.values():
        if name not in columns:
            columns[name] = _values(_column(frame, name), Categorical(name=name, dtype=dtype))
    if schema.weight is not None:
        weights = _numbers(_column(frame, schema.weight))
        if weights.is_nan().any() or (weights < 0).any():
            raise DataError(f"the log's column `{schema.weight}` must hold weights of 0 or more, as the schema says")
        columns[schema.weight] = weights
    return pl.DataFrame([column.rename(name) for name, column in columns.items()])


def _column(frame: pl.DataFrame, name: str) -> pl.Series:
    if name not in frame.columns:
        raise ConfigError(f"the schema's column {name!r} is not in the log, which has: {', '.join(frame.columns)}")
    return frame[name]


def _numbers(column: pl.Series) -> pl.Series:
    numbers = column.cast(pl.Float32, strict=False) if not column.dtype.is_nested() else None
    if numbers is None or numbers.null_count() > column.null_count():
        raise _misfit(column, numbers, "a number")
    return numbers.set(~numbers.is_finite(), None).fill_null(float("nan"))


def _vectors(column: pl.Series, feature: Vector) -> pl.Series:
    lists = as_lists(column).cast(pl.List(pl.Float32))
    wrong = lists.is_not_null() & (lists.list.len() != feature.dim)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        raise DataError(
            f"the log's column `{column.name}` must hold {feature.dim} numbers in every row, as the schema says. "
            f"Received in row {row + 1}: {len(column[row])}"
        )
    return lists.fill_null([float("nan")] * feature.dim)


def _values(column: pl.Series, feature: Categorical) -> pl.Series:
    what = "a word" if feature.dtype == "string" else "a whole number"
    if column.dtype.is_nested():
        raise _misfit(column, None, what)
    if feature.dtype == "int64" and column.dtype.is_float():
        values = column.cast(pl.Int64, strict=False)
        values = values.set(values.cast(pl.Float64) != column, None)
    else:
        values = column.cast(_TYPES[feature.dtype], strict=False)
    if values.null_count() > column.null_count():
        raise _misfit(column, values, what)
    return values.fill_null(feature.missing)


def _misfit(column: pl.Series, values: pl.Series | None, what: str) -> DataError:
    row = 0 if values is None else int((values.is_null() & column.is_not_null()).arg_max() or 0)
    cell = column[row].to_list() if isinstance(column[row], pl.Series) else column[row]
    return DataError(
        f"the log's column `{column.name}` must hold {what}, as the schema says. Received in row {row + 1}: {cell!r}"
    )


def _lists(column: pl.Series, feature: Categorical | Numeric, name: str) -> pl.Series:
    lists = as_lists(column).fill_null([])
    flat = lists.explode(empty_as_null=False).rename(column.name)
    flat = _numbers(flat) if isinstance(feature, Numeric) else _values(flat, feature)
    offsets = pl.concat([pl.Series([0], dtype=pl.Int64), lists.list.len().cast(pl.Int64).cum_sum()])
    return list_series(name, flat, offsets.to_numpy())


def _sequence(frame: pl.DataFrame, sequence: Sequence) -> dict[str, pl.Series]:
    sources = {field.name: as_lists(_source(frame, sequence, field.name)).fill_null([]) for field in sequence.fields}
    columns: dict[str, pl.Series] = {}
    for field in sequence.fields:
        name = sequence.column(field.name)
        source = with_lone_gaps(sources[field.name], list(sources.values()))
        columns[name] = _lists(source, field, name)
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
