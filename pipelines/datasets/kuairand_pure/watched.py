"""The history whose events say what became of them, as far as that was known."""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.datasets.kuairand_pure import events as ev
from pipelines.datasets.kuairand_pure.history import IntArray, Stream, age_buckets, moments

UNKNOWN = 0
# What became of an event: the last of these that holds. `NOT_LONG` is of the table of earlier histories, which does not
# say whether a video was clicked.
NOT_CLICKED, CLICKED, LONG_VIEW, LIKED, NOT_LONG = 1, 2, 3, 4, 5
# Shares of the video that were played: one more than this begins the next bucket; the first was not played at all.
WATCH_RATIOS = (0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 0.8, 1.0)


def add_watched(rows: pl.DataFrame, events: pl.DataFrame, max_length: int) -> pl.DataFrame:
    """Adds the last impressions of the user strictly before each row.

    What became of an event is known once it has been played: where `time_ms + play_time_ms` of the event is not yet
    reached, `outcome` and `watched` are 0. A like counts as given by then.

    Args:
        rows: DataFrame. The impressions, with `user_id` and `time_ms`.
        events: DataFrame. All impressions and earlier histories, sorted by user and time; of the latter only the last
            one of a user has a time of its own.
        max_length: int. Only the most recent so many events are in the history.

    Returns:
        `rows` with the lists, oldest event first:

        - `watched_video_id`, `watched_author_id`, `watched_tag`, `watched_tab`, -1 where there is none;
        - `watched_outcome`: 0 not known, 1 not clicked, 2 clicked, 3 viewed long, 4 liked; 5, in the table of earlier
          histories, neither viewed long nor liked;
        - `watched_watched`: how much was played. 0 not known, 1 nothing, 2 to 9 a share of the video of more than 0, 2,
          5, 10, 25, 50, 80 and 100 percent;
        - `watched_age`: `1 + floor(log2(1 + seconds before the row))`, or 0 where the event has no time of its own.
    """
    users = pl.concat([rows["user_id"], events["user_id"]]).unique().sort()
    time = events["time_ms"].to_numpy()
    stream = Stream(moments(ev.codes(events["user_id"], users), time), {})
    windows = stream.before(moments(ev.codes(rows["user_id"], users), rows["time_ms"].to_numpy()), max_length)
    place = windows.positions()

    now = np.repeat(rows["time_ms"].to_numpy(), windows.length)
    played = time + events["play_time_ms"].fill_null(0).to_numpy()
    over = played[place] <= now
    columns: dict[str, IntArray] = {
        name: events["first_tag" if name == "tag" else name].fill_null(-1).to_numpy()[place]
        for name in ("video_id", "author_id", "tag", "tab")
    }
    columns["outcome"] = np.where(over, _outcomes(events)[place], UNKNOWN)
    columns["watched"] = np.where(over, _watch_ratios(events)[place], UNKNOWN)
    columns["age"] = np.where(_has_time(events)[place], age_buckets(now - time[place]), UNKNOWN)
    return rows.with_columns(windows.lists(values).alias(f"watched_{name}") for name, values in columns.items())


def _outcomes(events: pl.DataFrame) -> IntArray:
    clicked = pl.col("is_click")
    outcome = pl.when(clicked.is_null()).then(NOT_LONG).when(clicked == 1).then(CLICKED).otherwise(NOT_CLICKED)
    for column, code in (("long_view", LONG_VIEW), ("is_like", LIKED)):
        outcome = pl.when(pl.col(column) == 1).then(code).otherwise(outcome)
    return events.select(outcome.cast(pl.Int64)).to_series().to_numpy()


def _watch_ratios(events: pl.DataFrame) -> IntArray:
    ratio = (events["play_time_ms"] / 1000.0 / events["video_duration"]).cast(pl.Float64).to_numpy()
    bucket = 1 + np.searchsorted(WATCH_RATIOS, ratio, side="left")
    return np.where(np.isnan(ratio), UNKNOWN, bucket)


def _has_time(events: pl.DataFrame) -> np.ndarray:
    """Whether the time of each event is its own: not that of a later one of the table of earlier histories."""
    earlier = pl.col("is_click").is_null()
    last = pl.col("place") == pl.col("place").filter(earlier).max().over("user_id")
    return events.select((~earlier | last).fill_null(True)).to_series().to_numpy()
