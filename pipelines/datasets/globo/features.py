"""The examples of Globo.com, none of which looks ahead."""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.datasets.globo.raw import RawTables
from pipelines.datasets.globo.requests import DAY_MS, HOUR_MS, Clicks
from pipelines.datasets.globo.schema import CONTEXT, MAX_LENGTH
from pipelines.datasets.kuairand_pure.history import Stream, age_buckets, moments

# Midnight in Brasilia.
_DAY_BEGINS_MS = 3 * HOUR_MS


def build_table(
    raw: RawTables, first_date: int = 0, last_date: int = 99991231, negatives: int = 4, users: int = 100
) -> pl.DataFrame:
    """Computes the examples of the given days.

    Args:
        raw: `RawTables`. The published tables.
        first_date: int. First day of the requests, such as 20171011. Defaults to 0.
        last_date: int. Last day. Defaults to 99991231.
        negatives: int. Negatives per click, at most. Defaults to 4.
        users: int. Percent of the users whose clicks are requests; all clicks count in what is known of articles, and
            are candidates. Defaults to 100.

    Returns:
        A DataFrame with one row per example, requests in the order of their time, the clicked article first: the
        columns of `schema.schema()`, and `user_id`, `date` and `time_ms`.
    """
    log = raw.clicks.unique(["click_timestamp", "user_id", "click_article_id"], keep="first", maintain_order=True)
    log = log.sort("click_timestamp", "user_id", "click_article_id").with_row_index("request_id")
    local = pl.from_epoch(pl.col("click_timestamp") - _DAY_BEGINS_MS, time_unit="ms")
    log = log.with_columns(
        pl.col("request_id").cast(pl.Int64),
        date=local.dt.strftime("%Y%m%d").cast(pl.Int64),
        hour=local.dt.hour().cast(pl.Int64),
    )
    time = log["click_timestamp"].to_numpy()
    clicks = Clicks(time, log["user_id"].to_numpy(), log["click_article_id"].to_numpy())

    chosen = clicks.is_first & log["date"].is_between(first_date, last_date).to_numpy()
    chosen &= clicks.percentile < users
    chosen &= clicks.clicks_of(clicks.article, time, HOUR_MS) > 0
    rows = np.flatnonzero(chosen)
    request, other = clicks.negatives(rows, negatives)
    # A click that is compared with nothing tells nothing.
    compared = np.isin(np.arange(len(rows)), request)
    place = np.concatenate([np.flatnonzero(compared), request])
    shown = np.concatenate([clicks.article[rows[compared]], other])
    label = np.concatenate([np.ones(compared.sum(), np.int64), np.zeros(len(request), np.int64)])
    order = np.lexsort((-label, place))
    click, shown, label = rows[place[order]], shown[order], label[order]

    known = _articles(raw, clicks.article_ids)
    history = _History(clicks, known["category_id"].to_numpy())
    sequence = history.before(click)
    table = log[click].select(
        "request_id",
        "user_id",
        "date",
        "hour",
        *(pl.col(column).alias(name) for name, column in CONTEXT.items()),
        time_ms="click_timestamp",
    )
    age = (time[click] - known["created_at_ts"].to_numpy()[shown]) / HOUR_MS
    return table.with_columns(
        pl.Series("is_click", label),
        pl.Series("article_id", clicks.article_ids[shown]),
        known["category_id"][shown],
        pl.Series("article_age_hours", np.maximum(age, 0.0)),
        known["words_count"][shown].alias("article_words"),
        *(
            pl.Series(f"article_clicks_last_{name}", clicks.clicks_of(shown, time[click], span).astype(np.float64))
            for name, span in (("hour", HOUR_MS), ("day", DAY_MS))
        ),
        **sequence,
    )


class _History:
    """What each user has clicked before."""

    def __init__(self, clicks: Clicks, category: np.ndarray) -> None:
        moment = moments(clicks.user, clicks.time)
        order = np.argsort(moment, kind="stable")
        event = clicks.article[order]
        self._of_click, self._time_of_click = moment, clicks.time
        self._stream, self._time = Stream(moment[order], {}), clicks.time[order]
        self._fields = {"article_id": clicks.article_ids[event], "category_id": category[event]}

    def before(self, click: np.ndarray) -> dict[str, pl.Series]:
        """The columns of the sequence, and the number of all earlier clicks, for clicks given by position."""
        windows = self._stream.before(self._of_click[click], MAX_LENGTH)
        columns = {f"clicked_{name}": self._stream.lists(values, windows) for name, values in self._fields.items()}
        age = np.repeat(self._time_of_click[click], windows.length) - self._time[windows.positions()]
        columns["clicked_age"] = windows.lists(age_buckets(age))
        columns["user_click_count"] = pl.Series((windows.end - windows.first).astype(np.float64))
        return columns


def _articles(raw: RawTables, articles: np.ndarray) -> pl.DataFrame:
    """What is known of each article, in the order given."""
    known = pl.DataFrame({"article_id": articles}).join(
        raw.articles, on="article_id", how="left", maintain_order="left"
    )
    nan = float("nan")
    return known.with_columns(
        pl.col("category_id").fill_null(-1),
        pl.col("created_at_ts").cast(pl.Float64).fill_null(nan),
        pl.col("words_count").fill_null(nan),
    )
