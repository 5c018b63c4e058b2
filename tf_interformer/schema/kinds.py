"""The kinds of features there are, each a file of its own."""

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from tf_interformer.schema.categorical import Categorical
from tf_interformer.schema.moment import Moment
from tf_interformer.schema.numeric import Numeric
from tf_interformer.schema.vector import Vector

Feature = Annotated[Categorical | Numeric | Vector | Moment, Field(discriminator="kind")]


def _kind(field: Any) -> str:
    return field.get("kind", "categorical") if isinstance(field, dict) else getattr(field, "kind", "categorical")


# Of an event: without a `kind` it is categorical.
EventField = Annotated[
    Annotated[Categorical, Tag("categorical")] | Annotated[Numeric, Tag("numeric")] | Annotated[Moment, Tag("moment")],
    Discriminator(_kind),
]
