"""The published files of KuaiRand-Pure, found and read."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import polars as pl

from pipelines.datasets.tables import DataError, read_table

LOG_PATTERN = "log_standard_*_pure.csv"
USERS = "user_features_pure.csv"
VIDEOS = "video_features_basic_pure.csv"
SEQUENCES = "user_sequences_until_20220424.parquet"

_LOG_COLUMNS = (
    "user_id",
    "video_id",
    "date",
    "hourmin",
    "time_ms",
    "is_click",
    "is_like",
    "long_view",
    "play_time_ms",
    "tab",
)
OUTCOMES = ("is_click", "is_like", "long_view")
USER_WORDS = ("user_active_degree",)
USER_NUMBERS = ("follow_user_num", "fans_user_num", "friend_user_num", "register_days")
USER_CODES = ("is_live_streamer", "is_video_author", *(f"onehot_feat{i}" for i in (0, 1, 2, 3, 4, 6, 7, 8, 9, 10)))
VIDEO_WORDS = ("video_type", "upload_type")


@dataclasses.dataclass(frozen=True)
class RawTables:
    """The tables as published, missing cells as nulls.

    Args:
        log: DataFrame. One row per logged impression, all logs of the folder together.
        users: DataFrame. One row per user.
        videos: DataFrame. One row per video; `tag` is a list, `upload_dt` a date.
        sequences: DataFrame or None. Earlier histories per user, where that table is there.
    """

    log: pl.DataFrame
    users: pl.DataFrame
    videos: pl.DataFrame
    sequences: pl.DataFrame | None = None


def find_folder(*candidates: str | Path) -> Path:
    """Returns the folder that holds the published files.

    Args:
        *candidates: str or Path. Where to look. A candidate may be the folder itself, its parent (the
            published archive holds `data/`) or the parent of that (`KuaiRand-Pure/data/`).

    Raises:
        DataError: If none of them holds a log.
    """
    looked = []
    for candidate in map(Path, candidates):
        for folder in (candidate / "data", candidate, candidate / "KuaiRand-Pure" / "data"):
            looked.append(str(folder / LOG_PATTERN))
            if any(folder.glob(LOG_PATTERN)):
                return folder
    raise DataError(
        f"There is no log of KuaiRand-Pure. Looked for: {', '.join(looked)}. Download KuaiRand-Pure.tar.gz "
        "from https://kuairand.com and unpack it there."
    )


def read_tables(folder: str | Path) -> RawTables:
    """Reads the published files.

    Args:
        folder: str or Path. The folder with the CSV files, as `find_folder` returns it. The optional
            table of earlier histories may lie in it or beside it.

    Raises:
        DataError: If a file is missing or broken, or a user or video is described twice.
    """
    folder = Path(folder)
    logs = sorted(folder.glob(LOG_PATTERN))
    if not logs:
        raise DataError(f"There is no log of KuaiRand-Pure. Looked for: {folder / LOG_PATTERN}.")
    columns = dict.fromkeys(_LOG_COLUMNS, pl.Int64)
    parts = {path: read_table(path, columns, required=_LOG_COLUMNS) for path in logs}
    for path, part in parts.items():
        for outcome in OUTCOMES:
            _must(path, part, outcome, pl.col(outcome).is_in([0, 1]), "0 or 1")
        day = pl.col("date").cast(pl.String).str.to_date("%Y%m%d", strict=False)
        _must(path, part, "date", day.is_not_null(), "a day such as 20220425")
        _must(path, part, "hourmin", pl.col("hourmin").is_between(0, 2359), "hour and minute, 0 to 2359")
        _must(path, part, "time_ms", pl.col("time_ms").is_between(0, 1 << 43), "milliseconds since 1970")
        _must(path, part, "play_time_ms", pl.col("play_time_ms") >= 0, "milliseconds, 0 or more")
    log = pl.concat(parts.values())

    numbers = dict.fromkeys(USER_NUMBERS, pl.Float64) | dict.fromkeys(USER_CODES, pl.Int64)
    users = read_table(
        folder / USERS,
        {"user_id": pl.Int64, **dict.fromkeys(USER_WORDS, pl.String), **numbers},
        required=("user_id",),
    )
    videos = read_table(
        folder / VIDEOS,
        {
            "video_id": pl.Int64,
            "author_id": pl.Int64,
            **dict.fromkeys(VIDEO_WORDS, pl.String),
            "upload_dt": pl.String,
            "video_duration": pl.Float64,
            "server_width": pl.Float64,
            "server_height": pl.Float64,
            "music_type": pl.Int64,
            "tag": pl.String,
        },
        required=("video_id",),
    )
    tags = pl.col("tag").is_null() | pl.col("tag").str.contains(r"^\s*\d+(\s*,\s*\d+)*\s*$")
    _must(folder / VIDEOS, videos, "tag", tags, "numbers separated by commas")
    day = pl.col("upload_dt").str.to_date("%Y-%m-%d", strict=False)
    _must(
        folder / VIDEOS,
        videos,
        "upload_dt",
        pl.col("upload_dt").is_null() | day.is_not_null(),
        "a day such as 2022-04-10",
    )
    videos = videos.with_columns(
        upload_dt=day,
        tag=pl.col("tag").str.split(",").list.eval(pl.element().str.strip_chars().cast(pl.Int64)).fill_null([]),
    )
    for path, table, key in ((folder / USERS, users, "user_id"), (folder / VIDEOS, videos, "video_id")):
        if table[key].is_duplicated().any():
            twice = table.filter(pl.col(key).is_duplicated())[key][0]
            raise DataError(f"`{path}`: column `{key}` must hold every id once. Received twice: {twice}.")

    sequences = None
    for path in (folder / SEQUENCES, folder.parent / SEQUENCES):
        if path.exists():
            ids = pl.List(pl.Int64)
            sequences = read_table(
                path,
                {
                    "user_id": pl.Int64,
                    "history_len": pl.Int64,
                    "last_time_ms": pl.Int64,
                    "watch_seq": ids,
                    "long_watch_seq": ids,
                    "like_seq": ids,
                },
                required=("user_id", "history_len", "last_time_ms"),
            )
            break
    return RawTables(log, users, videos, sequences)


def _must(path: Path, table: pl.DataFrame, column: str, rule: pl.Expr, what: str) -> None:
    wrong = table.filter(~rule)
    if wrong.height:
        raise DataError(f"`{path}`: column `{column}` must hold {what}. Received: {wrong[column][0]!r}.")
