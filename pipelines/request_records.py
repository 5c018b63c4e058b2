"""Makes records of requests, as `pipelines.record_form` lays them out, of the rows of a table."""

from typing import Any

import numpy as np
import polars as pl

from pipelines.datasets.tables import DataError
from pipelines.own_log.nested import list_series
from pipelines.record_form import width_of
from tf_interformer.schema import FeatureSchema, RawColumn


def request_records(rows: pl.DataFrame, schema: FeatureSchema) -> pl.DataFrame:
    """A table with one row for each request.

    Args:
        rows: The columns of the schema, but for lengths of histories, without gaps; lists as lists. Rows that follow
            each other and have the same value of the schema's `request` are one request. What is not in the schema is
            kept as the columns of the examples are.
        schema: With `request` and `candidate`.

    Raises:
        DataError: Two rows of a request differ in a column that is not the candidate's.
    """
    keys = rows[schema.key_columns["request"][0]]
    begins = keys.ne_missing(keys.shift(1)).to_numpy() | (np.arange(rows.height) == 0)
    starts = np.flatnonzero(begins)
    run = np.cumsum(begins) - 1
    columns = {column.name: column for column in schema.raw_columns}
    made = {}
    for series in rows.get_columns():
        column = columns.get(series.name)
        if column is not None and column.side == "user":
            made[series.name] = series.gather(starts)
            _check_alike(keys, series, made[series.name].gather(run))
        else:
            width = 1 if column is None else width_of(column)
            offsets = np.append(starts, rows.height).astype(np.int64) * width
            made[series.name] = list_series(series.name, _flat(series, column, width), offsets)
    return pl.DataFrame(made)


def rows_of_last(rows: pl.DataFrame, schema: FeatureSchema) -> int:
    """How many rows the last request of a table has."""
    keys = rows[schema.key_columns["request"][0]]
    others = np.flatnonzero(keys.ne_missing(keys.tail(1).extend_constant(keys[-1], rows.height - 1)).to_numpy())
    return rows.height - (int(others[-1]) + 1 if len(others) else 0)


def _flat(series: pl.Series, column: RawColumn | None, width: int) -> pl.Series:
    if column is None or column.kind not in ("values", "vector"):
        return series
    filling = pl.lit(pl.Series([[column.missing] * width], dtype=series.dtype))
    lists = series.to_frame().select(pl.first().list.concat(filling).list.head(width))
    return lists[series.name].explode(empty_as_null=False)


def _check_alike(keys: pl.Series, series: pl.Series, first: pl.Series) -> None:
    same = series.eq_missing(first)
    if same.all():
        return
    row = int((~same).arg_max() or 0)
    raise DataError(
        f"column {series.name!r} differs within request {keys[row]!r}: {_shown(first[row])} and {_shown(series[row])}. "
        "Name it in the schema's `candidate`, or make it the same"
    )


def _shown(value: Any) -> str:
    return f"{value.to_list() if isinstance(value, pl.Series) else value!r:.200}"
