"""Examples of TFRecords of requests, as `pipelines.record_form` lays them out."""

from collections.abc import Sequence

import tensorflow as tf

from pipelines.record_form import of_examples, stored, width_of
from tf_interformer.preprocessing import ROW_COLUMN
from tf_interformer.requests import first_rows, of_each
from tf_interformer.schema import RawColumn, tensorflow

_RECORDS_AT_ONCE = 256


def placed(records: tf.data.Dataset, label: str) -> tf.data.Dataset:
    """Every example as its record, and which of the record's examples it is.

    Args:
        records: Serialised requests.
        label: A column that has a value for each example.
    """
    blocks = records.batch(_RECORDS_AT_ONCE)
    return blocks.map(lambda serialized: places(serialized, label), num_parallel_calls=tf.data.AUTOTUNE).unbatch()


def places(serialized: tf.Tensor, label: str) -> tuple[tf.Tensor, tf.Tensor]:
    """The same of some records: `[examples]` both."""
    counts = tf.io.parse_example(serialized, {label: tf.io.RaggedFeature(tf.int64)})[label].row_lengths()
    message = f"column {label} must hold a value for each item of a request, of which there is one at least"
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(counts > 0), [message])]):
        counts = tf.cast(counts, tf.int32)
    return tf.repeat(serialized, counts), tf.ragged.range(counts).flat_values


def labels_of(serialized: tf.Tensor, place: tf.Tensor, label: str) -> tf.Tensor:
    """The label of each example of a block of them."""
    found = tf.io.parse_example(serialized, {label: tf.io.RaggedFeature(tf.int64)})[label]
    return tf.gather(found.flat_values, tf.cast(found.row_starts(), tf.int32) + place)


def parse_examples(
    columns: Sequence[RawColumn],
    extras: tuple[str, ...],
    serialized: tf.Tensor,
    place: tf.Tensor,
    by_request: bool = False,
    multiple: int = 1,
) -> dict[str, tf.Tensor]:
    """A raw batch of examples, of rows or of requests; a record is parsed once for examples that follow each other."""
    count = tf.shape(serialized)[0]
    before = tf.gather(serialized, tf.maximum(tf.range(count) - 1, 0))
    begins = tf.logical_or(tf.equal(tf.range(count), 0), tf.not_equal(serialized, before))
    row = tf.cumsum(tf.cast(begins, tf.int32)) - 1
    users = [column for column in columns if column.side == "user"]
    own = of_examples(columns, extras)
    records = tf.gather(serialized, first_rows(begins, multiple if by_request else 1))
    parsed = tf.io.parse_example(records, tensorflow.parsing_spec([*users, *map(stored, own)]))
    batch = tensorflow.dense_batch(users, parsed) | {ROW_COLUMN: row}
    counts = parsed[own[0].name].row_lengths() // width_of(own[0]) if own else None
    found = {column.name: _picked(column, parsed[column.name], counts, row, place) for column in own}
    if by_request:
        return batch | found
    return {column.name: of_each(column, batch[column.name], batch) for column in users} | found


def _picked(
    column: RawColumn, lists: tf.RaggedTensor, counts: tf.Tensor, row: tf.Tensor, place: tf.Tensor
) -> tf.Tensor:
    width = width_of(column)
    fits = tf.reduce_all(tf.equal(lists.row_lengths(), counts * width))
    message = f"column {column.name} must hold {width} value(s) for each item of a request"
    with tf.control_dependencies([tf.debugging.Assert(fits, [message])]):
        index = tf.gather(tf.cast(lists.row_starts(), tf.int32), row) + place * width
    if column.kind in ("values", "vector"):
        index = index[:, None] + tf.range(width)[None]
    value = tf.gather(lists.flat_values, index)
    return tf.cast(value, column.dtype)
