"""A log as a user has it: every kind of column, leaks and identifiers planted."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ITEMS = 40
CATEGORIES = ["shoes", "lamps", "books", "games"]


def own_log(rows: int = 1500, seed: int = 0) -> pl.DataFrame:
    """One row per impression; lists are lists."""
    random = np.random.default_rng(seed)
    item = random.integers(0, ITEMS, rows)
    click = random.random(rows) < 0.15 + 0.3 * (item < 10)
    lengths = random.integers(0, 12, rows)
    ages = random.integers(18, 80, rows).astype(object)
    ages[random.random(rows) < 0.1] = None
    columns: dict[str, Any] = {
        "request_id": [f"r{n:08x}" for n in random.permutation(rows) * 977],
        "user_id": random.integers(0, 50, rows) + 9000,
        "timestamp": 1_700_000_000 + np.sort(random.integers(0, 40 * rows, rows)),
        "item_id": item + 500,
        "category": np.array(CATEGORIES)[item % 4],
        "price": random.lognormal(3, 1, rows).round(2),
        "score": random.normal(0, 1, rows).round(4),
        "age": ages.tolist(),
        "hour": random.integers(0, 24, rows),
        "tags": [sorted(set(random.choice(["new", "sale", "eco", "gift"], n))) for n in random.integers(0, 4, rows)],
        "viewed_item_id": [(random.integers(0, ITEMS, n) + 500).tolist() for n in lengths],
        "viewed_action": [random.choice(["view", "cart"], n).tolist() for n in lengths],
        "searches": [random.choice(["red", "blue", "big"], n).tolist() for n in random.integers(0, 15, rows)],
        "country": ["NL"] * rows,
        "dwell_ms": np.where(click, random.integers(100, 90_000, rows), 0),
        "paid": [2.5 if clicked else None for clicked in click],
        "is_purchase": (click & (random.random(rows) < 0.2)).astype(int),
        "click": click.astype(int),
    }
    return pl.DataFrame(columns)


def listed_log(rows: int = 600, name: str = "request_id") -> pl.DataFrame:
    """The same, shown in lists of five, the column `name` says in which."""
    random = np.random.default_rng(1)
    shown = np.arange(rows) // 5
    return (
        own_log(rows)
        .drop("request_id")
        .with_columns(
            pl.Series("user_id", random.integers(0, 30, rows)[shown] + 9000),
            pl.Series("timestamp", 1_700_000_000 + 60 * shown),
            pl.Series(name, [f"r{n:08x}" for n in (random.permutation(rows) * 977)[shown]]),
        )
    )


def write_csv(table: pl.DataFrame, path: Path, separator: str = "|") -> Path:
    """The log as CSV, lists as text."""
    lists = [name for name, dtype in table.schema.items() if isinstance(dtype, pl.List)]
    table = table.with_columns(pl.col(lists).cast(pl.List(pl.String)).list.join(separator)) if lists else table
    table.write_csv(path)
    return path
