"""Rows of Parquet files of requests, as `pipelines.record_form` lays them out."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.arrow_columns import dense_columns, plain_types
from pipelines.datasets.tables import DataError
from pipelines.record_form import of_examples, stored, width_of
from tf_interformer.preprocessing import ROW_COLUMN
from tf_interformer.schema import RawColumn


def request_types(columns: Sequence[RawColumn], extras: tuple[str, ...]) -> dict[str, pa.DataType]:
    """Column -> what it is read as: see `pipelines.arrow_columns.plain_types`."""
    users = [column for column in columns if column.side == "user"]
    return plain_types([*users, *map(stored, of_examples(columns, extras))])


def rows_of_requests(
    columns: Sequence[RawColumn], batch: pa.RecordBatch, extras: tuple[str, ...], first: int, place: str
) -> pa.RecordBatch:
    """A row for each example, and in `ROW_COLUMN` which record it is of.

    Args:
        columns: Those of a schema.
        batch: Plain columns of records.
        extras: Float columns that are read beside the schema's.
        first: The number of the first record.
        place: The file and the records of it, for errors.

    Raises:
        DataError: Lists of one record are not of one number of examples.
    """
    own = {column.name: column for column in of_examples(columns, extras)}
    counts: np.ndarray | None = None
    for name, column in own.items():
        lengths = pc.list_value_length(batch.column(name)).fill_null(0).to_numpy(zero_copy_only=False)
        counts = lengths // width_of(column) if counts is None else counts
        wrong = np.flatnonzero((lengths != counts * width_of(column)) | (counts == 0))
        if wrong.size:
            raise DataError(
                f"{place}: column {name!r} must hold {width_of(column)} value(s) for each of the {counts[wrong[0]]} "
                f"items of its request, of which there is one at least. Received: {lengths[wrong[0]]} in record "
                f"{wrong[0] + 1} of these"
            )
    assert counts is not None  # there is a label
    row = np.repeat(np.arange(batch.num_rows), counts)
    made = {}
    for name in batch.schema.names:
        if name not in own:
            made[name] = batch.column(name).take(pa.array(row))
            continue
        values = pc.list_flatten(batch.column(name))
        if own[name].kind in ("values", "vector"):
            offsets = np.arange(len(row) + 1, dtype=np.int64) * width_of(own[name])
            values = pa.LargeListArray.from_arrays(pa.array(offsets), values)
        made[name] = values
    return pa.RecordBatch.from_pydict({**made, ROW_COLUMN: pa.array(row + first)})


def request_columns(
    columns: Sequence[RawColumn], table: pa.Table, extras: tuple[str, ...], multiple: int
) -> dict[str, np.ndarray]:
    """A batch of requests of such rows; those of one record that follow each other are one.

    Args:
        columns: Those of a schema.
        table: The rows.
        extras: Float columns that are read beside the schema's.
        multiple: To a multiple of this the number of requests is filled up, as by `tf_interformer.by_request`.
    """
    record = table.column(ROW_COLUMN).to_numpy()
    begins = np.append(True, record[1:] != record[:-1])
    firsts = np.flatnonzero(begins)
    firsts = np.append(firsts, np.repeat(firsts[-1:], -len(firsts) % multiple))
    users = [column for column in columns if column.side == "user"]
    own = [column for column in columns if column.side == "candidate"]
    made = dense_columns(users, table.take(firsts), ()) | dense_columns(own, table, extras)
    return made | {ROW_COLUMN: (np.cumsum(begins) - 1).astype(np.int32)}
