"""Vocabularies and statistics, learned in one pass over the training split."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tf_interformer import columns
from tf_interformer.schema.categorical import Categorical
from tf_interformer.schema.errors import SchemaError, as_schema_errors
from tf_interformer.schema.feature_schema import Feature, FeatureSchema
from tf_interformer.schema.label import Label
from tf_interformer.schema.numeric import Numeric
from tf_interformer.schema.sequence import Sequence
from tf_interformer.schema.vector import Vector

# Quantiles are cut from so many values at most; their error is then far below one bucket.
_SAMPLE = 1_000_000


def log_transform(values: np.ndarray) -> np.ndarray:
    """`sign(x) * log(1 + |x|)`: the logarithm of counts, which also takes zero and negative values."""
    return np.sign(values) * np.log1p(np.abs(values))


class _NumericLearner:
    """Count, mean and variance of the transformed values, and a uniform sample of the raw ones."""

    def __init__(self, feature: Numeric) -> None:
        self.feature = feature
        self.count, self.mean, self.squares = 0, 0.0, 0.0
        self.values, self.keys = np.empty(0, np.float32), np.empty(0)
        self.random = np.random.default_rng(0)

    def update(self, values: np.ndarray) -> None:
        values = values[~np.isnan(values)].astype(np.float64)
        if not values.size:
            return
        transformed = log_transform(values) if self.feature.transform == "log" else values
        # Chan's update: exact for any batch sizes, without a second pass
        count, mean = values.size, transformed.mean()
        delta, total = mean - self.mean, self.count + count
        self.squares += ((transformed - mean) ** 2).sum() + delta**2 * self.count * count / total
        self.mean += delta * count / total
        self.count = total
        if self.feature.buckets and self.feature.boundaries is None:
            self._sample(values)

    def _sample(self, values: np.ndarray) -> None:
        # The values with the smallest random keys are a uniform sample, however long the log is.
        self.values = np.concatenate([self.values, values.astype(np.float32)])
        self.keys = np.concatenate([self.keys, self.random.random(values.size)])
        if self.values.size > 2 * _SAMPLE:
            keep = np.argpartition(self.keys, _SAMPLE)[:_SAMPLE]
            self.values, self.keys = self.values[keep], self.keys[keep]

    def result(self) -> Numeric:
        feature = self.feature
        found: dict[str, Any] = {}
        scaled = feature.transform != "none"
        if feature.mean is None:
            found["mean"] = float(self.mean)
        if feature.std is None:
            deviation = float(np.sqrt(self.squares / self.count)) if self.count else 0.0
            found["std"] = deviation if scaled and deviation > 1e-12 else 1.0
        if feature.buckets and feature.boundaries is None:
            quantiles = np.arange(1, feature.buckets) / feature.buckets
            cuts = np.quantile(self.values, quantiles, method="lower") if self.values.size else np.empty(0)
            found["boundaries"] = tuple(float(cut) for cut in np.unique(cuts.astype(np.float32)))
        return feature.model_copy(update=found)


class _TableLearner:
    """Counts of the values that any column of one table holds."""

    def __init__(self, owner: Categorical) -> None:
        self.owner = owner
        self.counts: Counter = Counter()

    def update(self, values: np.ndarray) -> None:
        if values.dtype == object:  # not sorted as NumPy's own strings, which are all as wide as the longest
            self.counts.update(values.tolist())
            return
        unique, counts = np.unique(values, return_counts=True)
        self.counts.update(dict(zip(unique.tolist(), counts.tolist(), strict=True)))

    def result(self) -> Categorical:
        if self.owner.hash_buckets is not None or self.owner.vocabulary is not None:
            return self.owner
        known = ((value, n) for value, n in self.counts.items() if n >= self.owner.min_count)
        ordered = sorted(known, key=lambda item: (-item[1], item[0]))
        vocabulary = tuple(value for value, _ in ordered if value != self.owner.missing)
        return self.owner.model_copy(update={"vocabulary": vocabulary})


def learn(schema: FeatureSchema, batches: Iterable[Mapping[str, Any]]) -> FeatureSchema:
    """See `FeatureSchema.learn`."""
    tables = {name: _TableLearner(owner) for name, owner in schema.tables.items()}
    numerics = {key: _NumericLearner(feature) for key, feature in schema.all_numerics.items()}
    positives = dict.fromkeys(schema.tasks, 0.0)
    examples = 0
    for batch in batches:
        with as_schema_errors():
            examples += _learn_batch(schema, batch, tables, numerics, positives)
    if not examples:
        raise SchemaError(f"schema {schema.name!r}: the training split holds no example")

    owners = {name: learner.result() for name, learner in tables.items()}

    def learned(key: str, feature: Feature) -> Feature:
        if isinstance(feature, Vector):
            return feature
        if isinstance(feature, Numeric):
            return numerics[key].result()
        return owners.get(key, feature)

    def learned_sequence(sequence: Sequence) -> Sequence:
        fields = tuple(learned(sequence.column(f.name), f) for f in sequence.fields)
        return sequence.model_copy(update={"fields": fields})

    def learned_label(label: Label) -> Label:
        if label.mean is not None:
            return label
        # Every negative stands for those that were dropped, too.
        count = positives[label.name] + (examples - positives[label.name]) / label.negative_rate
        return label.model_copy(update={"mean": positives[label.name] / count})

    made = schema.model_copy(
        update={
            "features": tuple(learned(f.name, f) for f in schema.features),
            "sequences": tuple(learned_sequence(s) for s in schema.sequences),
            "labels": tuple(learned_label(label) for label in schema.labels),
        }
    )
    try:
        made._check_served_values()
    except ValueError as error:
        raise SchemaError(f"schema {schema.name!r}: {error}") from None
    return made


def _learn_batch(
    schema: FeatureSchema,
    batch: Mapping[str, Any],
    tables: dict[str, _TableLearner],
    numerics: dict[str, _NumericLearner],
    positives: dict[str, float],
) -> int:
    for feature in schema.features:
        column = _given(schema, batch, feature.name)
        if isinstance(feature, Numeric):
            numerics[feature.name].update(columns.numbers(feature.name, column))
        elif isinstance(feature, Vector):
            columns.vectors(feature.name, column, feature.dim)
        else:
            several = columns.values if feature.max_values is None else _all_values
            found = several(feature.name, column, feature.dtype, feature.missing)
            tables[schema.table_of(feature.name)].update(found)
    for sequence in schema.sequences:
        name = sequence.length_column
        length = columns.counts(name, _given(schema, batch, name))
        for field in sequence.fields:
            key = sequence.column(field.name)
            events = columns.lists(key, _given(schema, batch, key), field.dtype, field.missing)
            columns.check_lengths(name, length, key, events)
            learner = numerics[key] if isinstance(field, Numeric) else tables[schema.table_of(key)]
            learner.update(events.real(length))
    examples = 0
    for name in positives:
        label = columns.labels(name, _given(schema, batch, name))
        positives[name] += float(label.sum(dtype=np.float64))
        examples = label.size
    if schema.weight is not None:
        columns.weights(schema.weight, _given(schema, batch, schema.weight))
    return examples


def _all_values(name: str, column: Any, dtype: str, missing: Any) -> np.ndarray:
    return columns.lists(name, column, dtype, missing).values


def _given(schema: FeatureSchema, batch: Mapping[str, Any], name: str) -> Any:
    if name not in batch:
        raise SchemaError(f"schema {schema.name!r} needs the column {name!r}. Received: {', '.join(sorted(batch))}")
    return batch[name]
