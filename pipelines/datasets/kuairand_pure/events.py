"""One clean, ordered table of everything that every user did."""

from __future__ import annotations

import logging

import numpy as np
import polars as pl

from pipelines.datasets.kuairand_pure.history import IntArray
from pipelines.datasets.kuairand_pure.raw import RawTables

# Impressions of the earlier days' table, whose days are unknown, count as of this day.
SEED_DATE = 20220424

_log = logging.getLogger(__name__)


def unique_impressions(log: pl.DataFrame) -> pl.DataFrame:
    """Keeps one row per (user, video, time), the first one logged, and sorts the log by user and time.

    Repeated rows agree but for a few: the one with the earliest (date, hourmin) is kept, and of rows that
    share those too, the smallest in the order of the remaining columns. The result does therefore not
    depend on the order of the rows in the file.
    """
    key = ["user_id", "time_ms", "video_id"]
    rest = ["date", "hourmin", "tab", *sorted(set(log.columns) - {*key, "date", "hourmin", "tab"})]
    return log.sort(*key, *rest).unique(key, keep="first", maintain_order=True)


def earlier_histories(raw: RawTables, log: pl.DataFrame) -> pl.DataFrame | None:
    """Returns the table of earlier histories if it is to be used.

    It holds events up to 24 April only, without their days. Where the log holds impressions up to that
    day, those say the same and more: the table is then ignored.
    """
    if raw.sequences is None:
        return None
    first = log["date"].min()
    if isinstance(first, int) and first <= SEED_DATE:
        _log.warning("The log begins on %d: the table of earlier histories is not needed and is ignored.", first)
        return None
    _log.info("Histories begin with the table of earlier histories (%d users).", raw.sequences.height)
    return raw.sequences


def seed_events(sequences: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Turns the table of earlier histories into events.

    Args:
        sequences: DataFrame. One row per user, see `raw.RawTables`.

    Returns:
        dict of `"watched"`, `"long_watched"` and `"liked"`: DataFrames with `user_id`, `time_ms` (of the
        user's last event: earlier ones have no time of their own), `place` (in the list) and `video_id`;
        `"watched"` also has `long_view` and `is_like`, recovered from the other two lists.
    """
    sequences = sequences.sort("user_id")
    columns = {"watched": "watch_seq", "long_watched": "long_watch_seq", "liked": "like_seq"}
    events = {}
    for name, column in columns.items():
        lists = sequences.select(
            "user_id", time_ms="last_time_ms", video_id=column, place=pl.int_ranges(0, pl.col(column).list.len())
        )
        lists = lists.filter(pl.col("video_id").list.len() > 0).explode("video_id", "place")
        events[name] = lists.select("user_id", "time_ms", "place", "video_id")
    marks = {}
    for mark, column in (("long_view", "long_watch_seq"), ("is_like", "like_seq")):
        pairs = zip(sequences["watch_seq"].to_list(), sequences[column].to_list(), strict=True)
        marks[mark] = np.array([m for watched, part in pairs for m in _members(watched or [], part or [])])
    events["watched"] = events["watched"].with_columns(pl.Series(k, v, dtype=pl.Int64) for k, v in marks.items())
    return events


def _members(watched: list[int], part: list[int]) -> list[int]:
    """Marks the events of `watched` that are also in `part`, a list of some of the same events.

    Both end at the same moment, so walking back from the end matches every event of `part` that still is
    in the window of `watched`.
    """
    marks = [0] * len(watched)
    wanted = len(part) - 1
    for place in range(len(watched) - 1, -1, -1):
        if wanted < 0:
            break
        if watched[place] == part[wanted]:
            marks[place] = 1
            wanted -= 1
    return marks


def codes(column: pl.Series, known: pl.Series) -> IntArray:
    """Numbers the values of `column` by their place in the sorted `known`; -1 for null or unknown."""
    place = known.search_sorted(column.fill_null(0)).to_numpy().astype(np.int64)
    place = np.minimum(place, max(len(known) - 1, 0))
    there = (known.gather(place) == column).fill_null(False).to_numpy() if len(known) else np.zeros(len(column), bool)
    return np.where(there, place, -1)
