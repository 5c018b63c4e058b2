"""The features of every impression, none of which looks ahead."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl

from pipelines.datasets.kuairand_pure import events as ev
from pipelines.datasets.kuairand_pure.history import FloatArray, IntArray, Stream, Windows, moments
from pipelines.datasets.kuairand_pure.rates import add_earlier_day_rates
from pipelines.datasets.kuairand_pure.raw import RawTables
from pipelines.datasets.kuairand_pure.schema import HISTORIES, LABELS, MAX_LENGTH, Features, schema
from pipelines.datasets.kuairand_pure.watched import add_watched
from tf_interformer.schema import FeatureSchema

# How many impressions the global rate is worth beside the entity's own.
RATE_STRENGTH = {"video_id": 20.0, "author_id": 20.0, "tag": 50.0, "tab": 50.0, "user_id": 5.0}
_RATE_KEYS = {entity: "first_tag" if entity == "tag" else entity for entity in RATE_STRENGTH}
_HOUR_MS = 3_600_000
_EVENT_FIELDS = ("video_id", "author_id", "first_tag")


def build_table(
    raw: RawTables, first_date: int = 0, last_date: int = 99991231, features: Features = "made"
) -> pl.DataFrame:
    """Computes the features of every impression of the given days.

    Args:
        raw: `RawTables`. The published tables.
        first_date: int. First day, such as 20220425. Earlier impressions of the log are never rows: they
            only count in histories and rates. Defaults to 0.
        last_date: int. Last day. Defaults to 99991231.
        features: `"made"`, `"raw"` or `"both"`, as in `schema.schema`. The rows are the same. Defaults to `"made"`.

    Returns:
        A DataFrame with one row per impression, sorted by user and time: the columns of
        `schema.schema()`, and `date` and `time_ms`.
    """
    log = ev.unique_impressions(raw.log)
    videos = _videos(raw.videos)
    rows = log.filter(pl.col("date").is_between(first_date, last_date))
    rows = rows.join(videos, on="video_id", how="left", maintain_order="left")
    rows = rows.join(raw.users, on="user_id", how="left", maintain_order="left")

    sequences = ev.earlier_histories(raw, log)
    seeds = None if sequences is None else ev.seed_events(sequences)
    tables = _event_tables(log, seeds, videos)
    declared = schema(LABELS, features)
    if features != "raw":
        rows = _add_rates(rows, tables["watched"])
        rows = _History(rows, tables, sequences).add()
    if features != "made":
        rows = add_watched(rows, tables["watched"], MAX_LENGTH)
    return _finish(rows, declared)


def _videos(videos: pl.DataFrame) -> pl.DataFrame:
    return videos.with_columns(
        first_tag=pl.col("tag").list.first(),
        # A duration of 0 is how the log writes "not known".
        video_duration=pl.when(pl.col("video_duration") > 0).then(pl.col("video_duration") / 1000.0),
        video_aspect=pl.when(pl.col("server_height") > 0).then(pl.col("server_width") / pl.col("server_height")),
    )


def _event_tables(
    log: pl.DataFrame, seeds: dict[str, pl.DataFrame] | None, videos: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """The events of each history, sorted by user and time."""
    fields = videos.select(*_EVENT_FIELDS, "video_duration")
    chosen = {"watched": log, "long_watched": log.filter(long_view=1), "liked": log.filter(is_like=1)}
    tables = {}
    for name, events in chosen.items():
        events = events.with_columns(place=pl.lit(0, pl.Int64))
        if seeds is not None:
            seed = seeds[name].with_columns(date=pl.lit(ev.SEED_DATE, pl.Int64))
            events = pl.concat([seed, events], how="diagonal")
        events = events.sort("user_id", "time_ms", "place", "video_id")
        tables[name] = events.join(fields, on="video_id", how="left", maintain_order="left")
    return tables


def _add_rates(rows: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    """What video, author, tag, tab and user were worth on earlier days."""
    for entity, strength in RATE_STRENGTH.items():
        rows = add_earlier_day_rates(rows, events, _RATE_KEYS[entity], ("is_click", "long_view"), strength)
    return rows.rename(
        {
            f"{key}_{what}": f"{entity.removesuffix('_id')}_{what.replace('is_', '')}"
            for entity, key in _RATE_KEYS.items()
            for what in ("share", "is_click_rate", "long_view_rate")
        }
    )


class _History:
    """Adds what the user did strictly before each impression.

    Args:
        rows: DataFrame. The impressions.
        tables: dict of DataFrames. The events of each history, sorted by user and time.
        sequences: DataFrame or None. The table of earlier histories, if used: it knows how many events there
            were beyond the ones it lists.
    """

    def __init__(self, rows: pl.DataFrame, tables: dict[str, pl.DataFrame], sequences: pl.DataFrame | None) -> None:
        self.rows, self.tables, self.sequences = rows, tables, sequences
        self.users = pl.concat([rows["user_id"], tables["watched"]["user_id"]]).unique().sort()
        self.known = {
            field: pl.concat([rows[field], *(t[field] for t in tables.values())]).drop_nulls().unique().sort()
            for field in _EVENT_FIELDS
        }
        self.moment = moments(ev.codes(rows["user_id"], self.users), rows["time_ms"].to_numpy())
        self.streams = {name: self._stream(table) for name, table in tables.items()}
        self.windows = {name: s.before(self.moment, MAX_LENGTH) for name, s in self.streams.items()}

    def add(self) -> pl.DataFrame:
        """Returns `rows` with the histories and their counts."""
        columns: dict[str, pl.Series | FloatArray] = {}
        for name, stream in self.streams.items():
            for field in ("video_id", "author_id", "tag"):
                values = self.tables[name]["first_tag" if field == "tag" else field].fill_null(-1).to_numpy()
                columns[f"{name}_{field}"] = stream.lists(values, self.windows[name])
        columns |= self._lengths() | self._ratios() | self._occurrences() | self._pace()
        return self.rows.with_columns(**{name: pl.Series(name, values) for name, values in columns.items()})

    def _stream(self, table: pl.DataFrame) -> Stream:
        moment = moments(ev.codes(table["user_id"], self.users), table["time_ms"].to_numpy())
        columns = {field: ev.codes(table[field], self.known[field]) for field in _EVENT_FIELDS}
        columns["tab"] = table["tab"].fill_null(-1).to_numpy()
        columns["time_ms"] = table["time_ms"].to_numpy()
        for outcome in ("is_click", "long_view", "is_like"):
            if outcome in table.columns:
                columns[outcome] = table[outcome].fill_null(0).to_numpy()
                columns[f"{outcome}_known"] = table[outcome].is_not_null().to_numpy().astype(np.int64)
        return Stream(moment, columns)

    def _lengths(self) -> dict[str, FloatArray]:
        windows = self.windows["watched"]
        count = windows.end - windows.first
        if self.sequences is not None:
            # Events older than the ones listed; seen from the first impression after the table's last event.
            older = self.sequences.select(
                "user_id", "last_time_ms", older=pl.col("history_len") - pl.col("watch_seq").list.len()
            )
            joined = self.rows.select("user_id", "time_ms").join(older, on="user_id", how="left", maintain_order="left")
            seen = joined.select(
                pl.when(pl.col("last_time_ms") < pl.col("time_ms")).then("older").otherwise(0).fill_null(0)
            )
            count = count + np.maximum(seen.to_series().to_numpy(), 0)
        return {
            "user_event_count": count.astype(np.float64),
            "user_long_watch_count": self.windows["long_watched"].length.astype(np.float64),
            "user_like_count": self.windows["liked"].length.astype(np.float64),
        }

    def _ratios(self) -> dict[str, FloatArray]:
        stream, windows = self.streams["watched"], self.windows["watched"]
        last_hour = stream.since(self.moment - _HOUR_MS, windows)
        parts = {"": windows, "_recent": windows.last(5), "_last": windows.last(1), "_last_hour": last_hour}
        found = {"user_like_ratio": _ratio(stream.total("is_like", windows), windows.length)}
        for outcome, name in (("is_click", "click"), ("long_view", "long_watch")):
            for suffix, part in parts.items():
                known = stream.total(f"{outcome}_known", part)
                found[f"user_{name}_ratio{suffix}"] = _ratio(stream.total(outcome, part), known)
        return found

    def _occurrences(self) -> dict[str, FloatArray]:
        found = {}
        for field, name in (("video_id", "video"), ("author_id", "author"), ("first_tag", "tag")):
            target = ev.codes(self.rows[field], self.known[field])
            for history in HISTORIES[:2]:
                count = self.streams[history].occurrences(field, target, self.windows[history])
                found[f"{name}_in_{history}"] = count.astype(np.float64)
        stream, windows = self.streams["watched"], self.windows["watched"]
        tabs = stream.occurrences("tab", self.rows["tab"].to_numpy(), windows)
        found["tab_in_watched"] = tabs.astype(np.float64)
        for field, name in (("first_tag", "tag"), ("tab", "tab")):
            target = self.rows["tab"].to_numpy() if field == "tab" else ev.codes(self.rows[field], self.known[field])
            for outcome, what in (("is_click", "click"), ("long_view", "long_watch")):
                both = np.where(stream.columns[f"{outcome}_known"] == 1, stream.columns[field], -1)
                positive = np.where(stream.columns[outcome] == 1, stream.columns[field], -1)
                known = _count(both, target, windows)
                found[f"user_{name}_{what}_ratio"] = _ratio(_count(positive, target, windows), known)
        return found

    def _pace(self) -> dict[str, FloatArray]:
        stream, windows = self.streams["watched"], self.windows["watched"]
        time = self.rows["time_ms"].to_numpy()
        last = stream.columns["time_ms"][np.maximum(windows.end - 1, 0)] if len(stream.moment) else time
        minutes = np.where(windows.length > 0, (time - last) / 60_000.0, np.nan)
        found = {"minutes_since_last": minutes}
        everything = dataclasses.replace(windows, start=windows.first)
        for name, hours in (("hour", 1), ("day", 24)):
            recent = stream.since(self.moment - hours * _HOUR_MS, everything)
            found[f"user_events_last_{name}"] = recent.length.astype(np.float64)
        return found


def _count(column: IntArray, target: IntArray, windows: Windows) -> IntArray:
    return Stream(np.empty(0, np.int64), {"": column}).occurrences("", target, windows)


def _ratio(part: IntArray, whole: IntArray) -> FloatArray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _finish(rows: pl.DataFrame, declared: FeatureSchema) -> pl.DataFrame:
    """Computes the columns that need one row only and fills in what stands for "missing"."""
    day = pl.col("date").cast(pl.String).str.to_date("%Y%m%d", strict=False)
    rows = rows.with_columns(
        hour=pl.col("hourmin") // 100,
        video_age_days=(day - pl.col("upload_dt")).dt.total_days().cast(pl.Float64),
    )
    columns: list[pl.Expr] = []
    for column in (column for column in declared.raw_columns if column.is_input and column.kind != "length"):
        values = pl.col(column.name)
        if column.sequence is None:
            values = values.cast(pl.Float32) if column.dtype == "float32" else values
            values = values.fill_null([] if column.has_lists else column.missing)
        columns.append(values)
    return rows.select(*columns, *LABELS, "date", "time_ms")
