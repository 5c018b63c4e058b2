"""What a kind of feature has to say of itself."""

from tf_interformer.arrays import Array, Arrays
from tf_interformer.schema._learner import Learner
from tf_interformer.schema._model import SchemaModel
from tf_interformer.schema._name import Name
from tf_interformer.schema.encoded_column import EncodedColumn
from tf_interformer.schema.raw_column import RawColumn


class FeatureKind(SchemaModel):
    """Base class of the kinds of features: everything else in the library goes by what these methods return.

    `column` is always the name of the feature's column: its own, or, of a field of a sequence, the sequence's and its.
    A new kind is one file with one class, and its name in `schema/kinds.py`: CONTRIBUTING.md shows how.

    Args:
        kind: str. By what schema files tell the kinds apart; a `Literal` with a default.
        name: str. Name of the column, or of the field of a sequence.

    Example:

    >>> from tf_interformer.schema import Numeric
    >>> [made.name for made in Numeric("price", buckets=4).encoded_columns("price")]
    ['price', 'price_bucket']
    """

    kind: str
    name: Name

    def raw_column(self, column: str) -> RawColumn:
        """What of it a raw batch holds."""
        raise NotImplementedError

    def encoded_columns(self, column: str) -> tuple[EncodedColumn, ...]:
        """What of it an encoded batch holds; of one that shares a table, without the numbers of the owner's."""
        raise NotImplementedError

    def encode(self, column: str, values: Array, arrays: Arrays) -> dict[str, Array]:
        """The encoded columns of some raw values; of a field the values are `[batch, time]`.

        The id of a missing value is 0.
        """
        raise NotImplementedError

    def learner(self) -> Learner | None:
        """What learns from the training split what was not given by hand; `None` where there is nothing to learn."""
        return None

    @property
    def shares_table(self) -> str | None:
        """The column whose vocabulary and embedding table it shares, if any."""
        return None

    @property
    def has_vocabulary(self) -> bool:
        """Whether its values are looked up among known ones, or hashed."""
        return self.raw_column(self.name).table is not None

    @property
    def is_learned(self) -> bool:
        """Whether everything is known that `learner` learns."""
        return True

    @property
    def fault_as_field(self) -> str | None:
        """Why it may not be a field of a sequence; `None` where it may."""
        made = self.raw_column(self.name)
        if made.kind != "value":
            return f"field {self.name!r} may not be multi-valued: an event holds one value per field"
        if made.serve_as is not None:
            return f"field {self.name!r} may not set `serve_as`: only a feature may"
        return None
