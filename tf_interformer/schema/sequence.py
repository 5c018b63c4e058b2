"""A behaviour history."""

from dataclasses import replace
from functools import cached_property
from typing import Literal

from pydantic import Field, model_validator

from tf_interformer.schema._model import SchemaModel
from tf_interformer.schema._name import Name
from tf_interformer.schema.categorical import Categorical
from tf_interformer.schema.distance import Distance
from tf_interformer.schema.encoded_column import EVENT, EncodedColumn
from tf_interformer.schema.kinds import EventField
from tf_interformer.schema.match import Match
from tf_interformer.schema.numeric import Numeric
from tf_interformer.schema.raw_column import RawColumn


class Sequence(SchemaModel):
    """A behaviour sequence: events oldest first, each with one or more aligned fields.

    The field `F` of sequence `S` is the column `S_F`, a list with one value per event. In a raw batch it is
    `[batch, time]`, padded on the right, and the column `S_length` says how many events are real.

    A field may be a number, such as a price or the time spent, with the transforms of a feature; its mean and deviation
    are those of the training split's events. How long ago an event was, is one too: the seconds from the event to the
    row, `Numeric("age", transform="log")`, which whoever asks for a score works out for that moment. Of a `Moment`
    models are told the hour and the weekday.

    Args:
        name: str. Name of the sequence.
        fields: tuple of `Categorical`, `Numeric` and `Moment`. The aligned fields of an event; `table` lets a field
            share the embedding of the target's feature.
        max_length: int. Only the most recent so many events are used. Defaults to 50.
        match: tuple of str. Names of fields in which the candidate itself may stand, such as its id, brand or author;
            each names the candidate's feature by `table`. Both are compared by their raw values, so also outside the
            vocabulary, and models are told of each event whether it was this candidate, how often it was, how long
            ago (in events), and the other fields of the latest such event. New items, whose embeddings know nothing,
            are recognised so. Defaults to none.
        distance: tuple of str. Names of fields of whole numbers on a scale, such as a place in the list, a price level
            or an age; each names the candidate's feature by `table`. Models are told of each event how far the
            candidate lies from it, and of the latest one with a value on its own. Defaults to none.
        age: str or None. Name of the field that says how long ago an event was, a `Numeric` of any transform: a model
            that places events by time reads it, as `InterFormer(rotary="time")` does. Defaults to `None`.

    Raises:
        SchemaError: No field, two fields of one name, a multi-valued field, one with `serve_as` or with `buckets`; or a
            `match` or `distance` that names no categorical field or one without `table`; a `distance` of strings; or an
            `age` that names no `Numeric`.

    Example:

    >>> watched = Sequence("watched", fields=[Categorical("video_id", table="video_id")], max_length=20)
    >>> watched.column("video_id"), watched.length_column
    ('watched_video_id', 'watched_length')
    >>> fields = [Categorical("video_id", table="video_id"), Categorical("outcome")]
    >>> Sequence("watched", fields=fields, match=["video_id"]).matches[0].columns
    ('watched_video_id_match', 'watched_video_id_match_count', 'watched_video_id_match_recency', \
'watched_video_id_last_outcome')
    """

    kind: Literal["sequence"] = "sequence"
    name: Name
    fields: tuple[EventField, ...] = Field(min_length=1)
    max_length: int = Field(default=50, ge=1)
    match: tuple[Name, ...] = ()
    distance: tuple[Name, ...] = ()
    age: Name | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Sequence":
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise ValueError(f"field names must differ. Received: {names}")
        if "length" in names:
            raise ValueError("no field may be called 'length': that column holds the number of events")
        fault = next(filter(None, (field.fault_as_field for field in self.fields)), None)
        if fault is not None:
            raise ValueError(fault)
        self._check_compared("match", self.match)
        self._check_compared("distance", self.distance)
        for field in self.categoricals:
            if field.name in self.distance and field.dtype != "int64":
                raise ValueError(f"field {field.name!r} of `distance` must have dtype int64. Received: {field.dtype}")
        if self.age is not None and self.age_field is None:
            numbers = [field.name for field in self.fields if isinstance(field, Numeric)]
            raise ValueError(f"`age` must name a numeric field, which are {numbers}. Received: {self.age!r}")
        return self

    def _check_compared(self, argument: str, chosen: tuple[str, ...]) -> None:
        tables = self._tables
        for name in chosen:
            if name not in tables:
                raise ValueError(
                    f"`{argument}` must name categorical fields, which are {list(tables)}. Received: {name!r}"
                )
            if tables[name] is None:
                raise ValueError(
                    f"field {name!r} of `{argument}` needs `table`, the candidate's feature it is compared with. "
                    "Received: table=None"
                )
        if len(set(chosen)) != len(chosen):
            raise ValueError(f"`{argument}` must name each field once. Received: {list(chosen)}")

    @property
    def categoricals(self) -> tuple[Categorical, ...]:
        """The fields that take one of many values."""
        return tuple(field for field in self.fields if isinstance(field, Categorical))

    @property
    def age_field(self) -> Numeric | None:
        """The field that `age` names."""
        found = (field for field in self.fields if isinstance(field, Numeric) and field.name == self.age)
        return next(found, None)

    @property
    def length_column(self) -> str:
        """Name of the column that holds the number of events."""
        return f"{self.name}_length"

    @property
    def matches(self) -> tuple[Match, ...]:
        """The fields in which the candidate may stand."""
        compared = {self.column(name) for name in (*self.match, *self.distance)}
        carried = tuple(made.name for made in self._field_columns if made.is_id and made.name not in compared)
        return tuple(
            Match(self.name, self.column(name), table, carried, self.number_columns)
            for name, table in self._tables.items()
            if name in self.match and table is not None
        )

    @property
    def distances(self) -> tuple[Distance, ...]:
        """The fields whose distance to the candidate is told."""
        return tuple(
            Distance(self.column(name), table)
            for name, table in self._tables.items()
            if name in self.distance and table is not None
        )

    @property
    def _tables(self) -> dict[str, str | None]:
        return {field.name: field.table for field in self.categoricals}

    @property
    def comparisons(self) -> tuple[Match | Distance, ...]:
        """All that is compared with the candidate."""
        return (*self.matches, *self.distances)

    @cached_property
    def raw_columns(self) -> tuple[RawColumn, ...]:
        """What of it a raw batch holds: its fields, then their length."""
        made = (field.raw_column(self.column(field.name)) for field in self.fields)
        events = (replace(column, kind="events", length=self.length_column) for column in made)
        found = (*events, RawColumn(self.length_column, "length", "int32"))
        return tuple(replace(column, width=self.max_length, sequence=self.name) for column in found)

    @cached_property
    def encoded_columns(self) -> tuple[EncodedColumn, ...]:
        """What of it an encoded batch holds: its fields, what comes of comparing them, and their length."""
        tables = {made.name: made.table for made in self._field_columns}
        compared = [made for one in self.comparisons for made in one.encoded_columns(tables, self.max_length)]
        return (
            *self._field_columns,
            *(replace(made, side="candidate", sequence=self.name) for made in compared),
            EncodedColumn(self.length_column, "length", sequence=self.name),
        )

    @cached_property
    def _field_columns(self) -> tuple[EncodedColumn, ...]:
        """Of `encoded_columns` those that the fields alone make."""
        found = (made for field in self.fields for made in field.encoded_columns(self.column(field.name)))
        shape = (None, self.max_length)
        return tuple(replace(made, goes="event", shape=shape, sequence=self.name, rank=EVENT) for made in found)

    @property
    def id_columns(self) -> tuple[str, ...]:
        """The encoded columns that hold an id for each event."""
        return tuple(c.name for c in self.encoded_columns if c.goes == "event" and c.is_id)

    @property
    def number_columns(self) -> tuple[str, ...]:
        """The encoded columns that hold a number for each event."""
        return tuple(made.name for made in self._field_columns if not made.is_id)

    @property
    def event_columns(self) -> tuple[str, ...]:
        """The encoded columns that hold something for each event."""
        return (*self.id_columns, *self.number_columns)

    @property
    def event_parts(self) -> tuple[tuple[str, ...], ...]:
        """The encoded columns of what stands side by side in an embedded event: each id, then all numbers together."""
        return (*((column,) for column in self.id_columns), *([self.number_columns] if self.number_columns else []))

    def column(self, field: str) -> str:
        """Name of the column that holds one field."""
        return f"{self.name}_{field}"

    def without(self, *columns: str) -> "Sequence | None":
        """The same sequence without some of its `event_columns`, and what refers to them; `None` without any field."""
        fields = tuple(field for field in self.fields if self.column(field.name) not in columns)
        if not fields:
            return None
        no_match = {*columns, *(one.field for one in self.matches if one.events in columns)}
        no_distance = {*columns, *(one.field for one in self.distances if one.events in columns)}
        left = {
            "fields": fields,
            "match": tuple(name for name in self.match if self.column(name) not in no_match),
            "distance": tuple(name for name in self.distance if self.column(name) not in no_distance),
            "age": self.age if any(field.name == self.age for field in fields) else None,
        }
        return self.replace(**left)
