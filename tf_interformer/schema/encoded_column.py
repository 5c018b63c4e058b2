"""One column of an encoded batch."""

from dataclasses import dataclass
from typing import Literal

from tf_interformer.schema.raw_column import Side

# In which order columns stand, and with them feature tokens and tables; those of one rank stand as in the schema.
BUCKET, FEATURE, EVENT, LATEST, VECTOR = range(5)


@dataclass(frozen=True)
class EncodedColumn:
    """One column of an encoded batch, as the `Preprocessor` makes it and the `TokenEmbedder` reads it.

    A feature makes its own, and the schema adds what follows from the rest of it: `FeatureSchema.encoded_columns`.

    Args:
        name: str. Name of the column.
        goes: str. Where: `"dense"`, a number of the dense token; `"token"`, a feature token of its own, which ids read
            from a table and vectors are mapped to; `"event"`, a part of the events of a sequence; `"length"`, how many
            of these are real.
        dtype: `"int32"` or `"float32"`. Ids and lengths, or numbers and vectors. Defaults to `"int32"`.
        shape: tuple. Shape in an encoded batch. Defaults to `(None,)`.
        side: `"user"` or `"candidate"`. Of a request with many candidates, whether it has one row or a row for each.
            Defaults to `"user"`.
        table: str or None. Of ids, the column that owns the table in which they are looked up. Defaults to `None`.
        num_ids: int or None. How many ids the table has; None before it is learned. Defaults to `None`.
        embedding_dim: int or None. Width of the table. Defaults to `None`: the model's.
        pooling: `"mean"`, `"sum"`, `"max"` or None. How several ids of a row become one token. Defaults to `None`.
        sequence: str or None. Name of the sequence that it is told of. Defaults to `None`.
        rank: int. Columns stand in its order. Defaults to that of a feature.

    Example:

    >>> column = EncodedColumn("price_bucket", "token", table="price_bucket", num_ids=11, rank=BUCKET)
    >>> column.is_id, column.dtype
    (True, 'int32')
    """

    name: str
    goes: Literal["dense", "token", "event", "length"]
    dtype: Literal["int32", "float32"] = "int32"
    shape: tuple[int | None, ...] = (None,)
    side: Side = "user"
    table: str | None = None
    num_ids: int | None = None
    embedding_dim: int | None = None
    pooling: Literal["mean", "sum", "max"] | None = None
    sequence: str | None = None
    rank: int = FEATURE

    @property
    def is_id(self) -> bool:
        """Whether it holds ids of a table."""
        return self.table is not None

    @property
    def is_code(self) -> bool:
        """Whether it holds one id of each row, of a feature or of the latest event: not of the bucket of a number."""
        return self.is_id and self.goes == "token" and self.pooling is None and self.rank != BUCKET
