"""Raw batches of TFRecord files of flat `tf.train.Example`s: parsed by the batch, rather than one by one."""

import zlib
from collections.abc import Sequence

import tensorflow as tf

from pipelines.datasets.tables import DataError
from pipelines.reading import Reading
from tf_interformer.preprocessing import as_text
from tf_interformer.schema import Label, RawColumn, tensorflow

_HEAD, _RECORD_HEAD = 1 << 16, 12


def tfrecord_batches(
    columns: Sequence[RawColumn], files: tuple[str, ...], extras: tuple[str, ...], reading: Reading
) -> tf.data.Dataset:
    """The batches of some files, as `pipelines.input.Source.raw_batches` gives them.

    Args:
        columns: The columns to read.
        files: TFRecord files, each plain, or compressed by gzip or zlib.
        extras: Float columns that are read beside the schema's.
        reading: In which order, by how many.
    """
    names = tf.data.Dataset.from_tensor_slices((list(files), [compression(file) for file in files]))
    if reading.shuffle_buffer:
        names = names.shuffle(len(files), seed=reading.seed)
    records = names.interleave(
        tf.data.TFRecordDataset,
        cycle_length=min(4, len(files)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=reading.deterministic,
    )
    if reading.dropping is not None:
        records = _without_dropped(records, reading.dropping, reading)
    if reading.key is not None:
        together = _lists_together(records.batch(reading.held), *reading.key, reading.seed)
        batches = together.rebatch(reading.batch_size, drop_remainder=reading.drop_remainder)
    else:
        if reading.shuffle_buffer:
            records = records.shuffle(reading.shuffle_buffer, seed=reading.seed)
        batches = records.batch(reading.batch_size, drop_remainder=reading.drop_remainder)
    return batches.skip(reading.skip).map(
        lambda serialized: parse(columns, extras, serialized),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=reading.deterministic,
    )


def parse(columns: Sequence[RawColumn], extras: tuple[str, ...], serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """A raw batch of serialised examples."""
    spec = tensorflow.parsing_spec(columns)
    spec |= {name: tf.io.FixedLenFeature([], tf.float32) for name in extras}
    parsed = tf.io.parse_example(serialized, spec)
    return tensorflow.dense_batch(columns, parsed) | {name: parsed[name] for name in extras}


def compression(file: str) -> str:
    """How a file is compressed, by what it begins with: `""`, `"GZIP"` or `"ZLIB"`."""
    with tf.io.gfile.GFile(file, "rb") as stream:
        head = stream.read(_HEAD)
    try:
        # The first two bytes alone could be the length of a record; what comes later may be damaged.
        found = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(head, _RECORD_HEAD)
    except zlib.error:
        return ""
    if not found:
        return ""
    return "GZIP" if head.startswith(b"\x1f\x8b") else "ZLIB"


def check_whole(file: str) -> None:
    """Make sure that a compressed file is whole: TensorFlow takes one that is cut off for a shorter one.

    Raises:
        DataError: It is cut off or damaged.
    """
    if not compression(file):
        return
    member = zlib.decompressobj(zlib.MAX_WBITS | 32)
    with tf.io.gfile.GFile(file, "rb") as stream:
        while chunk := stream.read(_HEAD):
            while chunk:
                if member.eof:  # files may be put one behind the other
                    member = zlib.decompressobj(zlib.MAX_WBITS | 32)
                try:
                    member.decompress(chunk)
                except zlib.error as error:
                    raise DataError(f"{file} is damaged: {error}. Write it again, or copy it again") from None
                chunk = member.unused_data
    if not member.eof:
        raise DataError(f"{file} is cut off: what it holds compressed has no end. Write it again, or copy it again")


def _without_dropped(records: tf.data.Dataset, label: Label, reading: Reading) -> tf.data.Dataset:
    spec = {label.name: tf.io.FixedLenFeature([], tf.int64)}

    def kept(index: tf.Tensor, serialized: tf.Tensor) -> tf.Tensor:
        positive = tf.io.parse_example(serialized, spec)[label.name] > 0
        seed = tf.stack([tf.constant(reading.seed, tf.int64), index])
        draw = tf.random.stateless_uniform(tf.shape(serialized), seed)
        return tf.boolean_mask(serialized, tf.logical_or(positive, draw < label.negative_rate))

    parts = records.batch(4096).enumerate()
    return parts.map(kept, num_parallel_calls=tf.data.AUTOTUNE, deterministic=reading.deterministic).unbatch()


def _lists_together(blocks: tf.data.Dataset, column: str, dtype: str, seed: int) -> tf.data.Dataset:
    """Blocks of records in which those of one list follow each other: lists and their records in an order by chance."""

    def in_order(index: tf.Tensor, serialized: tf.Tensor) -> tf.Tensor:
        draws = tf.random.stateless_uniform(tf.shape(serialized), tf.stack([tf.constant(seed, tf.int64), index]))
        keys = tf.io.parse_example(serialized, {column: tf.io.FixedLenFeature([], tf.as_dtype(dtype))})[column]
        order = tf.argsort(draws)
        places = tf.strings.to_hash_bucket_strong(as_text(tf.gather(keys, order)), 2**62, key=[seed, 1])
        return tf.gather(serialized, tf.gather(order, tf.argsort(places, stable=True)))

    return blocks.enumerate().map(in_order)  # one block at a time: it is as large as the shuffle buffer
