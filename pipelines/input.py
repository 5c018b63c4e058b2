"""`tf.data` pipelines from TensorFlow Datasets, TFRecord and Parquet: by the batch, in a known order."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from pipelines import datasets
from pipelines.config import SPLITS, ConfigError, DatasetConfig
from pipelines.datasets.tables import DataError
from pipelines.reading import Reading
from pipelines.record_form import holds_requests
from pipelines.tfrecord import check_whole, tfrecord_batches
from tf_interformer import requests
from tf_interformer._suggestions import did_you_mean
from tf_interformer.preprocessing import Preprocessor, as_text
from tf_interformer.schema import FeatureSchema, SchemaError, Sequence

# So many numbers of requests there may be in a batch, at most: a compiled model is compiled for each that comes.
_REQUEST_SIZES = 64


@dataclass(frozen=True)
class Source:
    """The examples of a data set: its schema, and the files of each split.

    TensorFlow Datasets' files are TFRecords of flat `tf.train.Example`s, and are read like anybody's.
    """

    schema: FeatureSchema
    format: str  # "tfrecord" or "parquet"
    files: Mapping[str, tuple[str, ...]]
    # Columns with the true probability of each task, where the log is simulated: never features.
    probability_columns: Mapping[str, str]
    # Whether the events of every history are shuffled, see `shuffle_events`.
    shuffled: bool = False
    # Whether the records of the files are requests, see `pipelines.record_form`.
    of_requests: bool = False
    # Whether training and evaluation take batches of requests, see `tf_interformer.by_request`.
    by_request: bool = False

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
        only: Collection[str] = (),
        by_request: bool = False,
        in_turns: bool = True,
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
            only: Columns to read, when not all of the schema's; histories only whole, and unshuffled.
            by_request: Whether the batches are of requests. The examples of a file and their order are the same; where
                they are shuffled, those of a request stand together. A request that does not fit into a batch goes on
                in the next, whose user is then there again.
            in_turns: Whether several TFRecord files are read in turns, a row of each. Unless shuffled, those of
                requests, and any by requests, are read one behind the other: in turns no two rows of a list would meet.
        """
        schema = schema or self.schema
        keys = [lists] if lists is not None else []
        if by_request and shuffle_buffer and "request" not in keys:
            keys.append("request")
        reading = Reading(
            batch_size,
            shuffle_buffer,
            seed,
            skip,
            deterministic,
            drop_remainder,
            dropping=schema.labels[0] if split == "train" and schema.labels[0].downsample else None,
            in_turns=shuffle_buffer > 0 or (in_turns and not by_request and not self.of_requests),
            counted=schema.tasks[0] if self.of_requests else None,
            by_request=by_request and self.of_requests,
            multiple=max(1, batch_size // _REQUEST_SIZES),
            keys=tuple(schema.key_columns[key] for key in keys),
        )
        wanted = tuple(column for column in schema.raw_columns if not only or column.name in only)
        batches = _reader(self.format)(wanted, self.files[split], self.extras, reading)
        shuffled, collected = self.shuffled and not only, by_request and not self.of_requests
        if not collected and not shuffled:
            return batches

        def made(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            if collected:
                batch = requests.by_request(batch, schema, reading.multiple)
            return shuffle_events(schema, batch) if shuffled else batch

        return batches.map(made, num_parallel_calls=tf.data.AUTOTUNE, deterministic=deterministic)

    def outcomes(self, split: str) -> dict[str, np.ndarray]:
        """The labels and keys of a whole split, by column, and nothing else of it."""
        keys = {key for key, _ in self.schema.key_columns.values()}
        columns = (*self.schema.tasks, *sorted(keys))
        batches = list(self.raw_batches(split, 65_536, only=columns).as_numpy_iterator())
        return {name: np.concatenate([batch[name] for batch in batches]) for name in columns if batches}

    @property
    def extras(self) -> tuple[str, ...]:
        """Float columns that are read beside the schema's."""
        return tuple(self.probability_columns.values())


def _reader(file_format: str) -> Callable[..., tf.data.Dataset]:
    if file_format == "tfrecord":
        return tfrecord_batches
    from pipelines.parquet import parquet_batches  # needs pyarrow

    return parquet_batches


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
        ConfigError: No such builder or label, nothing of a name in `without`, or a schema that does not say what a
            request is, where they are to be read.
    """
    labels = config.labels
    if config.format == "tfds":
        of_requests = False
        built = datasets.build(config.name, config.builder_config, data_dir, prepared_dir)
        schema, files, probabilities = built.schema, built.files, built.probability_columns
        labels = labels or built.default_labels
    else:
        (schema, files, of_requests), probabilities = _folder(config, data_dir), {}
    if labels:
        unknown = sorted(set(labels) - set(schema.tasks))
        if unknown:
            raise ConfigError(f"dataset.labels: {config.name!r} has {list(schema.tasks)}. Received: {unknown}."
                              f"{did_you_mean(unknown[0], schema.tasks)}")  # fmt: skip
        schema = schema.with_labels(*labels)
        probabilities = {task: column for task, column in probabilities.items() if task in labels}
    if config.max_length is not None:
        schema = schema.with_max_length(config.max_length)
    try:
        schema = schema.without(*config.without)
    except SchemaError as error:
        raise ConfigError(f"dataset.without: {error}") from None
    by_request = of_requests if config.by_request is None else config.by_request
    if by_request or of_requests:
        try:
            requests.check_requests(schema)
        except SchemaError as error:
            raise ConfigError(f"dataset.by_request: {error}") from None
    file_format = "tfrecord" if config.format == "tfds" else config.format
    return Source(schema, file_format, files, probabilities, config.shuffle_events, of_requests, by_request)


def _folder(
    config: DatasetConfig, data_dir: str | Path | None
) -> tuple[FeatureSchema, dict[str, tuple[str, ...]], bool]:
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
        if config.format == "tfrecord":
            for name in found:
                check_whole(name)
    return schema, files, holds_requests(folder)


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
    # Each epoch drops other negatives, so their number differs a little from the one counted: it begins anew, or ends
    # early. What begins anew must not be skipped anew.
    dropping = preprocessor.schema.labels[0].downsample
    raw = source.raw_batches(
        "train",
        batch_size,
        shuffle_buffer=shuffle_buffer,
        seed=seed,
        skip=0 if dropping else skip,
        deterministic=deterministic,
        drop_remainder=examples >= batch_size,
        schema=preprocessor.schema,
        lists=lists,
        by_request=source.by_request,
    )
    if dropping:
        raw = raw.repeat().skip(skip).take(max(1, examples // batch_size) - skip)
    encoded = raw.map(
        lambda batch: preprocessor.training_batch(batch, lists),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=deterministic,
    )
    return encoded.prefetch(tf.data.AUTOTUNE)


def evaluation_dataset(source: Source, preprocessor: Preprocessor, split: str, batch_size: int) -> tf.data.Dataset:
    """`(encoded, labels, others)` batches of a split, in the order of the files.

    `others` holds the keys of each example that the schema has, as `"group"` and `"request"`, and the true
    probabilities, when they are known.
    """
    schema = preprocessor.schema
    columns = {column.name: column for column in schema.raw_columns}

    def encode(batch: dict[str, tf.Tensor]) -> tuple[dict, dict, dict]:
        others = {name: batch[name] for name in source.extras}
        for role, (column, _) in schema.key_columns.items():
            others[role] = requests.of_each(columns[column], batch[column], batch)
        return preprocessor(batch), preprocessor.labels(batch), others

    raw = source.raw_batches(split, batch_size, schema=schema, by_request=source.by_request)
    return raw.map(encode, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
