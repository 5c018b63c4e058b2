"""Writes tables to Parquet and TFRecord files, a record for each request."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.request_records import request_records, rows_of_last
from tf_interformer.schema import FeatureSchema


def write_requests(tables: Iterable[Any], schema: FeatureSchema, path: Path) -> str:
    """Write the rows of Arrow tables as a file of requests, and return what was written, in words.

    Rows that follow each other and are of one request become one record, also where it goes on in the next table.

    Args:
        tables: The rows, as `request_records` takes them.
        schema: With `request` and `candidate`.
        path: The file, `.parquet` or `.tfrecord`.

    Raises:
        DataError: Rows of a request differ in what is the user's.
    """
    examples = records = 0
    seen: set[Any] = set()
    with (parquet_writer if path.suffix == ".parquet" else tfrecord_writer)(path) as write:
        for rows in _whole_requests(tables, schema):
            made = request_records(rows, schema)
            write(made.to_arrow(compat_level=pl.CompatLevel.oldest()))
            seen.update(made[schema.key_columns["request"][0]].to_list())
            examples, records = examples + rows.height, records + made.height
    apart = f"; {records - len(seen):,} of them go on with others' rows between" if records > len(seen) else ""
    return f"{examples:,} examples in {records:,} records of requests{apart}"


def _whole_requests(tables: Iterable[Any], schema: FeatureSchema) -> Iterator[pl.DataFrame]:
    held = pl.DataFrame()
    for table in tables:
        rows = pl.DataFrame(table)
        held = pl.concat([held, rows]) if held.height else rows
        last = rows_of_last(held, schema)  # which may go on in the next table
        if last < held.height:
            yield held.head(held.height - last)
        held = held.tail(last)
    if held.height:
        yield held


@contextmanager
def parquet_writer(path: Path) -> Iterator[Callable[[Any], None]]:
    """Writes Arrow tables to a file."""
    import pyarrow.parquet as pq

    writer = None

    def write(table: Any) -> None:
        nonlocal writer
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def tfrecord_writer(path: Path) -> Iterator[Callable[[Any], None]]:
    """Writes Arrow tables to a file, each row as a `tf.train.Example`."""
    import tensorflow as tf

    from pipelines.datasets.tf_examples import serialize_examples

    with tf.io.TFRecordWriter(str(path)) as writer:

        def write(table: Any) -> None:
            for record in serialize_examples(pl.DataFrame(table)):
                writer.write(record)

        yield write
