"""A feature that is a vector made elsewhere."""

from typing import Literal

from pydantic import Field

from tf_interformer.schema._model import SchemaModel
from tf_interformer.schema._name import Name


class Vector(SchemaModel):
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
