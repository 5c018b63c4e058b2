"""A behaviour history."""

from typing import Literal

from pydantic import Field, model_validator

from tf_interformer.schema._model import SchemaModel
from tf_interformer.schema.categorical import Categorical, Name


class Sequence(SchemaModel):
    """A behaviour sequence: events oldest first, each with one or more aligned fields.

    The field `F` of sequence `S` is the column `S_F`, a list with one value per event. In a raw batch it is
    `[batch, time]`, padded on the right, and the column `S_length` says how many events are real.

    Args:
        name: str. Name of the sequence.
        fields: tuple of `Categorical`. The aligned fields of an event; `table` lets a field share the
            embedding of the target's feature.
        max_length: int. Only the most recent so many events are used. Defaults to 50.

    Raises:
        SchemaError: No field, two fields of one name, a multi-valued field, or one with `serve_as`.

    Example:

    >>> watched = Sequence("watched", fields=[Categorical("video_id", table="video_id")], max_length=20)
    >>> watched.column("video_id"), watched.length_column
    ('watched_video_id', 'watched_length')
    """

    kind: Literal["sequence"] = "sequence"
    name: Name
    fields: tuple[Categorical, ...] = Field(min_length=1)
    max_length: int = Field(default=50, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> "Sequence":
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise ValueError(f"field names must differ. Received: {names}")
        if "length" in names:
            raise ValueError("no field may be called 'length': that column holds the number of events")
        for field in self.fields:
            if field.max_values is not None:
                raise ValueError(f"field {field.name!r} may not be multi-valued: an event holds one value per field")
            if field.serve_as is not None:
                raise ValueError(f"field {field.name!r} may not set `serve_as`: only a feature may")
        return self

    @property
    def length_column(self) -> str:
        """Name of the column that holds the number of events."""
        return f"{self.name}_length"

    def column(self, field: str) -> str:
        """Name of the column that holds one field."""
        return f"{self.name}_{field}"
