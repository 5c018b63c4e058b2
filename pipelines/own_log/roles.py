"""Which column is the label, which the group or list key, which the time: as told, or by name and what it holds."""

import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from pipelines.config import ConfigError
from pipelines.datasets.tables import DataError
from pipelines.own_log.log import Log
from pipelines.own_log.moments import moments_of, question_of
from tf_interformer.schema import Categorical, Numeric

# In order of preference
_LABELS = ("click", "is_click", "clicked", "is_clicked", "clk", "label", "target", "y")
_GROUPS = ("user_id", "userid", "uid", "user", "member_id", "customer_id", "visitor_id", "client_id", "session_id")
# Words of which, beside `id`, the name of a list's key has one; and what it may be called in one word.
_LISTS = {"request", "impression", "search", "list"}
_LIST_IDS = {"requestid", "reqid", "impressionid", "impid", "searchid", "listid"}
_LONGEST_LIST = 200
_OUTCOMES = {
    "click", "clicked", "clk", "purchase", "purchased", "buy", "bought", "order", "ordered", "conversion", "converted",
    "like", "liked", "share", "shared", "follow", "followed", "comment", "commented", "install", "installed", "forward",
    "forwarded", "hate", "dislike", "disliked", "subscribe", "subscribed", "label", "target", "add", "added", "to",
    "cart", "is", "has", "did", "was",
}  # fmt: skip
# Of whole numbers that say how much or how far; those of one event and another can be subtracted.
_SCALES = {"position", "pos", "rank", "place", "slot", "level", "tier", "stars", "rating", "price", "age", "size"}
_TIMES = {"time", "timestamp", "ts", "date", "datetime", "day", "at", "dt", "datum"}
# What a number may be that counts seconds, milli-, micro- or nanoseconds since 1970: the years 1990 to 2100.
_EPOCHS = tuple((unit * 631_152_000, unit * 4_102_444_800) for unit in (1, 1_000, 1_000_000, 1_000_000_000))
# The same as a day such as 20240501.
_DAYS = (19_000_101, 21_001_231)
_MANY = 60


