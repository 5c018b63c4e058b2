"""From raw columns to ids and floats: the same code in the input pipeline and in the exported model."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tf_interformer import columns
from tf_interformer._tensorflow import tf
from tf_interformer.comparisons import DISTANCE_BOUNDS
from tf_interformer.schema import (
    Categorical,
    Distance,
    FeatureSchema,
    Match,
    Numeric,
    SchemaError,
    Sequence,
    Vector,
)
from tf_interformer.schema._name import LIST_COLUMN
from tf_interformer.schema.errors import as_schema_errors


class Preprocessor(tf.Module):
    """Looks up, hashes and normalises a raw batch as a learned schema says.

    It is a `tf.Module`, not a Keras layer: its inputs are strings and 64-bit integers, which no dtype policy
    should cast. Map it over a `tf.data.Dataset`, and export it with the model: training and serving then
    share every rule.

    - Categorical: id 0 for the missing value, 1 for a value not in the vocabulary, 2 and up for the others. Blanks
      around a string are no part of it.
    - Numeric: NaN becomes the training mean; then the transform. With buckets, `<name>_bucket` holds an id:
      0 for NaN, else 2 plus the number of boundaries at or below the value.
    - Vector: a vector with a NaN becomes zeros; then each is divided by its length, where the schema says so.
    - Sequence: the most recent `max_length` events, oldest first, padded on the right with id 0, or with the number 0;
      numbers of events are transformed as those of features. What its `match` and `distance` name is compared with the
      candidate as raw values, see `Match` and `Distance` for the columns.

    Args:
        schema: `FeatureSchema`. A learned one.
        dtype: str. What the model computes in, which its numbers must fit. Defaults to `"float32"`.

    Call arguments:
        raw: dict of tensors, arrays or lists `[batch]`, `[batch, values]` and `[batch, time]`, as in
            `FeatureSchema.signature`. Rows of lists may differ in length, and tensors be ragged; `None` and NaN are
            missing, see `tf_interformer.columns`. Columns that are not in the schema are ignored.
        serving: bool. Whether the features with `serve_as` take that value, as in `Ranker.score` and in an
            exported model; their columns are then not needed. Defaults to `False`.

    Returns:
        dict of tensors by the same names, and by those of `Match` and `Distance`: ids as int32, numbers as float32,
        histories `[batch, max_length]`. Where the candidate's columns have a row for each of N items and the others
        one row, so have the encoded ones.

    Raises:
        SchemaError: The schema is not learned, or a column is missing or of a wrong type, or holds an infinite number
            or one that `dtype` cannot hold, or bytes that are no UTF-8, or a length that is negative or exceeds the
            events given.
        tf.errors.InvalidArgumentError: The same of a value that is only known once a graph runs, but for bytes.

    Example:

    >>> from tf_interformer.schema import Categorical, FeatureSchema, Label
    >>> schema = FeatureSchema(
    ...     features=[Categorical("country", vocabulary=["NL", "BR"])], labels=[Label("click", mean=0.5)])
    >>> Preprocessor(schema)({"country": tf.constant(["BR", "", "XX"])})["country"].numpy().tolist()
    [3, 0, 1]
    """

    def __init__(self, schema: FeatureSchema, dtype: str = "float32") -> None:
        super().__init__(name="preprocessor")
        schema.require_learned()
        self.schema = schema
        # float32 and bfloat16 hold whatever a column may hold.
        self._largest = float(np.finfo(np.float16).max) if dtype == "float16" else None
        self._tables = {
            name: _vocabulary_table(owner) for name, owner in schema.tables.items() if owner.hash_buckets is None
        }

    @tf.autograph.experimental.do_not_convert  # nothing to convert, and converting takes longer than tracing
    def __call__(self, raw: Mapping[str, Any], serving: bool = False) -> dict[str, tf.Tensor]:
        encoded: dict[str, tf.Tensor] = {}
        with tf.name_scope(self.name), as_schema_errors():
            if serving and self.schema.served_as:
                raw = self._as_served(raw)
            for feature in self.schema.features:
                if isinstance(feature, Numeric):
                    encoded.update(self._numeric(feature, raw))
                elif isinstance(feature, Vector):
                    encoded[feature.name] = self._vector(feature, raw)
                else:
                    encoded[feature.name] = self._ids(feature.name, self._categorical(feature, raw))
            for sequence in self.schema.sequences:
                encoded.update(self._sequence(sequence, raw))
        return encoded

    def labels(self, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        """The labels of a raw batch, each float32 `[batch, 1]`."""
        missing = [task for task in self.schema.tasks if task not in raw]
        if missing:
            raise SchemaError(f"label columns {missing} are missing. Received: {', '.join(sorted(raw))}")
        return {task: tf.reshape(_plain(columns.labels, raw, task), [-1, 1]) for task in self.schema.tasks}

    def weights(self, raw: Mapping[str, Any]) -> tf.Tensor:
        """The weights of a raw batch's examples, float32 `[batch]`; ones when the schema names no weight column."""
        if self.schema.weight is None:
            return tf.ones(tf.shape(_given(raw, self.schema.tasks[0]))[:1])
        return tf.reshape(_plain(columns.weights, raw, self.schema.weight), [-1])

    def lists(self, raw: Mapping[str, Any], by: str) -> tf.Tensor:
        """Which list each example of a raw batch is of: integers `[batch]`, of strings a hash of 31 bits.

        Args:
            raw: dict of tensors. A raw batch.
            by: `"group"` or `"request"`, which the schema must have.
        """
        if by not in self.schema.key_columns:
            raise SchemaError(
                f"schema {self.schema.name!r} has no `{by}` column to tell lists by. It has: "
                f"{sorted(self.schema.key_columns) or 'neither group nor request'}"
            )
        name, dtype = self.schema.key_columns[by]
        with as_schema_errors():
            keys = _value(name, raw, dtype, "" if dtype == "string" else -1)
        return tf.cast(tf.strings.to_hash_bucket_fast(as_text(keys), 2**31 - 1), tf.int32)

    def training_batch(self, raw: Mapping[str, Any], lists: str | None = None) -> tuple[Any, ...]:
        """What `fit` takes: `(encoded, labels)`, and `weights` third when the schema names a weight column.

        Args:
            raw: dict of tensors. A raw batch.
            lists: `"group"`, `"request"` or None. By which of the schema's keys the batch says what list, or user, each
                example is of, as `Ranker(list_loss=...)` needs it. Defaults to `None`: it does not.
        """
        encoded = self(raw)
        if lists is not None:
            encoded[LIST_COLUMN] = self.lists(raw, lists)
        batch = encoded, self.labels(raw)
        return batch if self.schema.weight is None else (*batch, self.weights(raw))

    def _as_served(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        # A column of the user where there is one: with several candidates the others have more rows.
        column = min(self.schema.signature(), key=lambda name: name in self.schema.candidate)
        given = _given(raw, column)
        symbolic = _is_symbolic(given)
        rows = (
            (given.nrows() if hasattr(given, "nrows") else tf.shape(given)[0])
            if symbolic
            else columns.count_rows(given)
        )
        served = {}
        for name, value in self.schema.served_as.items():
            feature = self.schema[name]
            dtype = tf.as_dtype(feature.dtype) if isinstance(feature, Categorical) else tf.float32
            served[name] = tf.fill([rows], tf.constant(value, dtype))
        return {**raw, **served}

    def _categorical(self, feature: Categorical, raw: Mapping[str, Any]) -> tf.Tensor:
        if feature.max_values is None:
            return _value(feature.name, raw, feature.dtype, feature.missing)
        given = _given(raw, feature.name)
        if not _is_symbolic(given):
            lists = columns.lists(feature.name, given, feature.dtype, feature.missing)
            return tf.convert_to_tensor(lists.first(feature.max_values, feature.missing), feature.dtype)
        if isinstance(given, tf.RaggedTensor):
            given = given.to_tensor(feature.missing, shape=[None, feature.max_values])
        return _exactly(_symbolic(feature.name, given, feature.dtype, 2, feature.missing), feature)

    def _ids(self, key: str, values: tf.Tensor) -> tf.Tensor:
        name = self.schema.table_of(key)
        owner = self.schema.tables[name]
        if owner.hash_buckets is None:
            return tf.cast(self._tables[name].lookup(values), tf.int32)
        buckets = tf.strings.to_hash_bucket_fast(as_text(values), owner.hash_buckets)
        missing = tf.equal(values, tf.constant(owner.missing, values.dtype))
        return tf.where(missing, 0, 2 + tf.cast(buckets, tf.int32))

    def _numeric(self, feature: Numeric, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        value = self._numbers(feature, raw)
        encoded = {feature.name: self._scaled(feature.name, feature, value)}
        if feature.boundaries is not None:
            bucket = 2 + tf.raw_ops.Bucketize(input=value, boundaries=list(feature.boundaries))
            encoded[f"{feature.name}_bucket"] = tf.where(tf.math.is_nan(value), 0, bucket)
        return encoded

    def _scaled(self, name: str, feature: Numeric, value: tf.Tensor) -> tf.Tensor:
        """The numbers of a column as the model reads them, NaN as the mean."""
        missing = tf.math.is_nan(value)
        if feature.transform == "log":
            value = tf.sign(value) * tf.math.log1p(tf.abs(value))
        value = tf.where(missing, tf.constant(feature.mean, tf.float32), value)
        if feature.transform != "none":
            value = (value - feature.mean) / feature.std
        return self._fitting(name, feature, value)

    def _numbers(self, feature: Numeric | Vector, raw: Mapping[str, Any]) -> tf.Tensor:
        given = _given(raw, feature.name)
        if _is_symbolic(given):
            return _symbolic(feature.name, given, "float32", 1 + isinstance(feature, Vector))
        if isinstance(feature, Vector):
            return tf.convert_to_tensor(columns.vectors(feature.name, given, feature.dim))
        return tf.convert_to_tensor(columns.numbers(feature.name, given))

    def _fitting(self, name: str, feature: Numeric, value: tf.Tensor) -> tf.Tensor:
        """The encoded number, which the model's type must be able to hold."""
        if self._largest is None:
            return value
        fits = tf.reduce_all(tf.abs(value) <= self._largest)
        message = f"column {name} by {feature.transform} must fit float16, in which the model computes"
        if _is_symbolic(value):
            return _required(value, fits, message)
        if not fits:
            raise SchemaError(f"{message}. Received: {value.numpy()[np.abs(value.numpy()) > self._largest][0]}")
        return value

    def _vector(self, feature: Vector, raw: Mapping[str, Any]) -> tf.Tensor:
        value = self._numbers(feature, raw)
        if value.shape[-1] not in (None, feature.dim):
            raise SchemaError(
                f"column {feature.name!r} must hold vectors of length {feature.dim}. Received: shape "
                f"{tuple(value.shape)}"
            )
        value = tf.ensure_shape(value, [None, feature.dim])
        missing = tf.reduce_any(tf.math.is_nan(value), axis=1, keepdims=True)
        value = tf.where(missing, 0.0, value)
        return tf.math.l2_normalize(value, axis=1) if feature.normalize else value

    def _sequence(self, sequence: Sequence, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        limit = sequence.max_length
        length = self._length(sequence, raw)
        kept = tf.minimum(length, limit)
        steps = tf.range(limit)[None]  # [1, max_length]
        real = steps < kept[:, None]
        encoded = {}
        compared = {comparison.field for comparison in sequence.comparisons}
        windows: dict[str, tuple[tf.Tensor, tf.Tensor]] = {}  # of what is compared: the events, and which are known
        for field in sequence.fields:
            key = sequence.column(field.name)
            window = self._window(sequence, field, raw, length)
            if isinstance(field, Numeric):
                # Behind the last event are zeros, whatever stood there.
                scaled = self._scaled(key, field, tf.where(real, window, field.missing))
                encoded[key] = tf.where(real, scaled, 0.0)
                continue
            missing = tf.constant(field.missing, window.dtype)
            encoded[key] = self._ids(key, tf.where(real, window, missing))
            if key in compared:
                windows[key] = window, real & tf.not_equal(window, missing)
        for match in sequence.matches:
            window, known = windows[match.field]
            ours = known & self._is_candidate(window, match.feature, raw)  # [B, max_length]
            encoded |= _match_columns(match, ours, real, kept, encoded)
        for distance in sequence.distances:
            encoded |= self._distance_columns(distance, *windows[distance.field], raw)
        encoded[sequence.length_column] = kept
        return encoded

    def _length(self, sequence: Sequence, raw: Mapping[str, Any]) -> tf.Tensor:
        name = sequence.length_column
        if name not in raw:
            raise SchemaError(f"column {name!r} (the number of events) is missing. Received: {', '.join(sorted(raw))}")
        if not _is_symbolic(raw[name]):
            return tf.convert_to_tensor(columns.counts(name, raw[name]).astype(np.int32))
        length = tf.cast(_symbolic(name, raw[name], "int64", 1, -1), tf.int32)
        return _required(length, tf.reduce_all(length >= 0), f"sequence {sequence.name}: {name} is negative")

    def _window(
        self, sequence: Sequence, field: Categorical | Numeric, raw: Mapping[str, Any], length: tf.Tensor
    ) -> tf.Tensor:
        """The most recent events `[batch, max_length]`: one window per row, which starts where these start."""
        key, limit = sequence.column(field.name), sequence.max_length
        given = _given(raw, key)
        if not _is_symbolic(given):
            lists = columns.lists(key, given, field.dtype, field.missing)
            if not _is_symbolic(length):
                counts = length.numpy().astype(np.int64)
                columns.check_lengths(sequence.length_column, counts, key, lists)
                return tf.convert_to_tensor(lists.last(counts, limit, field.missing), field.dtype)
            given = tf.RaggedTensor.from_row_lengths(
                tf.convert_to_tensor(lists.values, field.dtype), lists.lengths, validate=False
            )
        if isinstance(given, tf.RaggedTensor):
            if given.ragged_rank != 1 or given.shape.rank not in (None, 2):
                raise SchemaError(f"column {key!r} must hold a list of values in each row. Received: {given.shape}")
            flat, starts, counts = given.flat_values, given.row_starts(), given.row_lengths()
        else:
            events = _rank(key, tf.convert_to_tensor(given), 2)
            rows, width = tf.unstack(tf.shape(events, tf.int64))
            flat, starts, counts = tf.reshape(events, [-1]), tf.range(rows) * width, tf.fill([rows], width)
        enough = tf.reduce_all(tf.cast(length, counts.dtype) <= counts)
        message = f"sequence {sequence.name}: {sequence.length_column} exceeds the events in {key}"
        starts = _required(tf.cast(starts, tf.int32), enough, message)
        # What lies behind a row's events is another row's, or nothing: `_sequence` masks it.
        places = (starts + length - tf.minimum(length, limit))[:, None] + tf.range(limit)[None]
        padded = tf.concat([flat, tf.zeros([limit], flat.dtype)], axis=0)
        window = tf.gather(padded, tf.minimum(places, tf.shape(flat)[0]))
        return _typed(key, window, field.dtype, field.missing)

    def _is_candidate(self, events: tf.Tensor, name: str, raw: Mapping[str, Any]) -> tf.Tensor:
        """Which events hold the value, or one of the values, of a feature."""
        feature = self.schema[name]
        assert isinstance(feature, Categorical)
        value = self._categorical(feature, raw)
        values = value[:, None] if feature.max_values is None else value  # [B, values]
        same = tf.equal(events[:, :, None], values[:, None, :])
        given = tf.not_equal(values, tf.constant(feature.missing, values.dtype))
        return tf.reduce_any(same & given[:, None, :], axis=2)

    def _distance_columns(
        self, distance: Distance, events: tf.Tensor, known: tf.Tensor, raw: Mapping[str, Any]
    ) -> dict[str, tf.Tensor]:
        feature = self.schema[distance.feature]
        assert isinstance(feature, Categorical)
        value = self._categorical(feature, raw)[:, None]
        known &= tf.not_equal(value, tf.constant(feature.missing, value.dtype))
        # float64 tells all integers up to 2^53 apart, and overflows nowhere.
        gap = tf.cast(value, tf.float64) - tf.cast(events, tf.float64)
        size = tf.raw_ops.Bucketize(input=tf.abs(gap), boundaries=list(DISTANCE_BOUNDS))
        ids = 2 + len(DISTANCE_BOUNDS) + tf.cast(tf.sign(gap), tf.int32) * size
        ids = tf.where(known, ids, 0)
        _, latest = _latest(known)
        (column,) = distance.latest
        return {distance.events: ids, column: tf.reduce_sum(tf.where(latest, ids, 0), axis=1)}


def _latest(chosen: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The place of the latest chosen event `[batch]`, from 1, 0 without any; and which event it is."""
    places = tf.cast(chosen, tf.int32) * tf.range(1, tf.shape(chosen)[1] + 1)[None]
    last = tf.reduce_max(places, axis=1)
    return last, chosen & tf.equal(places, last[:, None])


def _match_columns(
    match: Match, ours: tf.Tensor, real: tf.Tensor, kept: tf.Tensor, encoded: Mapping[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
    last, is_latest = _latest(ours)
    latest = tf.cast(is_latest, tf.int32)
    count = tf.reduce_sum(tf.cast(ours, tf.float32), axis=1)
    ago = tf.cast(kept - last + 1, tf.float32)
    columns = {
        match.events: tf.where(real, 1 + tf.cast(ours, tf.int32), 0),
        match.count: tf.math.log1p(count),
        match.recency: tf.where(last > 0, 1.0 / ago, 0.0),
    }
    columns |= {name: tf.reduce_sum(encoded[key] * latest, axis=1) for name, key in match.latest.items()}
    numbers = {name: tf.where(is_latest, encoded[key], 0.0) for name, key in match.latest_numbers.items()}
    return columns | {name: tf.reduce_sum(value, axis=1) for name, value in numbers.items()}


def _given(raw: Mapping[str, Any], name: str) -> Any:
    if name not in raw:
        raise SchemaError(f"column {name!r} is missing. Received: {', '.join(sorted(raw))}")
    return raw[name]


def _is_symbolic(value: Any) -> bool:
    """Whether it is a tensor whose values are not known yet."""
    if isinstance(value, tf.RaggedTensor):
        value = value.flat_values
    return tf.is_tensor(value) and not hasattr(value, "numpy")


def _value(name: str, raw: Mapping[str, Any], dtype: str, missing: Any) -> tf.Tensor:
    """A column of one value in each row."""
    given = _given(raw, name)
    if _is_symbolic(given):
        return _symbolic(name, given, dtype, 1, missing)
    return tf.convert_to_tensor(columns.values(name, given, dtype, missing), dtype)


def _plain(check: Callable[[str, Any], np.ndarray], raw: Mapping[str, Any], name: str) -> tf.Tensor:
    """Labels or weights: checked where their values are known."""
    given = _given(raw, name)
    with as_schema_errors():
        if not _is_symbolic(given):
            return tf.convert_to_tensor(check(name, given))
        return _typed(name, tf.convert_to_tensor(given), "float32")


def _required(value: tf.Tensor, holds: tf.Tensor, message: str) -> tf.Tensor:
    """The value, whose graph fails with the message, in which TensorFlow escapes quotes, where it does not hold."""
    with tf.control_dependencies([tf.debugging.Assert(holds, [message])]):
        return tf.identity(value)


def _symbolic(name: str, value: Any, dtype: str, rank: int, missing: Any = None) -> tf.Tensor:
    """A column of a graph, of one type and rank, checked as `tf_interformer.columns` checks arrays."""
    if isinstance(value, tf.RaggedTensor):
        raise SchemaError(f"column {name!r} must hold one value in each row. Received: a ragged tensor")
    return _typed(name, _rank(name, tf.convert_to_tensor(value), rank), dtype, missing)


def _rank(name: str, value: tf.Tensor, rank: int) -> tf.Tensor:
    if value.shape.rank == rank + 1 and value.shape[-1] == 1:
        return tf.squeeze(value, -1)  # Keras hands over [batch, 1] where [batch] was meant
    if value.shape.rank is None:
        return tf.ensure_shape(value, [None] * rank)
    if value.shape.rank != rank:
        raise SchemaError(f"column {name!r} must have rank {rank}. Received: shape {tuple(value.shape)}")
    return value


def _typed(name: str, value: tf.Tensor, dtype: str, missing: Any = None) -> tf.Tensor:
    given = value.dtype
    number = given.is_floating or given.is_integer or given.is_bool
    if dtype == "string":
        if given != tf.string:
            raise SchemaError(f"column {name!r} must hold strings. Received: {given.name}")
        return tf.strings.strip(value)
    if not number:
        raise SchemaError(f"column {name!r} must hold {_WANTED[dtype]}. Received: {given.name}")
    if dtype == "float32":
        value = tf.cast(value, tf.float32)
        finite = tf.logical_not(tf.reduce_any(tf.math.is_inf(value)))
        message = f"column {name} must hold {columns.FINITE}"
        return _required(value, finite, message) if given.is_floating else value
    if given.is_floating:
        known = tf.logical_not(tf.math.is_nan(value))
        whole = tf.reduce_all(tf.equal(value, tf.floor(value)) | ~known)
        value = tf.where(known, value, tf.cast(missing, given))
        return tf.cast(_required(value, whole, f"column {name} must hold integers"), tf.int64)
    found = tf.cast(value, tf.int64)
    if given == tf.uint64:
        message = f"column {name} must hold integers of 64 bits, signed: give larger ones as strings"
        return _required(found, tf.reduce_all(found >= 0), message)
    return found


_WANTED = {"float32": "numbers", "int64": "integers"}


def as_text(keys: tf.Tensor) -> tf.Tensor:
    """Ids as the strings that are hashed; strings as they are."""
    return keys if keys.dtype == tf.string else tf.strings.as_string(keys)


def _vocabulary_table(owner: Categorical) -> tf.lookup.StaticHashTable:
    assert owner.vocabulary is not None
    dtype = tf.as_dtype(owner.dtype)
    ids = columns.ids_by_value(owner.missing, owner.vocabulary)
    initializer = tf.lookup.KeyValueTensorInitializer(list(ids), list(ids.values()), dtype, tf.int64)
    return tf.lookup.StaticHashTable(initializer, default_value=1)


def _exactly(values: tf.Tensor, feature: Categorical) -> tf.Tensor:
    """The first `max_values` values of each row, padded with the missing value."""
    count = feature.max_values
    padded = tf.pad(values, [[0, 0], [0, count]], constant_values=feature.missing)
    return tf.ensure_shape(padded[:, :count], [None, count])
