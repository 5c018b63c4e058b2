"""Raw batches of Parquet files."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from pipelines.arrow_columns import check_rows, dense_columns, plain_batch, plain_types
from pipelines.datasets.tables import DataError
from pipelines.parquet_requests import request_columns, request_types, rows_of_requests
from pipelines.reading import Reading
from tf_interformer.preprocessing import ROW_COLUMN
from tf_interformer.schema import RawColumn, tensorflow

_ROWS_AT_ONCE, _REQUESTS_AT_ONCE = 65_536, 4096


def parquet_batches(
    columns: Sequence[RawColumn], files: tuple[str, ...], extras: tuple[str, ...], reading: Reading
) -> tf.data.Dataset:
    """The batches of some files, as `pipelines.input.Source.raw_batches` gives them.

    Args:
        columns: The columns to read.
        files: Parquet files.
        extras: Float columns that are read beside the schema's.
        reading: In which order, by how many.
    """
    signature = tensorflow.signature(columns)
    for column in columns:
        if column.kind == "values":  # which are as wide in every batch
            signature[column.name] = tf.TensorSpec([None, column.width], tf.as_dtype(column.dtype))
    signature |= {name: tf.TensorSpec([None], tf.float32) for name in extras}
    if reading.by_request:
        signature[ROW_COLUMN] = tf.TensorSpec([None], tf.int32)

    def generate() -> Iterator[dict[str, np.ndarray]]:
        for index, table in enumerate(_tables(columns, files, extras, reading)):
            if index < reading.skip or (table.num_rows < reading.batch_size and reading.drop_remainder):
                continue
            if reading.by_request:
                yield request_columns(columns, table, extras, reading.multiple)
            else:
                yield dense_columns(columns, table, extras)

    return tf.data.Dataset.from_generator(generate, output_signature=signature)


def parquet_rows(file: str) -> int:
    """Rows of a file, by its footer."""
    return int(_open(file).metadata.num_rows)


def _tables(
    columns: Sequence[RawColumn], files: tuple[str, ...], extras: tuple[str, ...], reading: Reading
) -> Iterator[Any]:
    """Tables of `batch_size` rows; shuffled within a buffer, files in random order, when asked.

    With keys the rows that have the same one stand together in the buffer.
    """
    random = np.random.default_rng(reading.seed)
    order = random.permutation(len(files)) if reading.shuffle_buffer else range(len(files))
    held: list[Any] = []
    rows = 0

    def emit(last: bool) -> Iterator[Any]:
        nonlocal rows
        table = pa.Table.from_batches(held)
        held.clear()  # what is taken out of it in another order is a copy
        if reading.shuffle_buffer:
            table = table.take(random.permutation(table.num_rows))
        for column, _ in reversed(reading.keys):
            codes = table.column(column).combine_chunks().dictionary_encode()
            places = random.permutation(len(codes.dictionary) + 1)[codes.indices.fill_null(-1).to_numpy()]
            table = table.take(np.argsort(places, kind="stable"))
        size = reading.batch_size
        whole = table.num_rows if last else table.num_rows // size * size
        for start in range(0, whole, size):
            yield table.slice(start, min(size, whole - start))
        rest = table.slice(whole)
        held.extend(rest.to_batches())
        rows = rest.num_rows

    for number, index in enumerate(order):
        for batch in _plain_batches(columns, files[index], extras, None if reading.counted is None else number):
            if reading.dropping is not None:
                positive = batch.column(reading.dropping.name).to_numpy(zero_copy_only=False) > 0
                drawn = random.random(batch.num_rows) < reading.dropping.negative_rate
                batch = batch.filter(pa.array(positive | drawn))
            held.append(batch)
            rows += batch.num_rows
            if rows >= reading.held:
                yield from emit(last=False)
    if rows:
        yield from emit(last=True)


def _plain_batches(
    columns: Sequence[RawColumn], file: str, extras: tuple[str, ...], number: int | None
) -> Iterator[Any]:
    """The rows of a file; of one of requests with the number of each row's record, which begins with the file's."""
    types = plain_types(columns, extras) if number is None else request_types(columns, extras)
    at_once = _ROWS_AT_ONCE if number is None else _REQUESTS_AT_ONCE
    reader = _open(file)
    there = reader.schema_arrow.names
    missing = sorted(set(types) - set(there))
    if missing:
        raise DataError(f"{file} lacks the columns {missing}. It holds: {', '.join(there)}")
    row = 0
    try:
        for batch in reader.iter_batches(batch_size=at_once, columns=list(types)):
            place = f"{file}, rows {row + 1:,} to {row + batch.num_rows:,}"
            plain = plain_batch(batch, types, place)
            if number is not None:
                plain = rows_of_requests(columns, plain, extras, (number << 32) + row, place)
            check_rows(columns, plain, extras, place)
            row += batch.num_rows
            yield plain
    except (pa.ArrowException, OSError) as error:
        told = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"{file} is damaged behind row {row:,}: {told}. Write it again") from None


def _open(file: str) -> Any:
    try:
        return pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file} is not a whole Parquet file: {error}") from None
