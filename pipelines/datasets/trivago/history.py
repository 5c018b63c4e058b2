"""What the user did before each click-out: the sequence, and numbers made of it by hand."""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.datasets.kuairand_pure.history import IntArray
from pipelines.datasets.trivago.events import Before, Events
from pipelines.datasets.trivago.raw import ON_ITEM
from pipelines.datasets.trivago.schema import MAX_LENGTH, NOT_SHOWN

_COUNTS_OF_LIST = ("items_touched", "last_touched_count", "history_events")
_NAN_WITHOUT_TOUCH = (
    *("touched_seconds_ago", "touched_events_ago", "items_touched_since"),
    *("last_touched_position", "list_touched_seconds_ago", "list_touched_events_ago"),
    "seconds_since_event",
)


def windows(events: Events, before: Before, session: IntArray) -> pl.DataFrame:
    """The latest events before each of some click-outs.

    Args:
        events: `Events`. The log.
        before: `Before`. What each click-out may see.
        session: int array `[L]`. The session of each, as `Events.session_code` numbers it.

    Returns:
        A DataFrame with one row per click-out and event, oldest first: `list` (the number of the click-out), `item_id`,
        `action`, `seconds` before the moment, `age` (its logarithm to base 2, rounded down), `session` (1 for the
        click-out's own) and `events_ago` (0 for the latest).
    """
    event, length = before.latest(MAX_LENGTH)
    number = np.repeat(np.arange(len(length)), length)
    seconds = before.time[number] - events.time[event]
    return pl.DataFrame(
        {
            "list": number,
            "item_id": events.item[event],
            "action": events.table["action_type"].gather(event),
            "seconds": seconds,
            "age": np.floor(np.log2(1 + seconds)).astype(np.int64),
            "session": (events.session_code[event] == session[number]).astype(np.int64),
            "events_ago": np.cumsum(length)[number] - 1 - np.arange(len(event)),
        }
    )


def sequences(shown: pl.DataFrame, window: pl.DataFrame) -> pl.DataFrame:
    """The columns of the sequence, one row for each click-out that has a history.

    Args:
        shown: DataFrame. One row per item shown: `list`, `item_id`, `position`.
        window: DataFrame. As `windows` returns it.
    """
    fields = ("item_id", "action", "age", "session", "position")
    window = window.join(shown, on=["list", "item_id"], how="left", maintain_order="left")
    window = window.with_columns(pl.col("position").fill_null(NOT_SHOWN))
    return window.group_by("list", maintain_order=True).agg(pl.col(name).alias(f"history_{name}") for name in fields)


def made_numbers(rows: pl.DataFrame, window: pl.DataFrame) -> pl.DataFrame:
    """Numbers made of the history by hand.

    Args:
        rows: DataFrame. One row per item shown: `list`, `item_id`, `position`.
        window: DataFrame. As `windows` returns it.

    Returns:
        A DataFrame with one row per item shown. Where the item was not touched, what it is about a touch is NaN.
    """
    is_click = pl.col("action") == ON_ITEM["clickout"]
    of_item = (
        window.join(rows.select("list", "item_id", "position"), on=["list", "item_id"])
        .group_by("list", "item_id")
        .agg(
            *((pl.col("action") == action).sum().alias(f"touched_{kind}") for kind, action in ON_ITEM.items()),
            pl.col("position").first(),
            touches=pl.len(),
            touched_seconds_ago=pl.col("seconds").min(),
            touched_events_ago=pl.col("events_ago").min(),
            touched_in_session=pl.col("session").max(),
            in_session=pl.col("session").sum(),
            clicked_events_ago=pl.col("events_ago").filter(is_click).min(),
        )
        .with_columns(items_touched_since=pl.col("touched_events_ago").rank("ordinal").over("list") - 1)
    )
    clicked = of_item.filter(pl.col("clicked_events_ago").is_not_null()).sort("clicked_events_ago")
    of_list = (
        of_item.sort("touched_events_ago")
        .group_by("list")
        .agg(
            last_touched_position=pl.col("position").first(),
            last_touched_count=pl.col("touches").first(),
            list_touched_seconds_ago=pl.col("touched_seconds_ago").first(),
            list_touched_events_ago=pl.col("touched_events_ago").first(),
            list_touches=pl.col("touches").sum(),
            items_touched=pl.len(),
        )
    )
    whole = window.group_by("list").agg(
        history_events=pl.len(), in_session_all=pl.col("session").sum(), seconds_since_event=pl.col("seconds").min()
    )
    joined = (
        rows.select("list", "item_id", "position")
        .join(of_item.drop("position"), on=["list", "item_id"], how="left", maintain_order="left")
        .join(of_list, on="list", how="left", maintain_order="left")
        .join(
            clicked.group_by("list").agg(last_clicked_position=pl.col("position").first()),
            on="list",
            how="left",
            maintain_order="left",
        )
        .join(whole, on="list", how="left", maintain_order="left")
    )

    def is_at(column: str) -> pl.Expr:
        return (pl.col("position") == pl.col(column)).fill_null(False)

    counts = [f"touched_{kind}" for kind in ON_ITEM] + ["touched_in_session", *_COUNTS_OF_LIST]
    return joined.select(
        *(pl.col(name).fill_null(0).cast(pl.Float64) for name in counts),
        *(pl.col(name).cast(pl.Float64).fill_null(float("nan")) for name in _NAN_WITHOUT_TOUCH),
        is_last_touched=is_at("last_touched_position").cast(pl.Float64),
        is_last_clicked=is_at("last_clicked_position").cast(pl.Float64),
        places_from_last_touched=_difference("position", "last_touched_position"),
        places_from_last_clicked=_difference("position", "last_clicked_position"),
        session_share=_share("in_session", "in_session_all"),
        touch_share=_share("touches", "list_touches"),
    )


def _difference(column: str, other: str) -> pl.Expr:
    return (pl.col(column) - pl.col(other)).cast(pl.Float64).fill_null(float("nan"))


def _share(part: str, whole: str) -> pl.Expr:
    return (pl.col(part).fill_null(0) / pl.col(whole).fill_null(0).clip(1)).cast(pl.Float64)
