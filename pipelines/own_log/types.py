"""The type of a column, from what its cells hold."""

from typing import Literal

import polars as pl

from pipelines.own_log.moments import moments_of
from pipelines.own_log.nested import flat, with_values
from pipelines.own_log.numbers import Mark, numbers_of, whole_or_real, without_gaps

_GLANCE = 1000
# What logs put into a list of numbers where they have none.
FILLERS = ("unknown", "undefined", "missing", "none", "null", "nan", "n/a", "na", "-", "?")


def typed(column: pl.Series, mark: Mark | None = None, time_format: str | None = None) -> pl.Series:
    """The column as Int64, Float64, Datetime, String or a list, whichever all its cells are.

    Whole numbers are Int64, also when written `7.0`, as pandas writes integers with gaps; so are `true` and `false`,
    and whole decimals. Numbers with leading zeros (`007`) and whole numbers of more than 64 bits are names and stay, or
    become, text. Infinite numbers are missing. Blanks around text are no part of it.

    Args:
        column: Any column of a table.
        mark: What the log's numbers put before their decimals, where its other columns tell.
        time_format: The format of times, as in `datetime.strptime`, tried first.
    """
    dtype = column.dtype
    if isinstance(dtype, pl.List | pl.Array):
        lists = column.cast(pl.List(dtype.inner)) if isinstance(dtype, pl.Array) else column
        values = flat(lists)
        found = typed_values(values, mark, time_format)
        return with_values(lists, found) if found.dtype in (pl.Int64, pl.Float64, pl.String) else lists
    if dtype == pl.Null:
        return column.cast(pl.String)
    if dtype == pl.Boolean:
        return column.cast(pl.Int64)
    if dtype in (pl.Categorical, pl.Enum):
        return typed_text(column.cast(pl.String), mark, time_format)
    if dtype == pl.Binary:
        try:
            return typed_text(column.cast(pl.String), mark, time_format)
        except pl.exceptions.PolarsError:  # no text
            return column
    if dtype == pl.String:
        return typed_text(column, mark, time_format)
    if dtype == pl.Date:
        return column.cast(pl.Datetime("us"))
    if isinstance(dtype, pl.Datetime):
        plain = column if dtype.time_zone is None else column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return plain.dt.cast_time_unit("us")
    if dtype.is_integer():
        whole = column.cast(pl.Int64, strict=False)
        return column.cast(pl.String) if whole.null_count() > column.null_count() else whole
    if dtype.is_decimal():
        return _decimals(column)
    if dtype.is_float():
        return whole_or_real(column.cast(pl.Float64))
    return column


def typed_values(values: pl.Series, mark: Mark | None = None, time_format: str | None = None) -> pl.Series:
    """The same of the values of lists; among numbers, words such as `unknown` are missing."""
    found = typed(values, mark, time_format)
    if found.dtype != pl.String:
        return found
    numbers = typed(found.set(found.str.to_lowercase().is_in(FILLERS), None), mark, time_format)
    return numbers if numbers.dtype in (pl.Int64, pl.Float64) else found


def _decimals(column: pl.Series) -> pl.Series:
    if (column != column.floor()).any():
        return column.cast(pl.Float64)
    whole = column.cast(pl.Int64, strict=False)
    if whole.null_count() == column.null_count():
        return whole
    return column.cast(pl.String).str.strip_suffix(".").str.replace(r"\.0*$", "")


def feature_dtype(column: pl.Series) -> Literal["int64", "string"]:
    """What a `Categorical` calls the type of this column."""
    return "int64" if column.dtype == pl.Int64 else "string"


def typed_text(column: pl.Series, mark: Mark | None = None, time_format: str | None = None) -> pl.Series:
    """The same of a column of text."""
    column = column.str.strip_chars()
    column = column.set(column == "", None)
    words = without_gaps(column)
    if not words.drop_nulls().len():
        return column
    for attempt in (
        _truth,
        lambda part: numbers_of(part, mark),
        lambda part: moments_of(part, time_format),
    ):
        if attempt(words.drop_nulls().head(_GLANCE)) is not None:
            result = attempt(words)
            if result is not None:
                return result
    return column


def _truth(words: pl.Series) -> pl.Series | None:
    lower = words.str.to_lowercase()
    known = lower.drop_nulls()
    return (lower == "true").cast(pl.Int64) if known.len() and known.is_in(["true", "false"]).all() else None
