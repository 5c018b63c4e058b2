"""Counts and rates over strictly earlier days."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def add_earlier_day_rates(
    rows: pl.DataFrame,
    events: pl.DataFrame,
    entity: str,
    outcomes: Sequence[str],
    strength: float,
) -> pl.DataFrame:
    """Adds what was known of an entity on the evening before each row.

    For every outcome `o` (a 0/1 column of `events` that may be missing where it was not recorded), with
    `n` and `s` the count and the sum of `o` over the entity's events of strictly earlier days and `g` the
    same ratio over all events of strictly earlier days,

        rate = (s + strength * g) / (n + strength)      and NaN where n = 0.

    Args:
        rows: DataFrame with the columns `entity` and `date`.
        events: DataFrame with the columns `entity`, `date` and `outcomes`.
        entity: str. Name of the column that names the entity, such as `"video_id"`.
        outcomes: sequence of str. Names of the outcome columns.
        strength: float. How many events the global rate is worth.

    Returns:
        `rows` with `{entity}_{outcome}_rate`, and with `{entity}_share`: how many of ten thousand events of
        earlier days were the entity's. A share, unlike a count, does not grow with the log; NaN where there
        are no earlier days.
    """
    sums = [pl.col(o).sum().cast(pl.Float64).alias(f"sum_{o}") for o in outcomes]
    counts = [pl.col(o).count().cast(pl.Float64).alias(f"known_{o}") for o in outcomes]
    aggregates = [pl.len().cast(pl.Float64).alias("count"), *sums, *counts]
    totals = ["count", *(c for o in outcomes for c in (f"sum_{o}", f"known_{o}"))]

    # Joined "strictly before the row's date": the days up to and including the one before.
    everybody = events.group_by("date").agg(aggregates).sort("date")
    everybody = everybody.with_columns(pl.col(c).cum_sum().alias(f"all_{c}") for c in totals)
    everybody = everybody.select("date", *[f"all_{c}" for c in totals])
    daily = events.drop_nulls(entity).group_by(entity, "date").agg(aggregates).sort(entity, "date")
    daily = daily.with_columns(pl.col(c).cum_sum().over(entity) for c in totals)

    order = rows.select(entity, "date").with_row_index("row").sort("date")
    order = order.join_asof(everybody, on="date", strategy="backward", allow_exact_matches=False)
    known = order.filter(pl.col(entity).is_not_null()).join_asof(
        daily.sort("date"),
        on="date",
        by=entity,
        strategy="backward",
        allow_exact_matches=False,
        check_sortedness=False,
    )
    order = order.join(known.select("row", *totals), on="row", how="left").sort("row")
    rates = []
    for o in outcomes:
        everyone = pl.col(f"all_sum_{o}") / pl.col(f"all_known_{o}")
        rate = (pl.col(f"sum_{o}") + strength * everyone) / (pl.col(f"known_{o}") + strength)
        rates.append(pl.when(pl.col(f"known_{o}") > 0).then(rate).alias(f"{entity}_{o}_rate"))
    share = 10_000.0 * pl.col("count").fill_null(0.0) / pl.col("all_count")
    new = order.select(share.alias(f"{entity}_share"), *rates).fill_null(float("nan"))
    return pl.concat([rows, new], how="horizontal")
