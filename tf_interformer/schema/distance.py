"""How far the candidate lies from each event of a history, on a scale of whole numbers."""

from dataclasses import dataclass

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
