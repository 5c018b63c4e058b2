"""Each user's events in order, and what of them lies before a click-out."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl

from pipelines.datasets.kuairand_pure.history import IntArray
from pipelines.datasets.trivago.raw import ASKING, CLICK_OUT, ON_ITEM


def in_order(events: pl.DataFrame) -> pl.DataFrame:
    """Sorts the events by user, time, session and step, and says which item each is on.

    Args:
        events: DataFrame. As `raw.read_events` returns it.

    Returns:
        A DataFrame whose columns are those given, and `item_id` (-1 where there is none).
    """
    key = ["user_id", "timestamp", "session_id", "step"]
    # Of what shares a step, a click-out comes first: it is after none of the others.
    later = pl.col("action_type") != CLICK_OUT
    unique = events.unique([*key, "action_type", "reference"], keep="first", maintain_order=True)
    number = pl.col("reference").str.extract(r"^(\d{1,18})$").cast(pl.Int64)
    on_item = pl.col("action_type").is_in(list(ON_ITEM.values()))
    return unique.sort(*key, later, "action_type", "reference").with_columns(
        item_id=pl.when(on_item).then(number).fill_null(-1)
    )


@dataclasses.dataclass(frozen=True)
class Before:
    """What was known at a moment of each click-out: events as two ranges of positions, older ones and the session's.

    Args:
        first: int array `[L]`. Position of the user's first event.
        second: int array `[L]`. Position of the user's first event of the moment's second, in any session.
        session: int array `[L]`. Position of the first one of that second in the click-out's own session.
        end: int array `[L]`. One past the last event that is known.
        time: int array `[L]`. The moment, in seconds since 1970.
        step: int array `[L]`. The step of the session at that moment.
        session_events: int array `[L]`. Events of the session so far.
    """

    first: IntArray
    second: IntArray
    session: IntArray
    end: IntArray
    time: IntArray
    step: IntArray
    session_events: IntArray

    def part(self, start: int, end: int) -> Before:
        """The click-outs from `start` up to `end`."""
        return Before(*(getattr(self, field.name)[start:end] for field in dataclasses.fields(self)))

    def latest(self, count: int) -> tuple[IntArray, IntArray]:
        """The latest events, oldest first.

        Args:
            count: int. So many per click-out at most.

        Returns:
            The positions of the events of all click-outs, one after the other, int array `[E]`, and the number of
            events of each, int array `[L]`.
        """
        own = np.minimum(self.end - self.session, count)
        older = np.minimum(self.second - self.first, count - own)
        length = older + own
        ends = np.cumsum(length)
        place = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - length, length)
        is_older = place < np.repeat(older, length)
        from_older = np.repeat(self.second - older, length) + place
        from_own = np.repeat(self.end - own - older, length) + place
        return np.where(is_older, from_older, from_own), length


class Events:
    """Events of all users, in order.

    Args:
        table: DataFrame. As `in_order` returns it.
    """

    def __init__(self, table: pl.DataFrame) -> None:
        self.table = table
        self.time = table["timestamp"].to_numpy()
        self.item = table["item_id"].to_numpy()
        self.user_code = _codes(table, "user_id")
        self.session_code = _codes(table, "user_id", "session_id")
        user = _changes(self.user_code)
        second = user | _changes(self.time)
        session = second | _changes(self.session_code)
        self._first = _starts(user)
        self._second = _starts(second)
        self._session = _starts(session)
        self._step = _starts(session | _changes(table["step"].to_numpy()))

    def before(self, rows: IntArray, strict: bool = False) -> Before:
        """What was known when each of some events happened, or, for click-outs, when its list was asked for.

        Args:
            rows: int array `[L]`. Positions of the events.
            strict: bool. Whether the moment is that of asking. Defaults to `False`.
        """
        session = self.table.select("user_id", "session_id", "action_type").with_row_index("row")
        in_session = ("user_id", "session_id")
        place_in_session = session.select(pl.int_range(pl.len()).over(in_session)).to_series().to_numpy()
        anchor, included = rows, np.zeros(len(rows), bool)
        if strict:
            is_asking = pl.col("action_type").is_in(ASKING)
            moments = session.select(
                begun=pl.col("row").first().over(in_session).cast(pl.Int64),
                asked=pl.when(is_asking).then("row").forward_fill().over(in_session).cast(pl.Int64),
            )[rows]
            included = moments["asked"].is_not_null().to_numpy()
            anchor = moments["asked"].fill_null(moments["begun"]).to_numpy()
        end = np.where(included, anchor + 1, self._step[anchor])
        return Before(
            first=self._first[anchor],
            second=self._second[anchor],
            session=self._session[anchor],
            end=end,
            time=self.time[anchor],
            step=self.table["step"].to_numpy()[anchor],
            session_events=place_in_session[self._step[anchor]] + end - self._step[anchor],
        )


def _codes(table: pl.DataFrame, *columns: str) -> IntArray:
    ranks = table.select(pl.struct(columns).rank("dense") - 1)
    return ranks.to_series().to_numpy().astype(np.int64)


def _changes(values: IntArray) -> np.ndarray:
    return np.concatenate([[True], values[1:] != values[:-1]])[: len(values)]


def _starts(changes: np.ndarray) -> IntArray:
    """The position at which each run began."""
    starts: IntArray = np.maximum.accumulate(np.where(changes, np.arange(len(changes)), 0))
    return starts
