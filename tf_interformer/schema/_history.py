"""A behaviour history while it is encoded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tf_interformer.arrays import Array, Arrays


class Candidate(NamedTuple):
    """A feature of the candidate as raw values `[batch, values]`, and which of them are given."""

    values: Array
    given: Array


@dataclass(frozen=True)
class History:
    """What comparisons read of a sequence.

    Attributes:
        values: The raw events `[batch, time]` of each column that is compared.
        given: Which of them are real and not missing.
        encoded: The encoded columns.
        kept: How many events are real, int32 `[batch]`.
        real: Which events are, `[batch, time]`.
    """

    values: Mapping[str, Array]
    given: Mapping[str, Array]
    encoded: Mapping[str, Array]
    kept: Array
    real: Array

    def of(self, rows: Array, arrays: Arrays) -> "History":
        """The history of each candidate, where `rows` says whose it is."""

        def taken(columns: Mapping[str, Array]) -> dict[str, Array]:
            return {name: arrays.take(values, rows) for name, values in columns.items()}

        kept, real = arrays.take(self.kept, rows), arrays.take(self.real, rows)
        return History(taken(self.values), taken(self.given), taken(self.encoded), kept, real)

    @staticmethod
    def latest(chosen: Array, arrays: Arrays) -> tuple[Array, Array]:
        """The place of the latest chosen event `[batch]`, from 1, 0 without any; and which event it is."""
        places = arrays.cast(chosen, "int32") * (arrays.steps(chosen.shape[1]) + 1)[None]
        last = arrays.max(places, axis=1)
        return last, chosen & arrays.equal(places, last[:, None])
