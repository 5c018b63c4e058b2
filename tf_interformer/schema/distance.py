"""How far the candidate lies from each event of a history, on a scale of whole numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

from tf_interformer.arrays import Array, Arrays
from tf_interformer.schema._history import Candidate, History
from tf_interformer.schema.encoded_column import EVENT, LATEST, EncodedColumn

# Distances are told apart up to 32, then by powers of 2.
DISTANCE_BOUNDS = (*range(1, 33), *(2**power for power in range(6, 21)))


@dataclass(frozen=True)
class Distance:
    """One field of a sequence whose distance to the candidate is told, and the encoded columns that come of it.

    The distance is `d = candidate - event`. Its id is `2 + b + sign(d) * m`, where `b` is the number of bounds in
    `DISTANCE_BOUNDS` and `m` how many of them are at most `|d|`; it is 0 where one of the two is missing.

    Attributes:
        field: The sequence's column.
        feature: The candidate's feature.

    Example:

    >>> distance = Distance("seen_position", "position")
    >>> distance.columns
    ('seen_position_distance', 'seen_position_distance_latest')
    """

    field: str
    feature: str

    @property
    def of_one_value(self) -> bool:
        """Whether the candidate's feature must have one value."""
        return True

    @property
    def events(self) -> str:
        """Id of the distance of each event, `[batch, time]`."""
        return f"{self.field}_distance"

    @property
    def num_ids(self) -> int:
        """How many ids `events` has."""
        return 3 + 2 * len(DISTANCE_BOUNDS)

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns that hold numbers: none."""
        return ()

    @property
    def latest(self) -> dict[str, str]:
        """Column of the id at the latest event whose distance is known, 0 without any, `[batch]`; and `events`."""
        return {f"{self.events}_latest": self.events}

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them."""
        return (self.events, *self.latest)

    def encoded_columns(self, tables: Mapping[str, str | None], width: int) -> tuple[EncodedColumn, ...]:
        """The same as records; as of `Match`."""
        return (
            EncodedColumn(
                self.events, "event", shape=(None, width), table=self.events, num_ids=self.num_ids, rank=EVENT
            ),
            *(EncodedColumn(name, "token", table=self.events, rank=LATEST) for name in self.latest),
        )

    def encode(self, history: History, candidate: Candidate, arrays: Arrays) -> dict[str, Array]:
        """The columns of some histories, for a candidate of one value."""
        known = history.given[self.field] & candidate.given  # [B, time]
        # float64 tells all integers up to 2^53 apart, and overflows nowhere.
        gap = arrays.cast(candidate.values, "float64") - arrays.cast(history.values[self.field], "float64")
        size = arrays.bucketize(arrays.abs(gap), DISTANCE_BOUNDS)
        ids = 2 + len(DISTANCE_BOUNDS) + arrays.cast(arrays.sign(gap), "int32") * size
        ids = arrays.where(known, ids, 0)
        _, is_latest = history.latest(known, arrays)
        (column,) = self.latest
        return {self.events: ids, column: arrays.sum(arrays.where(is_latest, ids, 0), axis=1)}
