"""The examples of trivago, none of which looks ahead."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import polars as pl

from pipelines.datasets.kuairand_pure.history import IntArray
from pipelines.datasets.trivago.events import Events, in_order
from pipelines.datasets.trivago.history import made_numbers, sequences, windows
from pipelines.datasets.trivago.popularity import Popularity
from pipelines.datasets.trivago.raw import CLICK_OUT
from pipelines.datasets.trivago.schema import schema

# Click-outs worked on at once: bounds the memory.
_LISTS = 5_000
# Among the active filters: what the list is sorted by.
_SORT_ORDER = r"(?i)^(sort by|focus on) |^best (value|rates)$"


@dataclasses.dataclass(frozen=True)
class Lists:
    """The click-outs that make examples, in the order of time.

    Args:
        row: int array `[L]`. Position of each among the events.
        request_id: Series `[L]`. Session and step; where a session repeats a step, the later one has a number behind.
    """

    row: IntArray
    request_id: pl.Series

    def part(self, start: int, end: int) -> Lists:
        """The click-outs from `start` up to `end`."""
        return Lists(self.row[start:end], self.request_id[start:end])


class Examples:
    """All examples of a log.

    Args:
        events: DataFrame. As `raw.read_events` returns it.
        strict: bool. Whether what is known is that of the moment the list was asked for. Defaults to `False`.
    """

    def __init__(self, events: pl.DataFrame, strict: bool = False) -> None:
        self.events = Events(in_order(events))
        self.lists = _lists(self.events.table)
        self._before = self.events.before(self.lists.row, strict)
        self._popularity = Popularity(self.events)

    def bounds(self) -> dict[str, tuple[int, int]]:
        """First click-out, and one past the last, of each split."""
        time = self.events.time[self.lists.row]
        count = len(time)
        first = [int(np.searchsorted(time, time[count * tenths // 10])) if count else 0 for tenths in (7, 8)]
        return {"train": (0, first[0]), "validation": (first[0], first[1]), "test": (first[1], count)}

    def tables(self, start: int, end: int) -> Iterator[pl.DataFrame]:
        """The examples of the click-outs from `start` up to `end`, in tables of a few thousand click-outs.

        Yields:
            DataFrames with one row per item shown: the columns of `schema.schema(features="made")`, and `user_id`,
            `request_id` and `timestamp`.
        """
        for begin in range(start, end, _LISTS):
            yield self._table(begin, min(begin + _LISTS, end))

    def _table(self, start: int, end: int) -> pl.DataFrame:
        lists, before = self.lists.part(start, end), self._before.part(start, end)
        window = windows(self.events, before, self.events.session_code[lists.row])
        context = self.events.table[lists.row].with_columns(
            lists.request_id,
            pl.Series("list", np.arange(len(lists.row))),
            pl.Series("moment", before.time),
            pl.Series("user", self.events.user_code[lists.row]),
            pl.Series("step", before.step.astype(np.float64)),
            pl.Series("session_events", before.session_events.astype(np.float64)),
        )
        context = _context(context)
        shown = context.select("list", "item_id", "position").explode("item_id", "position")
        context = context.join(sequences(shown, window), on="list", how="left", maintain_order="left")
        rows = context.explode("item_id", "position", "price", "price_rank", "price_to_mean", "price_to_min")
        keys = (rows[name].to_numpy() for name in ("item_id", "user", "moment"))
        popularity = {name: pl.Series(values) for name, values in self._popularity.before(*keys).items()}
        rows = rows.with_columns(
            clicked=(pl.col("item_id") == pl.col("clicked_item")).cast(pl.Int64),
            position_number=pl.col("position").cast(pl.Float64),
            **popularity,
        )
        rows = pl.concat([rows, made_numbers(rows, window)], how="horizontal")
        declared = schema(features="made")
        return rows.select(
            *(feature.name for feature in declared.features),
            *(pl.col(s.column(f.name)).fill_null([]) for s in declared.sequences for f in s.fields),
            "clicked",
            "user_id",
            "request_id",
            "timestamp",
        )


def _lists(table: pl.DataFrame) -> Lists:
    chosen = (
        table.with_row_index("row")
        .filter(
            (pl.col("action_type") == CLICK_OUT)
            & pl.col("impressions").list.contains(pl.col("item_id")).fill_null(False)
        )
        .sort("timestamp", "session_id", "step", "user_id", "reference")
    )
    name = pl.format("{}_{}", "session_id", "step")
    again = pl.int_range(1, pl.len() + 1).over("session_id", "step")
    request_id = pl.when(again == 1).then(name).otherwise(pl.format("{}_{}", name, again))
    found = chosen.select(pl.col("row").cast(pl.Int64), request_id=request_id)
    return Lists(found["row"].to_numpy(), found["request_id"])


def _context(lists: pl.DataFrame) -> pl.DataFrame:
    """What needs one click-out only; what is of an item is a list."""
    filters = pl.col("current_filters").fill_null("").str.split("|").list.eval(pl.element().filter(pl.element() != ""))
    sorts = filters.list.eval(pl.element().filter(pl.element().str.contains(_SORT_ORDER)))
    others = filters.list.eval(pl.element().filter(~pl.element().str.contains(_SORT_ORDER)))
    price = pl.col("prices").cast(pl.List(pl.Float64))
    log_price = price.list.eval((1 + pl.element()).log())
    return lists.select(
        "list",
        "user",
        "user_id",
        "request_id",
        "timestamp",
        "moment",
        "step",
        "session_events",
        *(pl.col(name).fill_null("") for name in ("platform", "device", "city")),
        hour=pl.from_epoch("moment").dt.hour().cast(pl.Int64),
        sort_order=sorts.list.first().fill_null(""),
        filters=others,
        filter_count=others.list.len().cast(pl.Float64),
        list_length=pl.col("impressions").list.len().cast(pl.Float64),
        item_id=pl.col("impressions"),
        position=pl.int_ranges(1, pl.col("impressions").list.len() + 1),
        price=price,
        price_rank=price.list.eval(pl.element().rank("min").cast(pl.Float64)),
        price_to_mean=log_price - (1 + price.list.mean()).log(),
        price_to_min=log_price - log_price.list.min(),
        clicked_item=pl.col("item_id"),
    )
