"""`tf.data` pipelines from TensorFlow Datasets, TFRecord and Parquet: by the batch, in a known order."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines import datasets
from pipelines.config import ConfigError, DatasetConfig
from pipelines.datasets.tables import DataError
from tf_interformer.preprocessing import Preprocessor, as_text
from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric, SchemaError, Sequence, Vector

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Source:
    """The examples of a data set: its schema, and the files of each split.

    TensorFlow Datasets' files are TFRecords of flat `tf.train.Example`s, so they are parsed by the batch,
    like anybody's TFRecords, rather than one by one.
    """

    schema: FeatureSchema
    format: str  # "tfrecord" or "parquet"
    files: Mapping[str, tuple[str, ...]]
    # Columns with the true probability of each task, where the log is simulated: never features.
    probability_columns: Mapping[str, str]
    # Whether the events of every history are shuffled, see `shuffle_events`.
    shuffled: bool = False

    def raw_batches(
        self,
        split: str,
        batch_size: int,
        *,
        shuffle_buffer: int = 0,
        seed: int = 0,
        skip: int = 0,
        deterministic: bool = True,
        drop_remainder: bool = False,
        schema: FeatureSchema | None = None,
        lists: str | None = None,
    ) -> tf.data.Dataset:
        """Raw batches of a split.

        Where the label says `downsample`, the training split is read without the negatives that are dropped: a
        share of them that depends on the label, and ones that depend on the seed.

        Args:
            split: `train`, `validation` or `test`.
            batch_size: Examples per batch; the last batch may be smaller.
            shuffle_buffer: Examples among which to shuffle; 0 keeps the order of the files.
            seed: Of the shuffle: the same seed gives the same order.
            skip: Batches to leave out at the start, without parsing them.
            deterministic: Whether the order depends on the seed alone.
            drop_remainder: Whether to leave out the last batch when it is smaller.
            schema: The schema to parse by, when it is not the source's own.
            lists: `group` or `request`: what is of one of these stands together, as far as it is shuffled together.
        """
        schema = schema or self.schema
        key = None if lists is None else schema.key_columns[lists]
        files = self.files[split]
        dropping = schema.labels[0] if split == "train" and schema.labels[0].downsample else None
        if self.format == "parquet":
            batches = _parquet_batches(
                schema, files, batch_size, shuffle_buffer, seed, skip, self.extras, dropping, key and key[0]
            )
            if self.shuffled:
                batches = batches.map(lambda batch: shuffle_events(schema, batch), num_parallel_calls=tf.data.AUTOTUNE)
            if not drop_remainder:
                return batches
            return batches.filter(lambda batch: tf.shape(batch[schema.tasks[0]])[0] == batch_size)
        names = tf.data.Dataset.from_tensor_slices(list(files))
        if shuffle_buffer:
            names = names.shuffle(len(files), seed=seed)
        records = names.interleave(
            tf.data.TFRecordDataset,
            cycle_length=min(4, len(files)),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=deterministic,
        )
        if dropping is not None:
            records = _without_dropped(records, dropping, seed, deterministic)
        if shuffle_buffer:
            records = records.shuffle(shuffle_buffer, seed=seed)
        if key is None:
            batches = records.batch(batch_size, drop_remainder=drop_remainder)
        else:
            together = _lists_together(records.batch(max(shuffle_buffer, batch_size)), *key, seed)
            batches = together.rebatch(batch_size, drop_remainder=drop_remainder)
        batches = batches.skip(skip)
        return batches.map(
            lambda serialized: self._parse(schema, serialized),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=deterministic,
        )

    @property
    def extras(self) -> tuple[str, ...]:
        """Float columns that are read beside the schema's."""
        return tuple(self.probability_columns.values())

    def _parse(self, schema: FeatureSchema, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = schema.parsing_spec()
        spec |= {name: tf.io.FixedLenFeature([], tf.float32) for name in self.extras}
        columns = tf.io.parse_example(serialized, spec)
        batch = schema.dense_batch(columns) | {name: columns[name] for name in self.extras}
        return shuffle_events(schema, batch) if self.shuffled else batch


def shuffle_events(schema: FeatureSchema, batch: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """A raw batch with the events of each history in an order drawn by chance.

    This is a control, to be held against the same training on the log as it is: does the order matter? A model that was
    trained so, and what is exported of it, expects shuffled histories; it is not meant to be served.

    The most recent `max_length` events of each sequence change places, all fields of an event together. Older ones,
    which no model sees, and padding stay where they are. The draw is a hash of the history itself, so a history has one
    order in every epoch, run and format, and for all candidates of a list. What `match` and `distance` tell of the
    latest event is then of the last one in that order.

    Args:
        schema: Of the batch.
        batch: A raw batch.
    """
    found = dict(batch)
    for sequence in schema.sequences:
        order = _drawn_order(sequence, batch)
        for column in (sequence.column(field.name) for field in sequence.fields):
            found[column] = tf.gather(batch[column], order, batch_dims=1)
    return found


def _drawn_order(sequence: Sequence, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Which event comes at each place, int32 `[batch, time]`."""
    columns = [batch[sequence.column(field.name)] for field in sequence.fields]
    events = tf.strings.join([*map(as_text, columns), ""], "\n")
    length = tf.cast(batch[sequence.length_column], tf.int64)[:, None]
    width = tf.shape(events, tf.int64)[1]
    places = tf.range(width)[None]
    real = places < length
    recent = real & (places >= length - sequence.max_length)
    # Without the padding, which is as wide as the longest history of the batch needs it.
    history = tf.strings.reduce_join(tf.where(real, events, ""), axis=1, keepdims=True)
    seeds = tf.strings.to_hash_bucket_fast(history, 2**62) + places
    drawn = tf.strings.to_hash_bucket_strong(as_text(seeds), 2**62, key=[0, 1])
    keys = tf.where(recent, width + drawn, places)
    return tf.argsort(tf.where(real, keys, tf.int64.max), axis=1, stable=True)


def open_source(
    config: DatasetConfig, data_dir: str | Path | None = None, prepared_dir: str | Path | None = None
) -> Source:
    """Find, and where needed build, the data set that a configuration names.

    Args:
        config: The `dataset` section.
        data_dir: For a builder: the folder with the published files, where it needs one (`manual_dir`).
            For TFRecord and Parquet: the folder with `schema.json` and the splits.
        prepared_dir: Where TensorFlow Datasets keeps what it has built; its own default when `None`.

    Raises:
        DataError: A file or folder is missing, empty or broken.
        ConfigError: No such builder or label, or nothing of a name in `without`.
    """
    labels = config.labels
    if config.format == "tfds":
        built = datasets.build(config.name, config.builder_config, data_dir, prepared_dir)
        schema, files, probabilities = built.schema, built.files, built.probability_columns
        labels = labels or built.default_labels
    else:
        (schema, files), probabilities = _folder(config, data_dir), {}
    if labels:
        unknown = sorted(set(labels) - set(schema.tasks))
        if unknown:
            raise ConfigError(f"dataset.labels: {config.name!r} has {list(schema.tasks)}. Received: {unknown}")
        schema = schema.with_labels(*labels)
        probabilities = {task: column for task, column in probabilities.items() if task in labels}
    if config.max_length is not None:
        schema = schema.with_max_length(config.max_length)
    try:
        schema = schema.without(*config.without)
    except SchemaError as error:
        raise ConfigError(f"dataset.without: {error}") from None
    file_format = "tfrecord" if config.format == "tfds" else config.format
    return Source(schema, file_format, files, probabilities, config.shuffle_events)


def _folder(config: DatasetConfig, data_dir: str | Path | None) -> tuple[FeatureSchema, dict[str, tuple[str, ...]]]:
    if data_dir is None:
        raise ConfigError(f"dataset.format {config.format!r} needs --data-dir, the folder with its files")
    folder = Path(data_dir)
    schema_file = folder / "schema.json"
    if not schema_file.is_file():
        raise DataError(f"{folder} must hold schema.json, the FeatureSchema of the files. It holds: "
                        f"{', '.join(sorted(p.name for p in folder.glob('*'))) or 'nothing'}")  # fmt: skip
    schema = FeatureSchema.from_json(schema_file)
    files = {}
    for split in SPLITS:
        found = sorted(str(p) for p in folder.glob(f"{split}*") if p.is_file() and not p.name.endswith(".tmp"))
        found = [name for name in found if config.format in Path(name).name]
        if not found:
            raise DataError(f"{folder} holds no file for the split {split!r}: expected {split}*.{config.format}")
        files[split] = tuple(found)
    return schema, files


def training_dataset(
    source: Source,
    preprocessor: Preprocessor,
    batch_size: int,
    *,
    examples: int,
    seed: int = 0,
    shuffle_buffer: int = 200_000,
    skip: int = 0,
    deterministic: bool = True,
    lists: str | None = None,
) -> tf.data.Dataset:
    """Shuffled `(encoded, labels)` batches of the training split, for one epoch; weights third, where it has them.

    All batches are whole, so that a compiled step is compiled once; what an epoch leaves over differs from
    epoch to epoch. A split smaller than one batch gives one small batch.

    Args:
        source: The data set.
        preprocessor: Encodes each batch, in parallel, on the processor.
        batch_size: Examples per batch.
        examples: Number of examples in the training split.
        seed: Of the order of this epoch.
        shuffle_buffer: Examples among which to shuffle.
        skip: Batches already seen, when an interrupted epoch is taken up again.
        deterministic: Whether the order depends on the seed alone.
        lists: `group` or `request`: whole ones are shuffled instead of examples, as `list_loss` needs it.
    """
    raw = source.raw_batches(
        "train",
        batch_size,
        shuffle_buffer=shuffle_buffer,
        seed=seed,
        skip=skip,
        deterministic=deterministic,
        drop_remainder=examples >= batch_size,
        schema=preprocessor.schema,
        lists=lists,
    )
    if preprocessor.schema.labels[0].downsample:
        # Each epoch drops other negatives, so their number differs a little from the one counted.
        raw = raw.repeat().take(max(1, examples // batch_size) - skip)
    encoded = raw.map(
        lambda batch: preprocessor.training_batch(batch, lists),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=deterministic,
    )
    return encoded.prefetch(tf.data.AUTOTUNE)


def _without_dropped(records: tf.data.Dataset, label: Label, seed: int, deterministic: bool) -> tf.data.Dataset:
    spec = {label.name: tf.io.FixedLenFeature([], tf.int64)}

    def kept(index: tf.Tensor, serialized: tf.Tensor) -> tf.Tensor:
        positive = tf.io.parse_example(serialized, spec)[label.name] > 0
        draw = tf.random.stateless_uniform(tf.shape(serialized), tf.stack([tf.constant(seed, tf.int64), index]))
        return tf.boolean_mask(serialized, tf.logical_or(positive, draw < label.negative_rate))

    parts = records.batch(4096).enumerate()
    return parts.map(kept, num_parallel_calls=tf.data.AUTOTUNE, deterministic=deterministic).unbatch()


def _lists_together(blocks: tf.data.Dataset, column: str, dtype: str, seed: int) -> tf.data.Dataset:
    """Blocks of records in which those of one list follow each other, the lists in an order of the seed's."""

    def in_order(serialized: tf.Tensor) -> tf.Tensor:
        keys = tf.io.parse_example(serialized, {column: tf.io.FixedLenFeature([], tf.as_dtype(dtype))})[column]
        places = tf.strings.to_hash_bucket_strong(as_text(keys), 2**62, key=[seed, 1])
        return tf.gather(serialized, tf.argsort(places, stable=True))

    return blocks.map(in_order, num_parallel_calls=1)


def evaluation_dataset(source: Source, preprocessor: Preprocessor, split: str, batch_size: int) -> tf.data.Dataset:
    """`(encoded, labels, others)` batches of a split, in the order of the files.

    `others` holds the keys that the schema has, as `"group"` and `"request"`, and the true probabilities, when they are
    known.
    """
    schema = preprocessor.schema

    def encode(batch: dict[str, tf.Tensor]) -> tuple[dict, dict, dict]:
        others = {name: batch[name] for name in source.extras}
        others |= {role: batch[column] for role, (column, _) in schema.key_columns.items()}
        return preprocessor(batch), preprocessor.labels(batch), others

    raw = source.raw_batches(split, batch_size, schema=schema)
    return raw.map(encode, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


@contextmanager
def explained_read_errors(source: Source) -> Iterator[None]:
    """Within it, what TensorFlow says of a broken file becomes a `DataError` that names the file."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        raise explain_read_error(error, source) from error


def explain_read_error(error: Exception, source: Source) -> DataError:
    """Say which file a failed read came from, and what is wrong with it."""
    if isinstance(error, tf.errors.DataLossError):
        for files in source.files.values():
            for name in files:
                count = 0
                try:
                    for _ in tf.data.TFRecordDataset(name):
                        count += 1
                except tf.errors.DataLossError:
                    return DataError(
                        f"{name} is broken after {count} records: it is cut off, or not a TFRecord file. "
                        "Write it again, or copy it again from where it came"
                    )
    # TensorFlow puts the reason behind a trace of its own graph.
    lines = [line.strip() for line in str(getattr(error, "message", error)).split("[[")[0].splitlines() if line.strip()]
    message = next(
        (line for line in lines if line.startswith("assertion failed")), lines[-1] if lines else "unreadable"
    )
    places = ", ".join(sorted({str(Path(f).parent) for files in source.files.values() for f in files}))
    return DataError(f"the examples in {places} do not fit the schema {source.schema.name!r}: {message}")


# Parquet


def _parquet_batches(
    schema: FeatureSchema,
    files: tuple[str, ...],
    batch_size: int,
    shuffle_buffer: int,
    seed: int,
    skip: int,
    extras: tuple[str, ...],
    dropping: Label | None,
    key: str | None,
) -> tf.data.Dataset:
    signature = schema.signature(labels=True)
    for feature in schema.categoricals:
        if feature.max_values is not None:
            signature[feature.name] = tf.TensorSpec([None, feature.max_values], tf.as_dtype(feature.dtype))
    signature |= {name: tf.TensorSpec([None], tf.float32) for name in extras}

    def generate() -> Iterator[dict[str, np.ndarray]]:
        columns = [*_columns(schema), *extras]
        slices = _parquet_slices(files, columns, batch_size, shuffle_buffer, seed, dropping, key)
        for index, table in enumerate(slices):
            if index >= skip:
                yield _dense_columns(schema, table, extras)

    return tf.data.Dataset.from_generator(generate, output_signature=signature)


def _columns(schema: FeatureSchema) -> Iterator[str]:
    lengths = {sequence.length_column for sequence in schema.sequences}
    yield from (name for name in schema.signature(labels=True) if name not in lengths)


def _parquet_slices(
    files: tuple[str, ...],
    columns: list[str],
    batch_size: int,
    shuffle_buffer: int,
    seed: int,
    dropping: Label | None,
    key: str | None,
) -> Iterator[Any]:
    """Tables of `batch_size` rows; shuffled within a buffer, files in random order, when asked.

    With a key the rows that have the same one stand together in the buffer.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(seed)
    order = random.permutation(len(files)) if shuffle_buffer else range(len(files))
    held: list[Any] = []
    rows = 0
    size = max(shuffle_buffer, batch_size)

    def emit(last: bool) -> Iterator[Any]:
        nonlocal held, rows
        table = pa.Table.from_batches(held)
        if shuffle_buffer:
            table = table.take(random.permutation(table.num_rows))
        if key is not None:
            codes = table.column(key).combine_chunks().dictionary_encode()
            places = random.permutation(len(codes.dictionary) + 1)[codes.indices.fill_null(-1).to_numpy()]
            table = table.take(np.argsort(places, kind="stable"))
        whole = table.num_rows if last else table.num_rows // batch_size * batch_size
        for start in range(0, whole, batch_size):
            yield table.slice(start, min(batch_size, whole - start))
        rest = table.slice(whole)
        held, rows = rest.to_batches(), rest.num_rows

    for index in order:
        try:
            reader = pq.ParquetFile(files[index])
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{files[index]} is not a whole Parquet file: {error}") from None
        missing = sorted(set(columns) - set(reader.schema_arrow.names))
        if missing:
            raise DataError(f"{files[index]} lacks the columns {missing}. It holds: "
                            f"{', '.join(reader.schema_arrow.names)}")  # fmt: skip
        for batch in reader.iter_batches(batch_size=65_536, columns=columns):
            if dropping is not None:
                positive = batch.column(dropping.name).to_numpy(zero_copy_only=False) > 0
                batch = batch.filter(pa.array(positive | (random.random(batch.num_rows) < dropping.negative_rate)))
            held.append(batch)
            rows += batch.num_rows
            if rows >= size:
                yield from emit(last=False)
    if rows:
        yield from emit(last=True)


def _dense_columns(schema: FeatureSchema, table: Any, extras: tuple[str, ...]) -> dict[str, np.ndarray]:
    batch: dict[str, np.ndarray] = {}
    for feature in schema.features:
        column = table.column(feature.name)
        if isinstance(feature, Numeric):
            batch[feature.name] = column.to_numpy().astype(np.float32)
        elif isinstance(feature, Vector):
            batch[feature.name] = _vectors(column, feature)
        elif feature.max_values is None:
            batch[feature.name] = _scalars(column, feature)
        else:
            batch[feature.name] = _padded(column, feature, feature.max_values)[0]
    for sequence in schema.sequences:
        for field in sequence.fields:
            name = sequence.column(field.name)
            batch[name], lengths = _padded(table.column(name), field, None)
            known = batch.setdefault(sequence.length_column, lengths)
            if not np.array_equal(known, lengths):
                raise DataError(f"sequence {sequence.name!r}: its columns hold different numbers of events")
    for label in schema.labels:
        batch[label.name] = table.column(label.name).to_numpy().astype(np.float32)
    for key, _ in schema.key_columns.values():
        if key not in batch:
            batch[key] = table.column(key).to_numpy()
    extras = extras if schema.weight is None else (*extras, schema.weight)
    return batch | {name: table.column(name).to_numpy().astype(np.float32) for name in extras}


def _vectors(column: Any, feature: Vector) -> np.ndarray:
    import pyarrow.compute as pc

    lists = column.combine_chunks()
    lengths = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    there = lengths > 0
    wrong = lengths[there & (lengths != feature.dim)]
    if wrong.size:
        raise DataError(f"vector {feature.name!r} must hold {feature.dim} numbers. Received: {wrong[0]}")
    dense = np.full((len(lengths), feature.dim), np.nan, np.float32)
    dense[there] = lists.flatten().to_numpy(zero_copy_only=False).reshape(-1, feature.dim)
    return dense


def _scalars(column: Any, feature: Categorical) -> np.ndarray:
    values = column.fill_null(feature.missing).to_numpy()
    return values.astype(object if feature.dtype == "string" else np.int64)


def _padded(column: Any, feature: Categorical, width: int | None) -> tuple[np.ndarray, np.ndarray]:
    """A list column as a matrix padded on the right, and the lengths."""
    lists = column.combine_chunks()
    offsets = lists.offsets.to_numpy()
    flat = lists.values.fill_null(feature.missing).to_numpy(zero_copy_only=False)[offsets[0] : offsets[-1]]
    offsets = offsets - offsets[0]
    lengths = np.diff(offsets).astype(np.int32)
    steps = np.arange(width if width is not None else int(lengths.max(initial=0)))[None]
    real = steps < lengths[:, None]
    dense = np.full(real.shape, feature.missing, object if feature.dtype == "string" else np.int64)
    dense[real] = flat[(offsets[:-1, None] + steps)[real]]
    return dense, lengths
