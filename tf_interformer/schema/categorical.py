"""A feature that takes one, or a few, of many values."""

from typing import Literal

from pydantic import Field, StrictInt, StrictStr, model_validator

from tf_interformer.arrays import Array, Arrays
from tf_interformer.schema._name import Name
from tf_interformer.schema._table_learner import TableLearner
from tf_interformer.schema.encoded_column import EncodedColumn
from tf_interformer.schema.feature_kind import FeatureKind
from tf_interformer.schema.raw_column import RawColumn


class Categorical(FeatureKind):
    """A categorical feature: string or integer values, looked up in a vocabulary or hashed.

    Id 0 means "nothing there" and embeds to zeros, 1 is out of vocabulary, 2 and up are the vocabulary
    (most frequent first) or the hash buckets.

    Args:
        name: str. Name of the column: any text without control characters, as in every part of a schema.
        dtype: `"string"` or `"int64"`. Type of the raw values. Defaults to `"string"`.
        table: str or None. Name of another categorical feature whose vocabulary and embedding table this
            one shares. Defaults to `None`: a table of its own.
        hash_buckets: int or None. Hash the values into so many buckets in place of learning a vocabulary.
            Defaults to `None`.
        vocabulary: tuple or None. The known values. Learned from the training split when `None`.
        min_count: int. Values seen less often than this in training are out of vocabulary. Defaults to 1.
        max_values: int or None. The feature holds up to so many values (tags, genres): a raw batch is
            `[batch, max_values]`, padded with `missing`. Defaults to `None`: exactly one value.
        pooling: `"mean"`, `"sum"` or `"max"`. How the values of a multi-valued feature become one token.
            Defaults to `"mean"`.
        missing: str or int. The raw value that stands for "nothing there". Defaults to `""` for strings
            and -1 for integers.
        embedding_dim: int or None. Width of the table when it differs from the model's; the token is
            then projected to the model's width. Defaults to `None`.
        serve_as: str, int or None. The value that takes the column's place in `Ranker.score` and in an exported
            model, which do not ask for it: for what is known of a logged impression only, such as its position.
            Training and evaluation use the logged values. Defaults to `None`: an input like any other.

    Raises:
        SchemaError: An argument is out of range or contradicts another.

    Example:

    >>> Categorical("country", min_count=10).missing
    ''
    >>> Categorical("tags", dtype="int64", max_values=3).missing
    -1
    """

    kind: Literal["categorical"] = "categorical"
    name: Name
    dtype: Literal["string", "int64"] = "string"
    table: str | None = None
    hash_buckets: int | None = Field(default=None, ge=1)
    # Strict: a list of "1", "2" from a file must not become one of integers.
    vocabulary: tuple[StrictInt, ...] | tuple[StrictStr, ...] | None = None
    min_count: int = Field(default=1, ge=1)
    max_values: int | None = Field(default=None, ge=1)
    pooling: Literal["mean", "sum", "max"] = "mean"
    missing: StrictInt | StrictStr | None = None
    embedding_dim: int | None = Field(default=None, ge=1)
    serve_as: StrictInt | StrictStr | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_missing(cls, data: dict) -> dict:
        if data.get("missing") is None:
            data = {**data, "missing": -1 if data.get("dtype") == "int64" else ""}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> "Categorical":
        python_type = int if self.dtype == "int64" else str
        if not isinstance(self.missing, python_type):
            raise ValueError(f"`missing` must be of the feature's dtype {self.dtype}. Received: {self.missing!r}")
        if self.serve_as is not None and not isinstance(self.serve_as, python_type):
            raise ValueError(f"`serve_as` must be of the feature's dtype {self.dtype}. Received: {self.serve_as!r}")
        if self.serve_as is not None and self.max_values is not None:
            raise ValueError("`serve_as` is one value, so the feature may not be multi-valued")
        if self.hash_buckets is not None and self.vocabulary is not None:
            raise ValueError("give `hash_buckets` or `vocabulary`, not both")
        if self.table is not None and (self.hash_buckets is not None or self.vocabulary is not None):
            raise ValueError(f"it shares table {self.table!r}, so only the owner may set a vocabulary or buckets")
        if self.table is not None and self.embedding_dim is not None:
            raise ValueError(f"it shares table {self.table!r}, so only the owner may set `embedding_dim`")
        if self.vocabulary is not None:
            wrong = next((v for v in self.vocabulary if not isinstance(v, python_type)), None)
            if wrong is not None:
                raise ValueError(f"`vocabulary` must hold {self.dtype} values. Received: {wrong!r}")
            if len(set(self.vocabulary)) != len(self.vocabulary):
                raise ValueError("`vocabulary` holds a value twice")
            if self.missing in self.vocabulary:
                raise ValueError(f"`vocabulary` may not hold the missing value {self.missing!r}")
        return self

    @property
    def shares_table(self) -> str | None:
        """The column whose vocabulary and embedding table it shares, if any."""
        return self.table

    @property
    def is_learned(self) -> bool:
        """Whether the values are known, hashed or another column's."""
        return self.table is not None or self.hash_buckets is not None or self.vocabulary is not None

    @property
    def num_ids(self) -> int:
        """Number of ids, the two reserved ones included; the vocabulary must be known."""
        if self.hash_buckets is not None:
            return 2 + self.hash_buckets
        if self.vocabulary is None:
            raise ValueError(f"Categorical {self.name!r} has no vocabulary yet: call FeatureSchema.learn first")
        return 2 + len(self.vocabulary)

    def raw_column(self, column: str) -> RawColumn:
        """One value in each row, or a list of them."""
        return RawColumn(
            column,
            "value" if self.max_values is None else "values",
            self.dtype,
            self.missing,
            width=self.max_values,
            table=self.table or column,
            serve_as=self.serve_as,
        )

    def encoded_columns(self, column: str) -> tuple[EncodedColumn, ...]:
        """The id of each value."""
        return (
            EncodedColumn(
                column,
                "token",
                shape=(None,) if self.max_values is None else (None, self.max_values),
                table=self.table or column,
                num_ids=self.num_ids if self.table is None and self.is_learned else None,
                embedding_dim=self.embedding_dim,
                pooling=None if self.max_values is None else self.pooling,
            ),
        )

    def encode(self, column: str, values: Array, arrays: Arrays) -> dict[str, Array]:
        """The ids of the values."""
        return {column: arrays.ids(self.table or column, values, self.missing)}

    def learner(self) -> TableLearner | None:
        """Learns the vocabulary of the table that it owns."""
        return TableLearner(self) if self.table is None else None
