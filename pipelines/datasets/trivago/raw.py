"""A session file of the challenge, found and read."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from pipelines.datasets.tables import DataError, read_table

HOMEPAGE = "https://recsys.trivago.cloud"
CSV = "train.csv"
PARQUET = "*.parquet*"
WHERE = f"Get the files of the RecSys Challenge 2019 from {HOMEPAGE}, with an account and under its terms"

CLICK_OUT = "clickout item"
# The actions on an item: what a history number is called after each, and the published name.
ON_ITEM = {
    "image": "interaction item image",
    "info": "interaction item info",
    "rating": "interaction item rating",
    "deals": "interaction item deals",
    "search": "search for item",
    "clickout": CLICK_OUT,
}
# After these another list is shown.
ASKING = (
    "search for item",
    "search for destination",
    "search for poi",
    "filter selection",
    "change of sort order",
)
ACTIONS = tuple(dict.fromkeys([*ON_ITEM.values(), *ASKING]))

_COLUMNS = {
    **dict.fromkeys(("user_id", "session_id"), pl.String),
    **dict.fromkeys(("timestamp", "step"), pl.Int64),
    **dict.fromkeys(("action_type", "reference", "platform", "city", "device"), pl.String),
    **dict.fromkeys(("current_filters", "impressions", "prices"), pl.String),
}
_REQUIRED = ("user_id", "session_id", "timestamp", "step", "action_type")
_NUMBERS = r"^\d{1,18}(\|\d{1,18})*$"


def find_file(manual: str | Path) -> Path:
    """Returns the session file: `train.csv`, or else the one Parquet file.

    Args:
        manual: str or Path. The folder itself, or its parent, in which it is called `trivago`.

    Raises:
        DataError: If there is none, or there are several Parquet files.
    """
    looked = []
    for folder in (Path(manual), Path(manual) / "trivago"):
        if (folder / CSV).is_file():
            return folder / CSV
        found = sorted(path for path in folder.glob(PARQUET) if path.is_file())
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError(
                f"`{folder}` must hold one session file: {CSV}, or one {PARQUET}. "
                f"Received: {', '.join(path.name for path in found)}."
            )
        looked += [str(folder / CSV), str(folder / PARQUET)]
    raise DataError(f"There is no session file of trivago. Looked for: {', '.join(looked)}. {WHERE}.")


def read_events(path: str | Path) -> pl.DataFrame:
    """Reads a session file.

    Args:
        path: str or Path. As `find_file` returns it.

    Returns:
        A DataFrame with one row per action, in the order of the file; `impressions` and `prices` are lists.

    Raises:
        DataError: If the file is missing or broken.
    """
    path = Path(path)
    events = read_table(path, _COLUMNS, required=_REQUIRED)
    _must(path, events, "timestamp", pl.col("timestamp").is_between(0, 1 << 32), "seconds since 1970")
    _must(path, events, "step", pl.col("step").is_between(1, 1 << 32), "the place in the session, from 1")
    _must(path, events, "action_type", pl.col("action_type").is_in(ACTIONS), f"one of {', '.join(ACTIONS)}")
    shown = events.filter(pl.col("action_type") == CLICK_OUT)
    for column in ("impressions", "prices"):
        rule = pl.col(column).str.contains(_NUMBERS).fill_null(False)
        _must(path, shown, column, rule, "whole numbers joined by | in every click-out")
    lists = [pl.col(column).str.split("|").cast(pl.List(pl.Int64)) for column in ("impressions", "prices")]
    shown = shown.with_columns(lists)
    same = pl.col("impressions").list.len() == pl.col("prices").list.len()
    _must(path, shown, "prices", same, "one price per item of `impressions`")
    once = pl.col("impressions").list.n_unique() == pl.col("impressions").list.len()
    _must(path, shown, "impressions", once, "each item once")
    # Other actions show no list.
    is_click_out = pl.col("action_type") == CLICK_OUT
    return events.with_columns(pl.when(is_click_out).then(column) for column in lists)


def _must(path: Path, table: pl.DataFrame, column: str, rule: pl.Expr, what: str) -> None:
    wrong = table.filter(~rule)
    if not wrong.height:
        return
    value = wrong[column][0]
    shown = repr(value.to_list() if isinstance(value, pl.Series) else value)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    user, session, step = wrong.select("user_id", "session_id", "step").row(0)
    raise DataError(
        f"`{path}`, user {user}, session {session}, step {step}: column `{column}` must hold {what}. "
        f"Received: {shown}. Correct the cell or get the file again."
    )
