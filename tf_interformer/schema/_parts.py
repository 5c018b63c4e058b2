"""What a schema consists of."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from tf_interformer.schema._model import SchemaModel
from tf_interformer.schema._name import Name
from tf_interformer.schema.categorical import Categorical
from tf_interformer.schema.distance import Distance
from tf_interformer.schema.encoded_column import EncodedColumn
from tf_interformer.schema.errors import SchemaError
from tf_interformer.schema.kinds import EventField, Feature
from tf_interformer.schema.label import Label
from tf_interformer.schema.match import Match
from tf_interformer.schema.numeric import Numeric
from tf_interformer.schema.raw_column import RawColumn
from tf_interformer.schema.sequence import Sequence
from tf_interformer.schema.vector import Vector

KeyType = Literal["int64", "string"]


class SchemaParts(SchemaModel):
    """The parts of a `FeatureSchema`, and the columns and tables that follow from them.

    It stands below what checks, learns and reads by a schema; users have `FeatureSchema`, whose arguments these are.

    Example:

    >>> from tf_interformer.schema import Categorical, FeatureSchema, Label, Numeric
    >>> schema = FeatureSchema(features=[Categorical("item"), Numeric("price", buckets=4)], labels=[Label("click")])
    >>> [column.name for column in schema.raw_columns]
    ['item', 'price', 'click']
    >>> [column.name for column in schema.encoded_columns]
    ['price_bucket', 'item', 'price']
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

    # Columns

    @cached_property
    def raw_columns(self) -> tuple[RawColumn, ...]:
        """The columns of a raw batch that training needs; those with `is_served` are what a served model takes."""
        made = [feature.raw_column(feature.name) for feature in self.features]
        made = [replace(column, side="candidate" if column.name in self.candidate else "user") for column in made]
        for sequence in self.sequences:
            made += sequence.raw_columns
        made += [RawColumn(label.name, "label", "float32", side="candidate") for label in self.labels]
        known = {column.name for column in made}
        # A key that is a feature, or both keys, is read once.
        keys = dict(self.key_columns.values())
        made += [RawColumn(name, "key", dtype) for name, dtype in keys.items() if name not in known]
        if self.weight is not None:
            made.append(RawColumn(self.weight, "weight", "float32", side="candidate"))
        return tuple(made)

    @cached_property
    def served_columns(self) -> tuple[RawColumn, ...]:
        """The columns that a served model takes."""
        return tuple(column for column in self.raw_columns if column.is_served)

    @cached_property
    def encoded_columns(self) -> tuple[EncodedColumn, ...]:
        """The columns of an encoded batch; feature tokens stand in their order."""
        made: list[EncodedColumn] = []
        for feature in self.features:
            side: Literal["user", "candidate"] = "candidate" if feature.name in self.candidate else "user"
            made += [replace(column, side=side) for column in feature.encoded_columns(feature.name)]
        for sequence in self.sequences:
            made += sequence.encoded_columns
        owners = {column.name: column for column in made if column.name == column.table}
        known = [replace(c, num_ids=o.num_ids, embedding_dim=o.embedding_dim) if (o := owners.get(c.table or "")) else c
                 for c in made]  # fmt: skip
        return tuple(sorted(known, key=lambda column: column.rank))

    @cached_property
    def served_candidate(self) -> tuple[str, ...]:
        """The names in `candidate` that a served model asks for: those without `serve_as`."""
        return tuple(name for name in self.candidate if name not in self.served_as)

    @property
    def served_as(self) -> dict[str, int | float | str]:
        """The columns that the served model does not ask for, and the value each is served as."""
        return {c.name: c.serve_as for c in self.raw_columns if c.serve_as is not None}

    @cached_property
    def numbers(self) -> tuple[str, ...]:
        """The encoded columns that hold a number for each example: the numeric features, and what matches count."""
        return tuple(column.name for column in self.encoded_columns if column.goes == "dense")

    @cached_property
    def candidate_columns(self) -> frozenset[str]:
        """The encoded columns that differ between the candidates of one request."""
        return frozenset(column.name for column in self.encoded_columns if column.side == "candidate")

    @property
    def id_counts(self) -> dict[str, int]:
        """How many ids each encoded column of ids has; the schema must be learned."""
        return {column.name: column.num_ids for column in self.encoded_columns if column.num_ids is not None}

    @property
    def key_columns(self) -> dict[str, tuple[str, KeyType]]:
        """What names the user and the list of an impression: `"group"` and `"request"`, each its column and dtype.

        Only those that the schema has.
        """
        keys = {"group": (self.group, self.group_dtype), "request": (self.request, self.request_dtype)}
        features = {f.name: f.dtype for f in self.categoricals}
        return {role: (c, features.get(c, dtype)) for role, (c, dtype) in keys.items() if c is not None}

    # What is in it

    def __getitem__(self, name: str) -> Feature:
        """The feature, or sequence field (by its column), of that name."""
        for key, feature in self.keyed_features():
            if key == name:
                return feature
        raise KeyError(f"schema {self.name!r} has no feature {name!r}. It has: "
                       f"{', '.join(key for key, _ in self.keyed_features())}")  # fmt: skip

    @property
    def categoricals(self) -> tuple[Categorical, ...]:
        """The categorical non-sequence features."""
        return tuple(f for f in self.features if isinstance(f, Categorical))

    @property
    def numerics(self) -> tuple[Numeric, ...]:
        """The numeric features."""
        return tuple(f for f in self.features if isinstance(f, Numeric))

    @property
    def vectors(self) -> tuple[Vector, ...]:
        """The vectors made elsewhere."""
        return tuple(f for f in self.features if isinstance(f, Vector))

    @property
    def comparisons(self) -> tuple[Match | Distance, ...]:
        """What of all sequences is compared with the candidate."""
        return tuple(comparison for sequence in self.sequences for comparison in sequence.comparisons)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the labels."""
        return tuple(label.name for label in self.labels)

    @property
    def tables(self) -> dict[str, Categorical]:
        """The features, or sequence fields, that own a vocabulary and a table, by column."""
        keyed = dict(self.keyed_features())
        return {key: f for key, f in keyed.items() if isinstance(f, Categorical) and f.table is None}

    def table_of(self, key: str) -> str:
        """Name of the table in which the categorical column `key` is looked up."""
        feature = self[key]
        if not isinstance(feature, Categorical):
            raise SchemaError(f"{key!r} is not categorical, so it has no vocabulary")
        return feature.table or key

    @property
    def is_learned(self) -> bool:
        """Whether every vocabulary and statistic is known."""
        return not self._unlearned

    @property
    def _unlearned(self) -> list[str]:
        features = [key for key, feature in self.keyed_features() if not feature.is_learned]
        return features + [label.name for label in self.labels if label.mean is None]

    def require_learned(self) -> None:
        """Raise a `SchemaError` that says what to do when a vocabulary or statistic is missing."""
        if not self.is_learned:
            raise SchemaError(
                f"schema {self.name!r} has no vocabularies and statistics yet: call "
                "`schema = schema.learn(batches_of_the_training_split)` first. Not known are those of: "
                f"{', '.join(self._unlearned)}"
            )

    def keyed_features(self) -> Iterator[tuple[str, Feature | EventField]]:
        """Features and fields of sequences, each by its column."""
        yield from ((f.name, f) for f in self.features)
        for sequence in self.sequences:
            yield from ((sequence.column(f.name), f) for f in sequence.fields)

    def get_config(self) -> dict[str, Any]:
        """A JSON-able dict from which `from_config` makes an equal schema."""
        return self.model_dump(mode="json", exclude_defaults=False)
