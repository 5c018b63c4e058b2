"""A behaviour history."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag, model_validator
from pydantic import Field as Option

from tf_interformer.comparisons import Distance, Match, distances_of, matches_of
from tf_interformer.schema._model import SchemaModel
from tf_interformer.schema._name import Name
from tf_interformer.schema.categorical import Categorical
from tf_interformer.schema.numeric import Numeric


def _kind(field: Any) -> str:
    return field.get("kind", "categorical") if isinstance(field, dict) else getattr(field, "kind", "categorical")


Field = Annotated[Annotated[Categorical, Tag("categorical")] | Annotated[Numeric, Tag("numeric")], Discriminator(_kind)]


class Sequence(SchemaModel):
    """A behaviour sequence: events oldest first, each with one or more aligned fields.

    The field `F` of sequence `S` is the column `S_F`, a list with one value per event. In a raw batch it is
    `[batch, time]`, padded on the right, and the column `S_length` says how many events are real.

    A field may be a number, such as a price or the time spent, with the transforms of a feature; its mean and deviation
    are those of the training split's events. How long ago an event was, is one too: the seconds from the event to the
    row, `Numeric("age", transform="log")`, which whoever asks for a score works out for that moment.

    Args:
        name: str. Name of the sequence.
        fields: tuple of `Categorical` and `Numeric`. The aligned fields of an event; `table` lets a field share
            the embedding of the target's feature.
        max_length: int. Only the most recent so many events are used. Defaults to 50.
        match: tuple of str. Names of fields in which the candidate itself may stand, such as its id, brand or author;
            each names the candidate's feature by `table`. Both are compared by their raw values, so also outside the
            vocabulary, and models are told of each event whether it was this candidate, how often it was, how long
            ago (in events), and the other fields of the latest such event. New items, whose embeddings know nothing,
            are recognised so. Defaults to none.
        distance: tuple of str. Names of fields of whole numbers on a scale, such as a place in the list, a price level
            or an age; each names the candidate's feature by `table`. Models are told of each event how far the
            candidate lies from it, and of the latest one with a value on its own. Defaults to none.

    Raises:
        SchemaError: No field, two fields of one name, a multi-valued field, one with `serve_as` or with `buckets`; or a
            `match` or `distance` that names no categorical field or one without `table`; or a `distance` of strings.

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
    fields: tuple[Field, ...] = Option(min_length=1)
    max_length: int = Option(default=50, ge=1)
    match: tuple[Name, ...] = ()
    distance: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> "Sequence":
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise ValueError(f"field names must differ. Received: {names}")
        if "length" in names:
            raise ValueError("no field may be called 'length': that column holds the number of events")
        for field in self.fields:
            if isinstance(field, Numeric) and field.buckets:
                raise ValueError(f"field {field.name!r} may have no `buckets`: only a feature may")
            if isinstance(field, Categorical) and field.max_values is not None:
                raise ValueError(f"field {field.name!r} may not be multi-valued: an event holds one value per field")
            if field.serve_as is not None:
                raise ValueError(f"field {field.name!r} may not set `serve_as`: only a feature may")
        self._check_compared("match", self.match)
        self._check_compared("distance", self.distance)
        for field in self.categoricals:
            if field.name in self.distance and field.dtype != "int64":
                raise ValueError(f"field {field.name!r} of `distance` must have dtype int64. Received: {field.dtype}")
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
    def length_column(self) -> str:
        """Name of the column that holds the number of events."""
        return f"{self.name}_length"

    @property
    def matches(self) -> tuple[Match, ...]:
        """The fields in which the candidate may stand."""
        numbers = [field.name for field in self.fields if isinstance(field, Numeric)]
        return matches_of(self.name, self._tables, numbers, self.match, self.distance)

    @property
    def distances(self) -> tuple[Distance, ...]:
        """The fields whose distance to the candidate is told."""
        return distances_of(self.name, self._tables, self.distance)

    @property
    def _tables(self) -> dict[str, str | None]:
        return {field.name: field.table for field in self.categoricals}

    @property
    def comparisons(self) -> tuple[Match | Distance, ...]:
        """All that is compared with the candidate."""
        return (*self.matches, *self.distances)

    @property
    def id_columns(self) -> tuple[str, ...]:
        """The encoded columns that hold an id for each event."""
        return (*(self.column(field.name) for field in self.categoricals), *(one.events for one in self.comparisons))

    @property
    def number_columns(self) -> tuple[str, ...]:
        """The encoded columns that hold a number for each event."""
        return tuple(self.column(field.name) for field in self.fields if isinstance(field, Numeric))

    @property
    def event_columns(self) -> tuple[str, ...]:
        """The encoded columns that hold something for each event."""
        return (*self.id_columns, *self.number_columns)

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
        }
        return self.model_copy(update=left)
