"""A feature that is a moment."""

from typing import Literal

from pydantic import Field

from tf_interformer.arrays import Array, Arrays
from tf_interformer.schema._name import Name
from tf_interformer.schema.encoded_column import EncodedColumn
from tf_interformer.schema.feature_kind import FeatureKind
from tf_interformer.schema.raw_column import RawColumn

_HOUR, _MISSING = 3600, -1


class Moment(FeatureKind):
    """A moment, such as that of the request, or that of an event: models are told the hour and the day of the week.

    The moment itself is no feature, for no later one has been seen in training. -1 is missing.

    Args:
        name: str. Name of the column, or of the field of a sequence; a raw batch holds whole numbers since 1970, UTC.
        unit: `"s"` or `"ms"`. What they count. Defaults to `"s"`.
        utc_offset: int. Seconds by which the users' clocks are ahead of UTC. Defaults to 0.

    Raises:
        SchemaError: An argument is out of range.

    Example:

    >>> [column.name for column in Moment("shown_at").encoded_columns("shown_at")]
    ['shown_at_hour', 'shown_at_weekday']
    """

    kind: Literal["moment"] = "moment"
    name: Name
    unit: Literal["s", "ms"] = "s"
    utc_offset: int = Field(default=0, ge=-24 * _HOUR, le=24 * _HOUR)

    def raw_column(self, column: str) -> RawColumn:
        """One whole number in each row."""
        return RawColumn(column, "value", "int64", _MISSING)

    def encoded_columns(self, column: str) -> tuple[EncodedColumn, ...]:
        """The id of the hour, and that of the day of the week: 2 is midnight, or Monday."""
        hour, weekday = f"{column}_hour", f"{column}_weekday"
        return (
            EncodedColumn(hour, "token", table=hour, num_ids=2 + 24),
            EncodedColumn(weekday, "token", table=weekday, num_ids=2 + 7),
        )

    def encode(self, column: str, values: Array, arrays: Arrays) -> dict[str, Array]:
        """Both ids."""
        seconds = values // 1000 if self.unit == "ms" else values
        hours = (seconds + self.utc_offset) // _HOUR
        # 1 January 1970 was a Thursday.
        told = {f"{column}_hour": hours % 24, f"{column}_weekday": (hours // 24 + 3) % 7}
        missing = arrays.equal(values, _MISSING)
        return {name: arrays.where(missing, 0, 2 + arrays.cast(value, "int32")) for name, value in told.items()}
