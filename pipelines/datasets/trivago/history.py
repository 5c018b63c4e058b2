"""What the user did before each click-out: the sequence, and numbers made of it by hand."""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.datasets.kuairand_pure.history import IntArray
from pipelines.datasets.trivago.events import Before, Events
from pipelines.datasets.trivago.raw import ON_ITEM
from pipelines.datasets.trivago.schema import MAX_LENGTH


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


def sequences(window: pl.DataFrame) -> pl.DataFrame:
    """The columns of the sequence, one row for each click-out that has a history."""
    fields = ("item_id", "action", "age", "session")
    return window.group_by("list", maintain_order=True).agg(pl.col(name).alias(f"history_{name}") for name in fields)


def made_numbers(rows: pl.DataFrame, window: pl.DataFrame) -> pl.DataFrame:
    """Numbers made of the history by hand.

    Args:
        rows: DataFrame. One row per item shown: `list`, `item_id`, `position`.
        window: DataFrame. As `windows` returns it.

    Returns:
        A DataFrame with one row per item shown. Where the item was not touched, what it is about a touch is NaN.
    """
    kinds = [
        (pl.col("action") == action).sum().cast(pl.Float64).alias(f"touched_{kind}") for kind, action in ON_ITEM.items()
    ]
    is_click = pl.col("action") == ON_ITEM["clickout"]
    touches = window.join(rows.select("list", "item_id", "position"), on=["list", "item_id"])
    of_item = touches.group_by("list", "item_id").agg(
        *kinds,
        pl.col("position").first(),
        touched_seconds_ago=pl.col("seconds").min().cast(pl.Float64),
        touched_events_ago=pl.col("events_ago").min().cast(pl.Float64),
        touched_in_session=pl.col("session").max().cast(pl.Float64),
        in_session=pl.col("session").sum(),
        clicked_ago=pl.col("events_ago").filter(is_click).min(),
    )
    of_item = of_item.with_columns(
        items_touched_since=pl.col("touched_events_ago").rank("ordinal").over("list").cast(pl.Float64) - 1
    )
    latest = pl.col("position").sort_by("touched_events_ago").first()
    clicked = pl.col("clicked_ago").is_not_null()
    of_list = of_item.group_by("list").agg(
        last_touched=latest,
        last_clicked=pl.col("position").filter(clicked).sort_by(pl.col("clicked_ago").filter(clicked)).first(),
        items_touched=pl.len().cast(pl.Float64),
    )
    whole = window.group_by("list").agg(
        history_events=pl.len().cast(pl.Float64), session_window=pl.col("session").sum()
    )
    joined = (
        rows.select("list", "item_id", "position")
        .join(of_item.drop("position", "clicked_ago"), on=["list", "item_id"], how="left", maintain_order="left")
        .join(of_list, on="list", how="left", maintain_order="left")
        .join(whole, on="list", how="left", maintain_order="left")
    )
    zero = [f"touched_{kind}" for kind in ON_ITEM] + ["touched_in_session", "items_touched", "history_events"]
    share = pl.col("in_session").fill_null(0) / pl.col("session_window").fill_null(0).clip(1)
    nan = ["touched_seconds_ago", "touched_events_ago", "items_touched_since"]

    def places(column: str) -> pl.Expr:
        return (pl.col("position") - pl.col(column)).cast(pl.Float64).fill_null(float("nan"))

    return joined.select(
        *(pl.col(name).fill_null(0.0) for name in zero),
        *(pl.col(name).fill_null(float("nan")) for name in nan),
        is_last_touched=(pl.col("position") == pl.col("last_touched")).fill_null(False).cast(pl.Float64),
        is_last_clicked=(pl.col("position") == pl.col("last_clicked")).fill_null(False).cast(pl.Float64),
        places_from_last_touched=places("last_touched"),
        places_from_last_clicked=places("last_clicked"),
        session_share=share.cast(pl.Float64),
    )
