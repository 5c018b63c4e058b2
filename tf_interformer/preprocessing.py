"""From raw columns to ids and floats: the same code in the input pipeline and in the exported model."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tf_interformer.schema import (
    Categorical,
    Distance,
    Feature,
    FeatureSchema,
    Match,
    Numeric,
    SchemaError,
    Sequence,
    Vector,
)
from tf_interformer.schema.distance import DISTANCE_BOUNDS

# Of an encoded batch: an integer that names the list, or the user, of each example. No feature can be called so.
LIST_COLUMN = "_list"


class Preprocessor(tf.Module):
    """Looks up, hashes and normalises a raw batch as a learned schema says.

    It is a `tf.Module`, not a Keras layer: its inputs are strings and 64-bit integers, which no dtype policy
    should cast. Map it over a `tf.data.Dataset`, and export it with the model: training and serving then
    share every rule.

    - Categorical: id 0 for the missing value, 1 for a value not in the vocabulary, 2 and up for the others.
    - Numeric: NaN becomes the training mean; then the transform. With buckets, `<name>_bucket` holds an id:
      0 for NaN, else 2 plus the number of boundaries at or below the value.
    - Vector: a vector with a NaN becomes zeros; then each is divided by its length, where the schema says so.
    - Sequence: the most recent `max_length` events, oldest first, padded on the right with id 0. What its `match`
      and `distance` name is compared with the candidate as raw values, see `Match` and `Distance` for the columns.

    Args:
        schema: `FeatureSchema`. A learned one.

    Call arguments:
        raw: dict of tensors `[batch]`, `[batch, values]` and `[batch, time]`, as in
            `FeatureSchema.signature`. Columns that are not in the schema are ignored.
        serving: bool. Whether the features with `serve_as` take that value, as in `Ranker.score` and in an
            exported model; their columns are then not needed. Defaults to `False`.

    Returns:
        dict of tensors by the same names, and by those of `Match` and `Distance`: ids as int32, numbers as float32,
        histories `[batch, max_length]`. Where the candidate's columns have a row for each of N items and the others
        one row, so have the encoded ones.

    Raises:
        SchemaError: The schema is not learned, or a column is missing or of a wrong type.
        tf.errors.InvalidArgumentError: A history's length is negative or exceeds the events given.

    Example:

    >>> from tf_interformer.schema import Categorical, FeatureSchema, Label
    >>> schema = FeatureSchema(
    ...     features=[Categorical("country", vocabulary=["NL", "BR"])], labels=[Label("click", mean=0.5)])
    >>> Preprocessor(schema)({"country": tf.constant(["BR", "", "XX"])})["country"].numpy().tolist()
    [3, 0, 1]
    """

    def __init__(self, schema: FeatureSchema) -> None:
        super().__init__(name="preprocessor")
        schema.require_learned()
        self.schema = schema
        self._tables = {
            name: _vocabulary_table(owner) for name, owner in schema.tables.items() if owner.hash_buckets is None
        }

    @tf.autograph.experimental.do_not_convert  # nothing to convert, and converting takes longer than tracing
    def __call__(self, raw: Mapping[str, Any], serving: bool = False) -> dict[str, tf.Tensor]:
        encoded: dict[str, tf.Tensor] = {}
        with tf.name_scope(self.name):
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
        return {task: tf.cast(tf.reshape(raw[task], [-1, 1]), tf.float32) for task in self.schema.tasks}

    def weights(self, raw: Mapping[str, Any]) -> tf.Tensor:
        """The weights of a raw batch's examples, float32 `[batch]`; ones when the schema names no weight column."""
        if self.schema.weight is None:
            return tf.ones(tf.shape(_given(raw, self.schema.tasks[0]))[:1])
        return tf.cast(tf.reshape(_given(raw, self.schema.weight), [-1]), tf.float32)

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
        keys = tf.reshape(_given(raw, self.schema.key_columns[by][0]), [-1])
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
        rows = tf.shape(_given(raw, column))[0]
        served = {}
        for name, value in self.schema.served_as.items():
            feature = self.schema[name]
            dtype = tf.as_dtype(feature.dtype) if isinstance(feature, Categorical) else tf.float32
            served[name] = tf.fill([rows], tf.constant(value, dtype))
        return {**raw, **served}

    def _column(self, raw: Mapping[str, Any], name: str, feature: Feature) -> tf.Tensor:
        value = tf.convert_to_tensor(_given(raw, name))
        if isinstance(feature, (Numeric, Vector)):
            fits, wanted = value.dtype.is_floating or value.dtype.is_integer, "numbers"
        elif feature.dtype == "int64":
            fits, wanted = value.dtype.is_integer, "integers"
        else:
            fits, wanted = value.dtype == tf.string, "strings"
        if not fits:
            raise SchemaError(f"column {name!r} must hold {wanted}. Received: {value.dtype.name}")
        rank = 1 + (isinstance(feature, Vector) or (isinstance(feature, Categorical) and bool(feature.max_values)))
        if self._is_event_column(name):
            rank = 2
        if value.shape.rank == rank + 1 and value.shape[-1] == 1:
            value = tf.squeeze(value, -1)  # Keras hands over [batch, 1] where [batch] was meant
        if value.shape.rank not in (None, rank):
            raise SchemaError(f"column {name!r} must have rank {rank}. Received: shape {tuple(value.shape)}")
        return value

    def _categorical(self, feature: Categorical, raw: Mapping[str, Any]) -> tf.Tensor:
        value = self._column(raw, feature.name, feature)
        return value if feature.max_values is None else _exactly(value, feature.max_values, feature.missing)

    def _is_event_column(self, name: str) -> bool:
        return any(name == s.column(f.name) for s in self.schema.sequences for f in s.fields)

    def _ids(self, key: str, values: tf.Tensor) -> tf.Tensor:
        name = self.schema.table_of(key)
        owner = self.schema.tables[name]
        if owner.hash_buckets is None:
            values = values if values.dtype == tf.string else tf.cast(values, tf.int64)
            return tf.cast(self._tables[name].lookup(values), tf.int32)
        buckets = tf.strings.to_hash_bucket_fast(as_text(values), owner.hash_buckets)
        missing = tf.equal(values, tf.constant(owner.missing, values.dtype))
        return tf.where(missing, 0, 2 + tf.cast(buckets, tf.int32))

    def _numeric(self, feature: Numeric, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
        value = tf.cast(self._column(raw, feature.name, feature), tf.float32)
        missing = tf.math.is_nan(value)
        encoded = {}
        if feature.boundaries is not None:
            bucket = 2 + tf.raw_ops.Bucketize(input=value, boundaries=list(feature.boundaries))
            encoded[f"{feature.name}_bucket"] = tf.where(missing, 0, bucket)
        if feature.transform == "log":
            value = tf.sign(value) * tf.math.log1p(tf.abs(value))
        value = tf.where(missing, tf.constant(feature.mean, tf.float32), value)
        if feature.transform != "none":
            value = (value - feature.mean) / feature.std
        encoded[feature.name] = value
        return encoded

    def _vector(self, feature: Vector, raw: Mapping[str, Any]) -> tf.Tensor:
        value = tf.cast(self._column(raw, feature.name, feature), tf.float32)
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
        if sequence.length_column not in raw:
            raise SchemaError(
                f"column {sequence.length_column!r} (the number of events) is missing. "
                f"Received: {', '.join(sorted(raw))}"
            )
        length = tf.cast(tf.reshape(raw[sequence.length_column], [-1]), tf.int32)
        limit = sequence.max_length
        kept = tf.minimum(length, limit)
        steps = tf.range(limit)[None]  # [1, max_length]
        real = steps < kept[:, None]
        encoded = {}
        compared = {comparison.field for comparison in sequence.comparisons}
        windows: dict[str, tuple[tf.Tensor, tf.Tensor]] = {}  # of what is compared: the events, and which are known
        for field in sequence.fields:
            key = sequence.column(field.name)
            events = self._column(raw, key, field)
            given = tf.shape(events)[1]
            checks = [
                tf.debugging.assert_less_equal(
                    length,
                    given,
                    message=f"sequence {sequence.name}: {sequence.length_column} exceeds the events in {key}",
                ),
                tf.debugging.assert_non_negative(
                    length, message=f"sequence {sequence.name}: {sequence.length_column} is negative"
                ),
            ]
            with tf.control_dependencies([check for check in checks if check is not None]):
                # One window per row: it starts where the most recent `max_length` events start.
                padded = tf.pad(events, [[0, 0], [0, limit]], constant_values=field.missing)
                window = tf.gather(padded, steps + (length - kept)[:, None], batch_dims=1)
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

    def _is_candidate(self, events: tf.Tensor, name: str, raw: Mapping[str, Any]) -> tf.Tensor:
        """Which events hold the value, or one of the values, of a feature."""
        feature = self.schema[name]
        assert isinstance(feature, Categorical)
        value = self._categorical(feature, raw)
        if value.dtype != tf.string:
            events, value = tf.cast(events, tf.int64), tf.cast(value, tf.int64)
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
    return columns | {name: tf.reduce_sum(encoded[key] * latest, axis=1) for name, key in match.latest.items()}


def _given(raw: Mapping[str, Any], name: str) -> Any:
    if name not in raw:
        raise SchemaError(f"column {name!r} is missing. Received: {', '.join(sorted(raw))}")
    return raw[name]


def as_text(keys: tf.Tensor) -> tf.Tensor:
    """Ids as the strings that are hashed; strings as they are."""
    return keys if keys.dtype == tf.string else tf.strings.as_string(keys)


def _vocabulary_table(owner: Categorical) -> tf.lookup.StaticHashTable:
    assert owner.vocabulary is not None
    dtype = tf.as_dtype(owner.dtype)
    keys = tf.constant([owner.missing, *owner.vocabulary], dtype)
    ids = tf.constant([0, *range(2, 2 + len(owner.vocabulary))], tf.int64)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, ids), default_value=1)


def _exactly(values: tf.Tensor, count: int, missing: int | str | None) -> tf.Tensor:
    """The first `count` values of each row, padded with the missing value."""
    padded = tf.pad(values, [[0, 0], [0, count]], constant_values=missing)
    return tf.ensure_shape(padded[:, :count], [None, count])
