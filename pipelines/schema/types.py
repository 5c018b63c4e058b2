"""The type of a column, from what its cells hold."""

from typing import Literal

import polars as pl

# How pandas, R, Hive and MySQL write "no number".
_NO_NUMBER = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>", "\\N")
_MOMENTS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S%.f",
)
_GLANCE = 1000
_EXACT = 2.0**53


def typed(column: pl.Series) -> pl.Series:
    """The column as Int64, Float64, Datetime, String or a list, whichever all its cells are.

    Whole numbers are Int64, also when written `7.0`, as pandas writes integers with gaps; so are `true` and `false`.
    Numbers with leading zeros (`007`) and whole numbers of more than 64 bits are names and stay text. Infinite
    numbers are missing.
    """
    dtype = column.dtype
    if isinstance(dtype, pl.List | pl.Array):
        lists = column.cast(pl.List(dtype.inner)) if isinstance(dtype, pl.Array) else column
        inner = typed(lists.explode(empty_as_null=False)).dtype if lists.len() else pl.String()
        return lists.cast(pl.List(inner)) if inner in (pl.Int64, pl.Float64, pl.String) else lists
    if dtype == pl.Boolean or dtype in (pl.Categorical, pl.Enum):
        return typed_text(column.cast(pl.String)) if dtype != pl.Boolean else column.cast(pl.Int64)
    if dtype == pl.String:
        return typed_text(column)
    if dtype == pl.Date:
        return column.cast(pl.Datetime("us"))
    if isinstance(dtype, pl.Datetime):
        plain = column if dtype.time_zone is None else column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return plain.dt.cast_time_unit("us")
    if dtype.is_integer():
        whole = column.cast(pl.Int64, strict=False)
        return column.cast(pl.String) if whole.null_count() > column.null_count() else whole
    if dtype.is_float() or dtype.is_decimal():
        return _whole(column.cast(pl.Float64))
    return column


def feature_dtype(column: pl.Series) -> Literal["int64", "string"]:
    """What a `Categorical` calls the type of this column."""
    return "int64" if column.dtype == pl.Int64 else "string"


def typed_text(column: pl.Series) -> pl.Series:
    """The same of a column of text."""
    column = column.set(column.str.strip_chars() == "", None)
    if not _is_typed(column.drop_nulls().head(_GLANCE)):
        return column
    words = column.str.strip_chars()
    words = words.set(words.is_in(_NO_NUMBER), None)
    for attempt in (_truth, _number, _moment):
        result = attempt(words)
        if result is not None:
            return result
    return column


def _is_typed(column: pl.Series) -> bool:
    words = column.str.strip_chars()
    words = words.set(words.is_in(_NO_NUMBER), None)
    return words.null_count() == words.len() or any(f(words) is not None for f in (_truth, _number, _moment))


def _truth(words: pl.Series) -> pl.Series | None:
    lower = words.str.to_lowercase()
    known = lower.drop_nulls()
    return (lower == "true").cast(pl.Int64) if known.len() and known.is_in(["true", "false"]).all() else None


def _number(words: pl.Series) -> pl.Series | None:
    if not words.len() or words.null_count() == words.len() or words.str.contains(r"^[-+]?0\d").any():
        return None
    whole = words.cast(pl.Int64, strict=False)
    if whole.null_count() == words.null_count():
        return whole
    if words.str.contains(r"^[-+]?\d{17,}$").any():
        return None
    real = words.cast(pl.Float64, strict=False)
    return _whole(real) if real.null_count() == words.null_count() else None


def _whole(real: pl.Series) -> pl.Series:
    real = real.set(~real.is_finite(), None)
    exact = ((real == real.floor()) & (real.abs() < _EXACT)).all()
    return real.cast(pl.Int64) if exact and real.null_count() < real.len() else real


def _moment(words: pl.Series) -> pl.Series | None:
    for form in _MOMENTS:
        for part in (words.drop_nulls().head(10), words):
            moments = part.str.to_datetime(form, time_unit="us", strict=False)
            if moments.null_count() > part.null_count() or not part.len():
                break
        else:
            zone = isinstance(moments.dtype, pl.Datetime) and moments.dtype.time_zone is not None
            return moments.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone else moments
    return None
