"""The one description of the data."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from tf_interformer._names import safe_name
from tf_interformer._tensorflow import tf
from tf_interformer.comparisons import Distance, Match
from tf_interformer.schema._model import SchemaModel
from tf_interformer.schema._name import Name
from tf_interformer.schema.categorical import Categorical
from tf_interformer.schema.errors import SchemaError
from tf_interformer.schema.label import Label
from tf_interformer.schema.numeric import Numeric
from tf_interformer.schema.sequence import Sequence
from tf_interformer.schema.vector import Vector
from tf_interformer.whole import write_text

Feature = Annotated[Categorical | Numeric | Vector, Field(discriminator="kind")]
KeyType = Literal["int64", "string"]


class FeatureSchema(SchemaModel):
    """Features, behaviour sequences, labels and keys of a ranking log.

    Everything that has to agree about the data is derived from it: the `tf.train.Example` parsing, the
    `Preprocessor`, the `TokenEmbedder`, the TensorFlow Datasets features, the serving signatures.

    A schema is *declared* first and then *learned*: `learn` makes one pass over the training split and
    returns a copy that also holds vocabularies, means, deviations, bucket boundaries and base rates.

    Args:
        name: str. Name of the data set. Defaults to `"log"`.
        features: tuple of `Categorical`, `Numeric` and `Vector`. The non-sequence features.
        sequences: tuple of `Sequence`. The behaviour sequences. Defaults to none.
        labels: tuple of `Label`. One per task.
        group: str or None. Column by which grouped AUC groups impressions, usually the user; it may but
            need not be a feature. Defaults to `None`.
        group_dtype: `"int64"` or `"string"`. Type of the group column when it is not a feature. Defaults to
            `"int64"`.
        request: str or None. Column that names the list in which an impression was shown, all of it at once: by it
            go `request_gauc`, `mrr` and `ndcg_10`. It may but need not be a feature. Defaults to `None`.
        request_dtype: `"int64"` or `"string"`. Type of the request column when it is not a feature. Defaults to
            `"int64"`.
        weight: str or None. Column with the weight of each example in the training loss, at least 0. It is
            neither a feature nor an input of the served model, and metrics do not use it. Defaults to `None`.
        candidate: tuple of str. Names of the features that describe the candidate: those that differ between the
            items ranked in one request. Everything else then belongs to the user or the context, and
            `Ranker.score_candidates` computes it once. Defaults to none.

    Raises:
        SchemaError: Two columns of one name, a table that does not exist, no feature or no label, a `serve_as`
            that the vocabulary lacks, no feature left to ask for, a name in `candidate` that is no feature or one
            with `serve_as`, a sequence whose `match` or `distance` goes by what is no feature of the candidate, or
            several labels where one has a `negative_rate`: what dropping its negatives does to the others is no
            constant.

    Example:

    >>> schema = FeatureSchema(
    ...     features=[Categorical("item"), Numeric("price", transform="log")],
    ...     sequences=[Sequence("viewed", fields=[Categorical("item", table="item")])],
    ...     labels=[Label("click")],
    ... )
    >>> batch = {"item": ["a", "b"], "price": [1.0, 9.0], "viewed_item": [["b"], ["a"]],
    ...          "viewed_length": [1, 1], "click": [0, 1]}
    >>> learned = schema.learn([batch])
    >>> learned["item"].vocabulary
    ('a', 'b')
    >>> FeatureSchema.from_json(learned.to_json()) == learned
    True
    """

    name: str = "log"
    features: tuple[Feature, ...] = Field(min_length=1)
    sequences: tuple[Sequence, ...] = ()
    labels: tuple[Label, ...] = Field(min_length=1)
    group: Name | None = None
    group_dtype: KeyType = "int64"
    request: Name | None = None
    request_dtype: KeyType = "int64"
    weight: Name | None = None
    candidate: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> FeatureSchema:
        columns = [f.name for f in self.features] + [label.name for label in self.labels]
        columns += [f"{f.name}_bucket" for f in self.numerics if f.buckets]
        for sequence in self.sequences:
            columns += [sequence.column(f.name) for f in sequence.fields] + [sequence.length_column]
            columns += [column for comparison in sequence.comparisons for column in comparison.columns]
        columns += [self.weight] if self.weight is not None else []
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise ValueError(f"every column needs a name of its own. Received twice: {', '.join(twice)}")
        if len({s.name for s in self.sequences}) != len(self.sequences):
            raise ValueError(f"sequence names must differ. Received: {[s.name for s in self.sequences]}")
        for role, (column, _) in self.key_columns.items():
            if column in self.tasks:
                raise ValueError(f"`{role}` may not be a label. Received: {column!r}")
            if column == self.weight:
                raise ValueError(f"`{role}` may not be the weight. Received: {column!r}")
        if self.group is not None and self.group == self.request and self.group_dtype != self.request_dtype:
            raise ValueError(f"`group` and `request` of one column must have one dtype. Received: {self.key_columns}")
        if len(self.labels) > 1 and any(label.negative_rate < 1 for label in self.labels):
            raise ValueError(f"`negative_rate` needs a schema with one label. Received: {list(self.tasks)}")
        if len(self.served_as) == len(self.features) and not self.sequences:
            raise ValueError("every feature has `serve_as`: nothing is left to ask for")
        owners = {key: f for key, f in self._categoricals() if f.table is None}
        for key, feature in self._categoricals():
            if feature.table is None:
                continue
            if feature.table not in owners:
                known = ", ".join(sorted(owners)) or "none"
                raise ValueError(f"feature {key!r} shares table {feature.table!r}, which no feature owns. "
                                 f"Tables: {known}")  # fmt: skip
            owner = owners[feature.table]
            if owner.dtype != feature.dtype:
                raise ValueError(f"feature {key!r} has dtype {feature.dtype} but shares table {feature.table!r} "
                                 f"of dtype {owner.dtype}")  # fmt: skip
        self._check_served_values()
        self._check_candidate()
        self._check_comparisons()
        return self

    def _check_comparisons(self) -> None:
        known = {f.name: f for f in self.categoricals if not self.candidate or f.name in self.candidate}
        for comparison in self.comparisons:
            if comparison.feature not in known:
                raise ValueError(
                    f"{comparison.field!r} is compared with {comparison.feature!r}, which must be a feature of the "
                    f"candidate: one of {list(known)}"
                )
            if isinstance(comparison, Distance) and known[comparison.feature].max_values is not None:
                raise ValueError(f"the distance of {comparison.field!r} needs a feature of one value. "
                                 f"Received: {comparison.feature!r} has max_values")  # fmt: skip

    def _check_candidate(self) -> None:
        names = [f.name for f in self.features]
        unknown = [name for name in self.candidate if name not in names]
        if unknown:
            raise ValueError(f"`candidate` must name features, which are {names}. Received: {unknown}")
        if len(set(self.candidate)) != len(self.candidate):
            raise ValueError(f"`candidate` must name each feature once. Received: {list(self.candidate)}")
        served = [name for name in self.candidate if name in self.served_as]
        if served:
            raise ValueError(f"`candidate` may not name features with `serve_as`: no request holds them. "
                             f"Received: {served}")  # fmt: skip

    def _check_served_values(self) -> None:
        for feature in self.categoricals:
            owner = self.tables[self.table_of(feature.name)]
            if feature.serve_as is None or owner.vocabulary is None:
                continue
            if feature.serve_as != feature.missing and feature.serve_as not in owner.vocabulary:
                raise ValueError(
                    f"feature {feature.name!r}: `serve_as` must be in the vocabulary or the missing value: no other "
                    f"has a trained embedding. Received: {feature.serve_as!r}"
                )

    # What is in it

    def __getitem__(self, name: str) -> Feature:
        """The feature, or sequence field (by its column), of that name."""
        for key, feature in self._keyed_features():
            if key == name:
                return feature
        raise KeyError(f"schema {self.name!r} has no feature {name!r}. It has: "
                       f"{', '.join(key for key, _ in self._keyed_features())}")  # fmt: skip

    @property
    def categoricals(self) -> tuple[Categorical, ...]:
        """The categorical non-sequence features."""
        return tuple(f for f in self.features if isinstance(f, Categorical))

    @property
    def numerics(self) -> tuple[Numeric, ...]:
        """The numeric features."""
        return tuple(f for f in self.features if isinstance(f, Numeric))

    @property
    def all_numerics(self) -> dict[str, Numeric]:
        """The numeric features and the numbers of events, by column."""
        return {key: f for key, f in self._keyed_features() if isinstance(f, Numeric)}

    @property
    def vectors(self) -> tuple[Vector, ...]:
        """The vectors made elsewhere."""
        return tuple(f for f in self.features if isinstance(f, Vector))

    @property
    def comparisons(self) -> tuple[Match | Distance, ...]:
        """What of all sequences is compared with the candidate."""
        return tuple(comparison for sequence in self.sequences for comparison in sequence.comparisons)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The encoded columns that hold a number for each example: the numeric features, and what matches count."""
        return (*(f.name for f in self.numerics), *(name for one in self.comparisons for name in one.numbers))

    @property
    def candidate_columns(self) -> frozenset[str]:
        """The encoded columns that differ between the candidates of one request."""
        buckets = {f"{f.name}_bucket" for f in self.numerics if f.buckets and f.name in self.candidate}
        return frozenset({*self.candidate, *buckets, *(name for one in self.comparisons for name in one.columns)})

    @property
    def id_counts(self) -> dict[str, int]:
        """How many ids each encoded column of ids has; the schema must be learned."""
        counts = {f"{f.name}_bucket": f.num_ids for f in self.numerics if f.buckets}
        counts |= {key: self.tables[self.table_of(key)].num_ids for key, _ in self._categoricals()}
        for comparison in self.comparisons:
            counts[comparison.events] = comparison.num_ids
            counts |= {latest: counts[column] for latest, column in comparison.latest.items()}
        return counts

    @property
    def served_as(self) -> dict[str, int | float | str]:
        """The columns that the served model does not ask for, and the value each is served as."""
        return {f.name: f.serve_as for f in self.features if not isinstance(f, Vector) and f.serve_as is not None}

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the labels."""
        return tuple(label.name for label in self.labels)

    @property
    def key_columns(self) -> dict[str, tuple[str, KeyType]]:
        """What names the user and the list of an impression: `"group"` and `"request"`, each its column and dtype.

        Only those that the schema has.
        """
        keys = {"group": (self.group, self.group_dtype), "request": (self.request, self.request_dtype)}
        features = {f.name: f.dtype for f in self.categoricals}
        return {role: (c, features.get(c, dtype)) for role, (c, dtype) in keys.items() if c is not None}

    @property
    def tables(self) -> dict[str, Categorical]:
        """The features, or sequence fields, that own a vocabulary and a table, by column."""
        return {key: f for key, f in self._categoricals() if f.table is None}

    def table_of(self, key: str) -> str:
        """Name of the table in which the categorical column `key` is looked up."""
        feature = self[key]
        if not isinstance(feature, Categorical):
            raise SchemaError(f"{key!r} is not categorical, so it has no vocabulary")
        return feature.table or key

    @property
    def is_learned(self) -> bool:
        """Whether every vocabulary and statistic is known."""
        return (
            all(f.hash_buckets is not None or f.vocabulary is not None for f in self.tables.values())
            and all(f.mean is not None and f.std is not None for f in self.all_numerics.values())
            and all(f.boundaries is not None for f in self.numerics if f.buckets)
            and all(label.mean is not None for label in self.labels)
        )

    def require_learned(self) -> None:
        """Raise a `SchemaError` that says what to do when a vocabulary or statistic is missing."""
        if not self.is_learned:
            raise SchemaError(
                f"schema {self.name!r} has no vocabularies and statistics yet: call "
                "`schema = schema.learn(batches_of_the_training_split)` first"
            )

    def with_labels(self, *names: str) -> FeatureSchema:
        """The same schema with only the named labels, in the order given."""
        by_name = {label.name: label for label in self.labels}
        unknown = [name for name in names if name not in by_name]
        if unknown or not names:
            raise SchemaError(f"schema {self.name!r} has the labels {list(by_name)}. Received: {list(names)}")
        return self.model_copy(update={"labels": tuple(by_name[name] for name in names)})

    def with_max_length(self, max_length: int) -> FeatureSchema:
        """The same schema with only the most recent `max_length` events of each sequence."""
        if max_length < 1:
            raise SchemaError(f"`max_length` must be at least 1. Received: {max_length}")
        shorter = tuple(s.model_copy(update={"max_length": min(max_length, s.max_length)}) for s in self.sequences)
        return self.model_copy(update={"sequences": shorter})

    def without(self, *names: str) -> FeatureSchema:
        """The same schema without some of its inputs, and without what refers to them.

        Args:
            *names: str. Features; sequences; fields of a sequence, by their column; or, by the column of the encoded
                events, what a sequence's `match` or `distance` tells of a field. A column that is also the `group` or
                the `request` stays that.

        Raises:
            SchemaError: A name that the schema does not have, a table that is left without its owner, or no feature
                left.

        Example:

        >>> fields = [Categorical("item", table="item"), Categorical("age")]
        >>> schema = FeatureSchema(
        ...     features=[Categorical("item"), Numeric("price")],
        ...     sequences=[Sequence("viewed", fields=fields, match=["item"])],
        ...     labels=[Label("click")],
        ... )
        >>> list(schema.without("viewed_age", "viewed_item_match", "price").signature())
        ['item', 'viewed_item', 'viewed_length']
        """
        known = [f.name for f in self.features]
        for sequence in self.sequences:
            known += [sequence.name, *sequence.event_columns]
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise SchemaError(f"schema {self.name!r} has nothing called {unknown} to leave out. It has: "
                              f"{', '.join(known)}")  # fmt: skip
        features = tuple(f for f in self.features if f.name not in names)
        if not features:
            raise SchemaError(f"schema {self.name!r} must keep a feature beside its sequences. Received: all of "
                              f"{[f.name for f in self.features]}")  # fmt: skip
        left = (s.without(*names) for s in self.sequences if s.name not in names)
        sequences = tuple(s for s in left if s is not None)
        self._check_owners_stay(features, sequences)
        changed = {
            "features": features,
            "sequences": sequences,
            "candidate": tuple(name for name in self.candidate if name not in names),
            **self._key_dtypes(names),
        }
        # Made anew, not copied, so that what is left is checked.
        return type(self)(**{**{field: getattr(self, field) for field in type(self).model_fields}, **changed})

    def _check_owners_stay(self, features: Iterable[Feature], sequences: Iterable[Sequence]) -> None:
        kept = dict(_keyed(features, sequences))
        for owner in self.tables:
            users = [key for key, f in kept.items() if isinstance(f, Categorical) and f.table == owner]
            if users and owner not in kept:
                raise SchemaError(
                    f"schema {self.name!r}: {owner!r} owns the table in which {users} are looked up, so it cannot be "
                    f"left out alone: leave out {users}, too"
                )

    def _key_dtypes(self, names: Iterable[str]) -> dict[str, KeyType]:
        """What the dtypes of the keys become that are among some features, once these are features no more."""
        features = {f.name: f for f in self.categoricals if f.name in names}
        return {
            f"{role}_dtype": features[column].dtype
            for role, (column, _) in self.key_columns.items()
            if column in features
        }

    def _categoricals(self) -> Iterator[tuple[str, Categorical]]:
        for key, feature in self._keyed_features():
            if isinstance(feature, Categorical):
                yield key, feature

    def _keyed_features(self) -> Iterator[tuple[str, Feature]]:
        yield from _keyed(self.features, self.sequences)

    # JSON

    def get_config(self) -> dict[str, Any]:
        """A JSON-able dict from which `from_config` makes an equal schema."""
        return self.model_dump(mode="json", exclude_defaults=False)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> FeatureSchema:
        """The schema that `get_config` described."""
        return cls(**config)

    def to_json(self, path: str | os.PathLike | None = None) -> str:
        """The schema as JSON text, also written to `path` when given."""
        text = self.model_dump_json(indent=None if self.is_learned else 1)
        if path is not None:
            write_text(Path(path), text)
        return text

    @classmethod
    def from_json(cls, source: str | os.PathLike) -> FeatureSchema:
        """Read a schema from JSON text or from the file that holds it."""
        text, where = os.fspath(source), "the JSON text"
        if not text.lstrip().startswith("{"):
            where = f"the file {text}"
            try:
                text = Path(text).read_text(encoding="utf-8")
            except OSError as error:
                raise SchemaError(f"cannot read the schema from {where}: {error.strerror}") from None
            except UnicodeDecodeError:
                raise SchemaError(f"{where} is not UTF-8 text: save it as UTF-8") from None
        try:
            config = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise SchemaError(f"{where} is not JSON: {error}") from None
        if not isinstance(config, dict):
            raise SchemaError(f"{where} must hold a JSON object. Received: {type(config).__name__}")
        return cls(**config)

    # Learning

    def learn(self, batches: Iterable[Mapping[str, Any]]) -> FeatureSchema:
        """Learn vocabularies and statistics in one pass.

        Args:
            batches: iterable of raw batches (dicts of arrays, lists or tensors, see `tf_interformer.columns`) of the
                *training* split, and of nothing else.

        Returns:
            A copy of the schema in which everything that was not given by hand is filled in.

        Raises:
            SchemaError: A column is missing or holds what it may not, a label is neither 0 nor 1, a weight is negative,
                or there is no example.
        """
        from tf_interformer.schema.learning import learn

        return learn(self, batches)

    # Formats

    def candidate_signature(self) -> dict[str, tf.TensorSpec]:
        """What a request with one user and any number of candidates holds, as tensor specs by column.

        The columns of `signature`: those in `candidate` have a row for each item, the others exactly one.
        """
        rows = {name: None if name in self.candidate else 1 for name in self.signature()}
        return {
            name: tf.TensorSpec([rows[name], *spec.shape[1:]], spec.dtype, spec.name)
            for name, spec in self.signature().items()
        }

    def signature(self, labels: bool = False) -> dict[str, tf.TensorSpec]:
        """The raw batch as tensor specs, by column: what a serving signature takes.

        A spec's own name is the column's, or, where that is no name of Python, one made of it.

        Args:
            labels: bool. Whether all that training needs is in it: labels, keys, weight, and the features
                with `serve_as`. Defaults to `False`.
        """
        specs: dict[str, tf.TensorSpec] = {}
        for feature in self._features(labels):
            if isinstance(feature, Numeric):
                specs[feature.name] = tf.TensorSpec([None], tf.float32)
            elif isinstance(feature, Vector):
                specs[feature.name] = tf.TensorSpec([None, feature.dim], tf.float32)
            else:
                shape = [None] if feature.max_values is None else [None, None]
                specs[feature.name] = tf.TensorSpec(shape, tf.as_dtype(feature.dtype))
        for sequence in self.sequences:
            for field in sequence.fields:
                column = sequence.column(field.name)
                specs[column] = tf.TensorSpec([None, None], tf.as_dtype(field.dtype))
            specs[sequence.length_column] = tf.TensorSpec([None], tf.int32)
        if labels:
            for label in self.labels:
                specs[label.name] = tf.TensorSpec([None], tf.float32)
            for key, dtype in self.key_columns.values():
                specs.setdefault(key, tf.TensorSpec([None], tf.as_dtype(dtype)))
            if self.weight is not None:
                specs[self.weight] = tf.TensorSpec([None], tf.float32)
        return {name: tf.TensorSpec(spec.shape, spec.dtype, safe_name(name)) for name, spec in specs.items()}

    def _features(self, labels: bool) -> Iterator[Feature]:
        yield from (f for f in self.features if labels or f.name not in self.served_as)

    def parsing_spec(self, labels: bool = True) -> dict[str, Any]:
        """The spec with which `tf.io.parse_example` reads this schema's columns from `tf.train.Example`s."""
        spec: dict[str, Any] = {}
        for feature in self._features(labels):
            if isinstance(feature, Numeric):
                spec[feature.name] = tf.io.FixedLenFeature([], tf.float32, default_value=float("nan"))
            elif isinstance(feature, Vector):
                absent = [float("nan")] * feature.dim
                spec[feature.name] = tf.io.FixedLenFeature([feature.dim], tf.float32, default_value=absent)
            elif feature.max_values is None:
                dtype = tf.as_dtype(feature.dtype)
                spec[feature.name] = tf.io.FixedLenFeature([], dtype, default_value=feature.missing)
            else:
                spec[feature.name] = _ragged(feature)
        for sequence in self.sequences:
            for field in sequence.fields:
                spec[sequence.column(field.name)] = _ragged(field)
        if labels:
            # No default: an example without its label, or key, is an error, not a negative.
            for label in self.labels:
                spec[label.name] = tf.io.FixedLenFeature([], tf.int64)
            for key, dtype in self.key_columns.values():
                spec.setdefault(key, tf.io.FixedLenFeature([], tf.as_dtype(dtype)))
            if self.weight is not None:
                spec[self.weight] = tf.io.FixedLenFeature([], tf.float32)
        return spec

    def parse_examples(self, serialized: tf.Tensor, labels: bool = True) -> dict[str, tf.Tensor]:
        """Parse a batch of serialized `tf.train.Example`s into a raw batch.

        Args:
            serialized: string tensor `[batch]`.
            labels: bool. Whether all that training needs is read, as in `signature`. Defaults to `True`.
        """
        parsed = tf.io.parse_example(serialized, self.parsing_spec(labels))
        return self.dense_batch(parsed, labels)

    def dense_batch(self, columns: Mapping[str, Any], labels: bool = True) -> dict[str, tf.Tensor]:
        """Make a raw batch of parsed columns: pad the ragged ones and say the length of every history."""
        batch: dict[str, tf.Tensor] = {}
        for feature in self._features(labels):
            value = columns[feature.name]
            if isinstance(value, tf.RaggedTensor):
                assert isinstance(feature, Categorical)
                value = value.to_tensor(feature.missing, shape=[None, feature.max_values])
            batch[feature.name] = value
        for sequence in self.sequences:
            lengths = {f.name: columns[sequence.column(f.name)].row_lengths() for f in sequence.fields}
            first, *others = lengths
            for field in sequence.fields:
                column = sequence.column(field.name)
                batch[column] = columns[column].to_tensor(field.missing)
            checks = [
                tf.debugging.assert_equal(
                    lengths[first],
                    lengths[other],
                    message=f"sequence {sequence.name}: the columns {sequence.column(first)} and "
                    f"{sequence.column(other)} must hold the same number of events",
                )
                for other in others
            ]
            with tf.control_dependencies([check for check in checks if check is not None]):
                batch[sequence.length_column] = tf.cast(lengths[first], tf.int32)
        if labels:
            for label in self.labels:
                batch[label.name] = tf.cast(columns[label.name], tf.float32)
            for key, _ in self.key_columns.values():
                batch.setdefault(key, columns[key])
            if self.weight is not None:
                batch[self.weight] = columns[self.weight]
        return batch

    def tfds_features(self, **extra: Any) -> Any:
        """The flat TensorFlow Datasets feature dict of this schema; `extra` adds columns beside it."""
        import tensorflow_datasets as tfds

        columns: dict[str, Any] = {}
        for feature in self.features:
            if isinstance(feature, Numeric):
                columns[feature.name] = tfds.features.Scalar(np.float32)
            elif isinstance(feature, Vector):
                columns[feature.name] = tfds.features.Tensor(shape=(feature.dim,), dtype=np.float32)
            elif feature.max_values is None:
                columns[feature.name] = _tfds_scalar(feature.dtype)
            else:
                columns[feature.name] = tfds.features.Sequence(_tfds_scalar(feature.dtype))
        for sequence in self.sequences:
            for field in sequence.fields:
                columns[sequence.column(field.name)] = tfds.features.Sequence(_tfds_scalar(field.dtype))
        for label in self.labels:
            columns[label.name] = tfds.features.Scalar(np.int64)
        for key, dtype in self.key_columns.values():
            columns.setdefault(key, _tfds_scalar(dtype))
        if self.weight is not None:
            columns[self.weight] = tfds.features.Scalar(np.float32)
        return tfds.features.FeaturesDict({**columns, **extra})


def _keyed(features: Iterable[Feature], sequences: Iterable[Sequence]) -> Iterator[tuple[str, Feature]]:
    """Features and fields of sequences, each by its column."""
    yield from ((f.name, f) for f in features)
    for sequence in sequences:
        yield from ((sequence.column(f.name), f) for f in sequence.fields)


def _ragged(feature: Categorical | Numeric) -> tf.io.RaggedFeature:
    return tf.io.RaggedFeature(tf.as_dtype(feature.dtype), row_splits_dtype=tf.int32)


def _tfds_scalar(dtype: str) -> Any:
    import tensorflow_datasets as tfds

    return tfds.features.Text() if dtype == "string" else tfds.features.Scalar(np.dtype(dtype))
