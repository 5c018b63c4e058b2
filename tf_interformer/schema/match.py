"""Whether, how often and when the candidate stands in a history."""

from collections.abc import Mapping
from dataclasses import dataclass

from tf_interformer.arrays import Array, Arrays
from tf_interformer.schema._history import Candidate, History
from tf_interformer.schema.encoded_column import EVENT, LATEST, EncodedColumn


@dataclass(frozen=True)
class Match:
    """One field of a sequence that is compared with the candidate, and the encoded columns that come of it.

    Attributes:
        sequence: Name of the sequence.
        field: Its column that is compared.
        feature: The candidate's feature that it is compared with.
        carried: The sequence's other columns of ids, those that are not compared: of the latest event on the candidate
            each becomes a feature.
        carried_numbers: The sequence's columns of numbers, likewise.

    Example:

    >>> match = Match("watched", "watched_video_id", "video_id", carried=("watched_outcome",))
    >>> match.events, match.numbers
    ('watched_video_id_match', ('watched_video_id_match_count', 'watched_video_id_match_recency'))
    >>> match.last("watched_outcome")
    'watched_video_id_last_outcome'
    """

    sequence: str
    field: str
    feature: str
    carried: tuple[str, ...]
    carried_numbers: tuple[str, ...] = ()

    @property
    def of_one_value(self) -> bool:
        """Whether the candidate's feature must have one value."""
        return False

    @property
    def events(self) -> str:
        """Id per event, `[batch, time]`: 0 at padding, 1 for another item, 2 for the candidate."""
        return f"{self.field}_match"

    @property
    def count(self) -> str:
        """`log(1 + events on the candidate)`, `[batch]`."""
        return f"{self.field}_match_count"

    @property
    def recency(self) -> str:
        """`1 / k`, where the latest event on the candidate is the k-th from the end; 0 without any; `[batch]`."""
        return f"{self.field}_match_recency"

    def last(self, column: str) -> str:
        """Id, or number, of a carried column at the latest event on the candidate; 0 without any; `[batch]`."""
        return f"{self.field}_last_{column.removeprefix(f'{self.sequence}_')}"

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns that hold numbers."""
        return (self.count, self.recency, *self.latest_numbers)

    @property
    def num_ids(self) -> int:
        """How many ids `events` has."""
        return 3

    @property
    def latest(self) -> dict[str, str]:
        """`last` of every carried column, the ids of the latest event on the candidate; and the carried column."""
        return {self.last(column): column for column in self.carried}

    @property
    def latest_numbers(self) -> dict[str, str]:
        """`last` of every carried column of numbers; and the carried column."""
        return {self.last(column): column for column in self.carried_numbers}

    @property
    def columns(self) -> tuple[str, ...]:
        """All of them."""
        return (self.events, *self.numbers, *self.latest)

    def encoded_columns(self, tables: Mapping[str, str | None], width: int) -> tuple[EncodedColumn, ...]:
        """The same as records.

        Args:
            tables: dict. The table in which each column of the sequence is looked up.
            width: int. Events that are kept.
        """
        events = EncodedColumn(
            self.events, "event", shape=(None, width), table=self.events, num_ids=self.num_ids, rank=EVENT
        )
        numbers = (EncodedColumn(name, "dense", "float32") for name in self.numbers)
        latest = (
            EncodedColumn(name, "token", table=tables[column], rank=LATEST) for name, column in self.latest.items()
        )
        return (events, *numbers, *latest)

    def encode(self, history: History, candidate: Candidate, arrays: Arrays) -> dict[str, Array]:
        """The columns of some histories; events are the candidate's where they hold one of its values."""
        same = arrays.equal(history.values[self.field][:, :, None], candidate.values[:, None, :])
        ours = history.given[self.field] & arrays.any(same & candidate.given[:, None, :], axis=2)  # [B, time]
        last, is_latest = history.latest(ours, arrays)
        count = arrays.sum(arrays.cast(ours, "float32"), axis=1)
        ago = arrays.cast(history.kept - last + 1, "float32")
        found = {
            self.events: arrays.where(history.real, 1 + arrays.cast(ours, "int32"), 0),
            self.count: arrays.log1p(count),
            self.recency: arrays.where(last > 0, 1.0 / ago, 0.0),
        }
        carried = {**self.latest, **self.latest_numbers}
        chosen = {name: arrays.where(is_latest, history.encoded[column], 0) for name, column in carried.items()}
        return found | {name: arrays.sum(values, axis=1) for name, values in chosen.items()}