def words_of(name: str) -> list[str]:
    """The words of a column's name: `isClick_2` has `is`, `click` and `2`."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]


def is_scale(feature: Categorical | Numeric) -> bool:
    """Whether the values are whole numbers on a scale, by the name."""
    return feature.dtype == "int64" and bool(set(words_of(feature.name)) & _SCALES)


def compared(fields: Sequence[Categorical | Numeric]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """How fields of events are compared with the candidate: the arguments `match` and `distance` of a sequence."""
    distance = tuple(field.name for field in fields if is_scale(field))
    return tuple(f.name for f in fields if f.name not in distance), distance


def is_binary(column: pl.Series) -> bool:
    """Whether the column holds 0 and 1, both, and nothing else but gaps."""
    return column.dtype == pl.Int64 and sorted(column.drop_nulls().unique().head(3).to_list()) == [0, 1]


def is_outcome(column: pl.Series) -> bool:
    """Whether the column says what came of the impression, by its name, and so may be a label but no feature."""
    return is_binary(column) and set(words_of(column.name)) <= _OUTCOMES


def find_labels(log: Log, named: Sequence[str] = ()) -> list[str]:
    """Names of the labels.

    Raises:
        ConfigError: There is no such column, or none that looks like a label.
        DataError: A label holds anything but 0 and 1, or only one of them.
    """
    labels = list(dict.fromkeys(log.column(name, "--label") for name in named))
    if not labels:
        by_name = {name.lower(): name for name in log.frame.columns if is_binary(log.frame[name])}
        outcomes = [name for name in by_name.values() if is_outcome(log.frame[name])]
        found = next((by_name[name] for name in _LABELS if name in by_name), None)
        if found is None and len(outcomes) != 1:
            raise ConfigError(
                "no column is called as a label usually is: name it with --label. Columns of 0 and 1: "
                f"{', '.join(by_name.values()) or 'none'}"
            )
        labels = [found or outcomes[0]]
    for name in labels:
        check_label(log.frame[name])
    return labels


def check_label(column: pl.Series) -> None:
    """Raise a `DataError` unless every row has a 0 or a 1, and there are both."""
    if column.null_count():
        row = column.is_null().arg_max()
        raise DataError(
            f"the label `{column.name}` must be 0 or 1 in every row. Received: {column.null_count():,} empty cells, "
            f"the first in row {(row or 0) + 1}. Write 0 or 1 there, or leave these rows out."
        )
    if not is_binary(column):
        some = column.unique().sort().head(5).to_list() if not column.dtype.is_nested() else column.head(1).to_list()
        raise DataError(f"the label `{column.name}` must hold 0 and 1, and both of them. Received: "
                        f"{', '.join(map(repr, some))}{', ...' * (len(some) == 5)}")  # fmt: skip


def find_group(log: Log, named: str | None = None) -> str | None:
    """Name of the column by which grouped AUC groups, usually the user; None when there is none.

    Raises:
        ConfigError: The named column does not exist or holds neither words nor whole numbers.
    """
    if named is not None:
        name = log.column(named, "--group")
        if log.frame[name].dtype not in (pl.Int64, pl.String):
            raise ConfigError(f"--group {name!r} must hold words or whole numbers. Received: {log.frame[name].dtype}")
        return name
    by_name = {name.lower(): name for name in log.frame.columns}
    for name in (by_name[name] for name in _GROUPS if name in by_name):
        column = log.frame[name]
        if column.dtype in (pl.Int64, pl.String) and 1 < column.n_unique() < column.len():
            return name
    return None


def find_request(log: Log, named: str | None, group: str | None, time: str | None) -> str | None:
    """Name of the column that says in which list, shown at once, a row was; None when there is none.

    Not every id called so is one. Unless it is named, a column must have a value in every row; the rows of a value must
    stand together, be of one user and one time, and be few; most rows must be in lists of two or more; and some user
    must have two lists. What a log without a user or a time holds is not guessed.

    Args:
        log: The log.
        named: Name of the column, as told.
        group: Name of the group key.
        time: Name of the time column.

    Raises:
        ConfigError: The named column does not exist, holds neither words nor whole numbers, or has empty cells.
    """
    if named is not None:
        name = log.column(named, "--request")
        column = log.frame[name]
        if column.dtype not in (pl.Int64, pl.String) or column.null_count():
            raise ConfigError(
                f"--request {name!r} must hold a word or a whole number in every row. Received: {column.dtype}, "
                f"{column.null_count():,} empty cells"
            )
        return name
    if group is None or time is None:
        return None
    others = [name for name in log.frame.columns if name not in (group, time) and _is_called_a_list(name)]
    found = [name for name in others if _holds_lists(log.frame, name, group, time)]
    return max(found, key=lambda name: log.frame[name].n_unique(), default=None)


def _is_called_a_list(name: str) -> bool:
    words = set(words_of(name))
    return bool(words & _LIST_IDS) or ("id" in words and (bool(words & _LISTS) or {"session", "step"} <= words))


def _holds_lists(frame: pl.DataFrame, name: str, group: str, time: str) -> bool:
    if frame[name].dtype not in (pl.Int64, pl.String) or any(frame[c].null_count() for c in (name, group, time)):
        return False
    rows = pl.DataFrame({"list": frame[name], "user": frame[group], "time": frame[time]}).with_row_index("row")
    lists = rows.group_by("list").agg(
        pl.len().cast(pl.Int64).alias("rows"),
        pl.col("user", "time").n_unique(),
        pl.col("user").first().alias("of"),
        (pl.col("row").max() - pl.col("row").min() + 1).cast(pl.Int64).alias("span"),
    )
    one = (lists["user"] == 1).all() and (lists["time"] == 1).all() and (lists["span"] == lists["rows"]).all()
    few = lists["rows"].max() <= _LONGEST_LIST  # type: ignore[operator]
    several = lists.filter(pl.col("rows") > 1)["rows"].sum() > frame.height / 2
    return bool(one and few and several and lists["of"].n_unique() < lists.height)


def is_moment(column: pl.Series) -> bool:
    """Whether the column holds points in time, by its name and its values."""
    if isinstance(column.dtype, pl.Datetime):
        return True
    if not column.dtype.is_numeric() or not set(words_of(column.name)) & _TIMES:
        return False
    if column.n_unique() < 3 or column.null_count() == column.len():
        return False
    if any(column.drop_nulls().is_between(*span).all() for span in (*_EPOCHS, _DAYS)):
        return True
    return bool(set(words_of(column.name)) & {"timestamp", "ts"}) and column.n_unique() > _MANY


def find_time(log: Log, named: str | None = None) -> str | None:
    """Name of the column that says when a row was; the finest where there are several, None when there is none.

    Raises:
        ConfigError: The named column does not exist or is no time.
    """
    if named is not None:
        name = log.column(named, "--time")
        dtype = log.frame[name].dtype
        if not (dtype.is_numeric() or isinstance(dtype, pl.Datetime)):
            why = question_of(log.frame[name]) if dtype == pl.String else f"it holds {dtype}"
            raise ConfigError(f"--time {name!r} must hold numbers or moments such as 2024-05-01 12:00:00: {why}")
        return name
    found = [name for name in log.frame.columns if is_moment(log.frame[name])]
    return max(found, key=lambda name: log.frame[name].n_unique(), default=None)


def moment_in(column: pl.Series, text: str, option: str) -> Any:
    """A time that an option names, as the time column has it: a number of its own unit, or a moment.

    Raises:
        ConfigError: It is no time.
    """
    moments = moments_of(pl.Series([text.strip()]))
    if moments is not None and isinstance(column.dtype, pl.Datetime):
        return moments[0]
    try:
        if isinstance(column.dtype, pl.Datetime):
            raise ValueError
        if moments is None:
            return float(text)
        low, _ = next(span for span in _EPOCHS if column.drop_nulls().is_between(*span).all())
        return moments.dt.epoch("us")[0] / 1_000_000 * (low // 631_152_000)
    except (ValueError, StopIteration):
        example = str(column.drop_nulls().head(1)[0])
        raise ConfigError(
            f"{option} takes times as `{column.name}` holds them, such as {example}. Received: {text!r}"
        ) from None


def seconds_of(column: pl.Series) -> pl.Series | None:
    """The seconds since 1970 of a time column, Float64; None where it counts something else, such as days."""
    if isinstance(column.dtype, pl.Datetime):
        return column.dt.epoch("us").cast(pl.Float64) / 1_000_000
    low = next((low for low, high in _EPOCHS if column.drop_nulls().is_between(low, high).all()), None)
    return None if low is None else column.cast(pl.Float64) / (low // _EPOCHS[0][0])


def unread_times(log: Log) -> dict[str, str]:
    """Columns that are called like a time but hold none that can be read, and what must be known of each."""
    found = {}
    for column in log.frame.get_columns():
        if not set(words_of(column.name)) & _TIMES or is_moment(column):
            continue
        known = column.drop_nulls()
        if column.dtype == pl.String and known.len() and known.str.contains(r"\d").mean() > 0.5:  # type: ignore[operator]
            found[column.name] = question_of(column)
        elif column.dtype.is_numeric() and known.n_unique() > 2:
            cells = ", ".join(str(value) for value in known.unique(maintain_order=True).head(3))
            found[column.name] = f"it holds {cells}, which count no seconds or parts of them since 1970"
    return found
