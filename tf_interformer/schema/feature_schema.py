"""The one description of the data."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import model_validator

from tf_interformer.schema._consistency import check_consistent
from tf_interformer.schema._json import config_of
from tf_interformer.schema._parts import KeyType, SchemaParts
from tf_interformer.schema.errors import SchemaError
from tf_interformer.schema.kinds import Feature
from tf_interformer.schema.learning import learned
from tf_interformer.schema.raw_column import RawColumn
from tf_interformer.schema.sequence import Sequence
from tf_interformer.whole import write_text

if TYPE_CHECKING:
    import tensorflow as tf


class FeatureSchema(SchemaParts):
    """Features, behaviour sequences, labels and keys of a ranking log.

    Everything that has to agree about the data is derived from it: the `tf.train.Example` parsing, the
    `Preprocessor`, the `TokenEmbedder`, the TensorFlow Datasets features, the serving signatures.

    A schema is *declared* first and then *learned*: `learn` makes one pass over the training split and
    returns a copy that also holds vocabularies, means, deviations, bucket boundaries and base rates.

    Args:
        name: str. Name of the data set. Defaults to `"log"`.
        features: tuple of `Categorical`, `Numeric`, `Vector` and `Moment`. The non-sequence features.
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
            items ranked in one request, those with `serve_as` among them. Everything else then belongs to the user or
            the context, and `Ranker.score_candidates` computes it once. Defaults to none.

    Raises:
        SchemaError: Two columns of one name, a table that does not exist, no feature or no label, a `serve_as`
            that the vocabulary lacks, no feature left to ask for, a name in `candidate` that is no feature, a sequence
            whose `match` or `distance` goes by what is no feature of the candidate, or several labels where one has a
            `negative_rate`: what dropping its negatives does to the others is no constant.

    Example:

    >>> from tf_interformer.schema import Categorical, Label, Numeric
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

    @model_validator(mode="after")
    def _consistent(self) -> "FeatureSchema":
        check_consistent(self)
        return self

    def with_labels(self, *names: str) -> "FeatureSchema":
        """The same schema with only the named labels, in the order given."""
        by_name = {label.name: label for label in self.labels}
        unknown = [name for name in names if name not in by_name]
        if unknown or not names:
            raise SchemaError(f"schema {self.name!r} has the labels {list(by_name)}. Received: {list(names)}")
        return self.replace(labels=tuple(by_name[name] for name in names))

    def with_max_length(self, max_length: int) -> "FeatureSchema":
        """The same schema with only the most recent `max_length` events of each sequence."""
        if max_length < 1:
            raise SchemaError(f"`max_length` must be at least 1. Received: {max_length}")
        shorter = tuple(s.replace(max_length=min(max_length, s.max_length)) for s in self.sequences)
        return self.replace(sequences=shorter)

    def without(self, *names: str) -> "FeatureSchema":
        """The same schema without some of its inputs, and without what refers to them.

        Args:
            *names: str. Features; sequences; fields of a sequence, by their column; or, by the column of the encoded
                events, what a sequence's `match` or `distance` tells of a field. A column that is also the `group` or
                the `request` stays that.

        Raises:
            SchemaError: A name that the schema does not have, a table that is left without its owner, or no feature
                left.

        Example:

        >>> from tf_interformer.schema import Categorical, Label, Numeric
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
            known += [sequence.name, *(sequence.column(field.name) for field in sequence.fields)]
            known += [comparison.events for comparison in sequence.comparisons]
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
        return self.replace(
            features=features,
            sequences=sequences,
            candidate=tuple(name for name in self.candidate if name not in names),
            **self._key_dtypes(names),
        )

    def _check_owners_stay(self, features: Iterable[Feature], sequences: Iterable[Sequence]) -> None:
        kept = {f.name: f.shares_table for f in features}
        kept |= {s.column(f.name): f.shares_table for s in sequences for f in s.fields}
        for owner in self.tables:
            users = [key for key, table in kept.items() if table == owner]
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

    # JSON

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "FeatureSchema":
        """The schema that `get_config` described."""
        return cls(**config)

    def to_json(self, path: str | os.PathLike | None = None) -> str:
        """The schema as JSON text, also written to `path` when given."""
        text = self.model_dump_json(indent=None if self.is_learned else 1)
        if path is not None:
            write_text(Path(path), text)
        return text

    @classmethod
    def from_json(cls, source: str | os.PathLike) -> "FeatureSchema":
        """Read a schema from JSON text or from the file that holds it."""
        return cls(**config_of(source))

    # Learning

    def learn(self, batches: Iterable[Mapping[str, Any]]) -> "FeatureSchema":
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
        return self.replace(**learned(self, batches))

    # Formats

    def candidate_signature(self) -> dict[str, "tf.TensorSpec"]:
        """What a request with one user and any number of candidates holds, as tensor specs by column.

        The columns of `signature`: those in `candidate` have a row for each item, the others exactly one. Features with
        `serve_as` are in neither.
        """
        from tf_interformer.schema import tensorflow

        return tensorflow.signature(self.served_columns, candidates=True)

    def signature(self, labels: bool = False) -> dict[str, "tf.TensorSpec"]:
        """The raw batch as tensor specs, by column: what a serving signature takes.

        A spec's own name is the column's, or, where that is no name of Python, one made of it.

        Args:
            labels: bool. Whether all that training needs is in it: labels, keys, weight, and the features
                with `serve_as`. Defaults to `False`.
        """
        from tf_interformer.schema import tensorflow

        return tensorflow.signature(self._columns(labels))

    def parsing_spec(self, labels: bool = True) -> dict[str, Any]:
        """The spec with which `tf.io.parse_example` reads this schema's columns from `tf.train.Example`s."""
        from tf_interformer.schema import tensorflow

        return tensorflow.parsing_spec(self._columns(labels))

    def parse_examples(self, serialized: "tf.Tensor", labels: bool = True) -> dict[str, "tf.Tensor"]:
        """Parse a batch of serialized `tf.train.Example`s into a raw batch.

        Args:
            serialized: string tensor `[batch]`.
            labels: bool. Whether all that training needs is read, as in `signature`. Defaults to `True`.
        """
        from tf_interformer.schema import tensorflow

        return tensorflow.parse_examples(self._columns(labels), serialized)

    def dense_batch(self, columns: Mapping[str, Any], labels: bool = True) -> dict[str, "tf.Tensor"]:
        """Make a raw batch of parsed columns: pad the ragged ones and say the length of every history."""
        from tf_interformer.schema import tensorflow

        return tensorflow.dense_batch(self._columns(labels), columns)

    def tfds_features(self, **extra: Any) -> Any:
        """The flat TensorFlow Datasets feature dict of this schema; `extra` adds columns beside it."""
        from tf_interformer.schema import tfds

        return tfds.features(self.raw_columns, **extra)

    def _columns(self, labels: bool) -> tuple[RawColumn, ...]:
        return self.raw_columns if labels else self.served_columns
