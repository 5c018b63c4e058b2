"""Raw batches of TFRecord files of flat `tf.train.Example`s: parsed by the batch, rather than one by one."""

import zlib
from collections.abc import Sequence

import tensorflow as tf

from pipelines.datasets.tables import DataError
from pipelines.reading import Reading
from pipelines.tfrecord_requests import labels_of, parse_examples, placed
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
        cycle_length=min(4, len(files)) if reading.in_turns else 1,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=reading.deterministic,
    )
    # An example is its record, and in files of requests also its place there.
    examples = tf.data.Dataset.zip((records,)) if reading.counted is None else placed(records, reading.counted)
    if reading.dropping is not None:
        examples = _without_dropped(examples, reading.dropping, reading)
    if reading.keys:
        together = _lists_together(examples.batch(reading.held), reading)
        batches = together.rebatch(reading.batch_size, drop_remainder=reading.drop_remainder)
    else:
        if reading.shuffle_buffer:
            examples = examples.shuffle(reading.shuffle_buffer, seed=reading.seed)
        batches = examples.batch(reading.batch_size, drop_remainder=reading.drop_remainder)

    def parsed(serialized: tf.Tensor, *place: tf.Tensor) -> dict[str, tf.Tensor]:
        if reading.counted is None:
            return parse(columns, extras, serialized)
        return parse_examples(columns, extras, serialized, place[0], reading.by_request, reading.multiple)

    return batches.skip(reading.skip).map(
        parsed, num_parallel_calls=tf.data.AUTOTUNE, deterministic=reading.deterministic
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


def _without_dropped(examples: tf.data.Dataset, label: Label, reading: Reading) -> tf.data.Dataset:
    spec = {label.name: tf.io.FixedLenFeature([], tf.int64)}

    def kept(index: tf.Tensor, block: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        if reading.counted is None:
            positive = tf.io.parse_example(*block, spec)[label.name] > 0
        else:
            positive = labels_of(block[0], block[1], label.name) > 0
        seed = tf.stack([tf.constant(reading.seed, tf.int64), index])
        draw = tf.random.stateless_uniform(tf.shape(block[0]), seed)
        stay = tf.logical_or(positive, draw < label.negative_rate)
        return tuple(tf.boolean_mask(part, stay) for part in block)

    parts = examples.batch(4096).enumerate()
    return parts.map(kept, num_parallel_calls=tf.data.AUTOTUNE, deterministic=reading.deterministic).unbatch()


def _lists_together(blocks: tf.data.Dataset, reading: Reading) -> tf.data.Dataset:
    """Blocks of examples in which those of one list follow each other; both, and lists, in an order by chance."""
    seed = reading.seed
    spec = {column: tf.io.FixedLenFeature([], tf.as_dtype(dtype)) for column, dtype in reading.keys}

    def in_order(index: tf.Tensor, block: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        draws = tf.random.stateless_uniform(tf.shape(block[0]), tf.stack([tf.constant(seed, tf.int64), index]))
        keys = tf.io.parse_example(block[0], spec)
        order = tf.argsort(draws)
        for column, _ in reversed(reading.keys):
            places = tf.strings.to_hash_bucket_strong(as_text(tf.gather(keys[column], order)), 2**62, key=[seed, 1])
            order = tf.gather(order, tf.argsort(places, stable=True))
        return tuple(tf.gather(part, order) for part in block)

    return blocks.enumerate().map(in_order)  # one block at a time: it is as large as the shuffle buffer
