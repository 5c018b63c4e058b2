"""The published files of Globo.com, found and read."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import polars as pl

from pipelines.datasets.globo.schema import CONTEXT
from pipelines.datasets.tables import DataError, read_table

HOMEPAGE = "https://www.kaggle.com/datasets/gspmoreira/news-portal-user-interactions-by-globocom"
HOURS = "clicks_hour_*.csv"
CLICKS = "clicks.parquet"
ARTICLES = ("articles_metadata.csv", "articles.csv")
_COLUMNS = ("user_id", "click_article_id", "click_timestamp", *CONTEXT.values())


@dataclasses.dataclass(frozen=True)
class RawTables:
    """The tables as published.

    Args:
        clicks: DataFrame. One row per click.
        articles: DataFrame. One row per article; empty cells are nulls.
    """

    clicks: pl.DataFrame
    articles: pl.DataFrame


def find_folder(manual: str | Path) -> Path:
    """Returns the folder that holds the table of articles.

    Args:
        manual: str or Path. The folder itself, or its parent, in which it is called `globo`.

    Raises:
        DataError: If there is none.
    """
    folders = (Path(manual), Path(manual) / "globo")
    for folder in folders:
        if any((folder / name).is_file() for name in ARTICLES):
            return folder
    raise DataError(
        f"`{folders[0]}` must hold {ARTICLES[0]} and the folder clicks/ of Globo.com. Received: no {ARTICLES[0]}. "
        f"Download {HOMEPAGE} and unpack it, clicks.zip as well."
    )


def read_tables(folder: str | Path) -> RawTables:
    """Reads the published files.

    Args:
        folder: str or Path. As `find_folder` returns it. The clicks are `clicks/clicks_hour_*.csv`, or all of them
            in one table, `clicks.parquet`.

    Raises:
        DataError: If a file is missing or broken.
    """
    folder = Path(folder)
    path = next(folder / name for name in ARTICLES if (folder / name).is_file())
    columns = {"article_id": pl.Int64, "category_id": pl.Int64, "created_at_ts": pl.Int64, "words_count": pl.Float64}
    articles = read_table(path, columns, required=("article_id",))
    if articles["article_id"].is_duplicated().any():
        twice = articles.filter(pl.col("article_id").is_duplicated())["article_id"][0]
        raise DataError(f"`{path}`: column `article_id` must hold every id once. Received twice: {twice}.")
    return RawTables(_clicks(folder), articles)


def _clicks(folder: Path) -> pl.DataFrame:
    paths = sorted((folder / "clicks").rglob(HOURS)) or [path for path in (folder / CLICKS,) if path.is_file()]
    columns = dict.fromkeys(_COLUMNS, pl.Int64)
    parts = []
    for path in paths:
        if path.suffix == ".csv" and _is_header(path):
            continue
        part = read_table(path, columns, required=_COLUMNS)
        wrong = part.filter(~pl.col("click_timestamp").is_between(0, 1 << 43))
        if wrong.height:
            raise DataError(
                f"`{path}`: column `click_timestamp` must hold milliseconds since 1970. "
                f"Received: {wrong['click_timestamp'][0]}. Get the file again."
            )
        parts.append(part)
    if not parts:
        what = "clicks with a header only" if paths else "no clicks"
        raise DataError(
            f"`{folder}` must hold clicks/{HOURS}, or {CLICKS}. Received: {what}. "
            f"Unpack clicks.zip of {HOMEPAGE} there."
        )
    return pl.concat(parts)


def _is_header(path: Path) -> bool:
    with path.open("rb") as file:
        first, rest = file.readline(), file.readline()
    return first.startswith(b"user_id,") and not rest.strip()
