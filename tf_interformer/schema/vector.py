"""A feature that is a vector made elsewhere."""

import math
from typing import Literal

from pydantic import Field

from tf_interformer.arrays import Array, Arrays
from tf_interformer.schema._name import Name
from tf_interformer.schema.encoded_column import VECTOR, EncodedColumn
from tf_interformer.schema.feature_kind import FeatureKind
from tf_interformer.schema.raw_column import RawColumn


class Vector(FeatureKind):
    """A vector that a pre-trained model made, such as the embedding of an item's picture or text.

    It stays as it is; the model learns a linear map `W v` from it to one token. A vector that holds a NaN is
    missing and gives a token of zeros.

    Args:
        name: str. Name of the column; a raw batch holds floats `[batch, dim]`.
        dim: int. Length of the vectors.
        normalize: bool. Whether each is divided by its Euclidean length. Defaults to `True`.

    Raises:
        SchemaError: An argument is out of range.

    Example:

    >>> Vector("item_image", dim=64).normalize
    True
    """

    kind: Literal["vector"] = "vector"
    name: Name
    dim: int = Field(ge=1)
    normalize: bool = True

    def raw_column(self, column: str) -> RawColumn:
        """A vector in each row."""
        return RawColumn(column, "vector", "float32", math.nan, width=self.dim)

    def encoded_columns(self, column: str) -> tuple[EncodedColumn, ...]:
        """The same vectors."""
        return (EncodedColumn(column, "token", "float32", shape=(None, self.dim), rank=VECTOR),)

    def encode(self, column: str, values: Array, arrays: Arrays) -> dict[str, Array]:
        """The vectors, those with a NaN as zeros, divided by their length where `normalize` says so."""
        missing = arrays.any(arrays.is_nan(values), axis=1, keepdims=True)
        values = arrays.where(missing, 0.0, values)
        return {column: arrays.unit(values) if self.normalize else values}
