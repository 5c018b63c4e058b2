"""What a sequence's events are compared with the candidate in, by name: for schema and encoder, without either."""

from collections.abc import Collection, Mapping

from tf_interformer.comparisons.distance import DISTANCE_BOUNDS, Distance
from tf_interformer.comparisons.match import Match

__all__ = ["DISTANCE_BOUNDS", "Distance", "Match", "distances_of", "matches_of"]

# The categorical fields of a sequence, by name, and the candidate's feature whose table each shares.
Tables = Mapping[str, str | None]


def matches_of(
    sequence: str, tables: Tables, numbers: Collection[str], match: Collection[str], distance: Collection[str] = ()
) -> tuple[Match, ...]:
    """The fields in which the candidate may stand; `numbers` names the sequence's fields of numbers.

    Example:

    >>> (match,) = matches_of("seen", {"item": "item", "outcome": None}, ["age"], match=["item"])
    >>> match.field, match.feature, match.carried, match.carried_numbers
    ('seen_item', 'item', ('seen_outcome',), ('seen_age',))
    """
    carried = tuple(f"{sequence}_{name}" for name in tables if name not in {*match, *distance})
    return tuple(
        Match(sequence, f"{sequence}_{name}", table, carried, tuple(f"{sequence}_{number}" for number in numbers))
        for name, table in tables.items()
        if name in match and table is not None
    )


def distances_of(sequence: str, tables: Tables, distance: Collection[str]) -> tuple[Distance, ...]:
    """The fields whose distance to the candidate is told."""
    return tuple(
        Distance(f"{sequence}_{name}", table)
        for name, table in tables.items()
        if name in distance and table is not None
    )
