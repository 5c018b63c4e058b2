"""What a column with one value per row is proposed to be."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from pipelines.own_log.finding import Finding
from pipelines.own_log.roles import is_moment, is_outcome, words_of
from pipelines.own_log.types import feature_dtype
from tf_interformer.schema import Categorical, Numeric

# Words that name codes rather than quantities.
_CODES = {
    "id", "ids", "uid", "code", "type", "kind", "class", "category", "cate", "cat", "brand", "item", "user", "video",
    "author", "channel", "city", "region", "province", "state", "country", "zip", "store", "shop", "seller", "campaign",
    "customer", "advertiser", "ad", "adgroup", "product", "sku", "device", "os", "browser", "genre", "tag", "group",
    "segment", "segid", "gender", "sex", "occupation", "surface", "slot", "tab", "model", "language", "hour", "weekday",
    "month", "pid", "cid", "environment", "referrer",
}  # fmt: skip
# Words that name quantities of events.
_QUANTITIES = {
    "price", "prices", "cost", "amount", "amounts", "revenue", "discount", "quantity", "qty", "count", "counts",
    "seconds", "secs", "sec", "ms", "millis", "minutes", "hours", "days", "ago", "age", "ages", "duration", "durations",
    "dwell", "spent", "played", "watch", "ratio", "ratios", "share", "rate", "score", "scores", "percent", "weight",
}  # fmt: skip
# A whole number with at most so many values is a code, whatever it is called.
_FEW = 32
# Above so many values a vocabulary is hashed rather than kept, and a value is known from so many rows on.
_VOCABULARY, _SMALL, _MIN_COUNT = 100_000, 100, 5
_LARGEST_HASH = 1 << 20
_SKEWED = 1.0
# An id that comes up less often than this says nothing about the next row.
_ID_ROWS, _GROUP_ROWS = 2, 20
_ROWS_TO_JUDGE = 100
# Of the latest rows; an id that fewer of them have in common with an earlier row says nothing about the others.
_LATER, _RECURRING = 0.2, 0.2
# Where a row was shown: known of logged rows alone.
_PLACES = {"position", "pos", "slot"}
_OF_PLACES = {
    "rank",
    "list",
    "item",
    "display",
    "displayed",
    "shown",
    "page",
    "search",
    "result",
    "ad",
    "index",
    "in",
    "id",
}
_PROSE = 40


def describe(column: pl.Series) -> Finding:
    """Cardinality and missing share of a column, kind yet to be found."""
    lists = isinstance(column.dtype, pl.List)
    values = column.explode(empty_as_null=False).drop_nulls() if lists else column.drop_nulls()
    empty = int((column.list.len().fill_null(0) == 0).sum()) if lists else column.null_count()
    return Finding(column.name, "", values.n_unique() if not values.dtype.is_nested() else 0, empty / column.len())


def propose_scalar(column: pl.Series, group: str | None) -> Finding:
    """What a column that is neither label nor time nor list is proposed to be.

    Args:
        column: A column of a `Log`.
        group: Name of the group key.
    """
    found = describe(column)
    if column.dtype not in (pl.Int64, pl.Float64, pl.String):
        if is_moment(column):
            return found.left_out("a moment: no feature as it is; its hour, weekday or age may be one")
        return found.left_out(f"holds {column.dtype}, which no feature can hold")
    if not found.distinct:
        return found.left_out("empty in every row")
    if found.distinct == 1 and not found.missing:
        return found.left_out(f"constant: {column[0]!r} in every row")
    if is_outcome(column):
        return found.left_out(
            "another outcome: unknown when the row is scored",
            f"`{column.name}` looks like another outcome of the row. As a task of its own: --label {column.name}",
        )
    if is_moment(column):
        return found.left_out("a moment: no feature as it is; its hour, weekday or age may be one")
    if column.name == group and column.len() < _GROUP_ROWS * found.distinct:
        few = f"{column.len() / found.distinct:.0f} rows per value are too few for a feature"
        return replace(found, kind="group key", remark=few)
    if _is_identifier(column, found) and column.name != group:
        return found.left_out(f"an identifier: {found.distinct:,} values in {column.len():,} rows")
    if column.dtype == pl.String or (column.dtype == pl.Int64 and _is_code(column, found)):
        feature, remark = _categorical(column, found)
        kind = "categorical, group key" if column.name == group else "categorical"
        return _served(replace(found, kind=kind, remark=remark, feature=feature), column)
    number, remark = numeric(column)
    return _served(replace(found, kind="numeric", remark=remark, feature=number), column)


def _served(found: Finding, column: pl.Series) -> Finding:
    """The finding of where a row was shown, with `serve_as`: nobody knows it of a row that is yet to be shown."""
    words = set(words_of(column.name))
    if not words & _PLACES or words - _PLACES - _OF_PLACES or column.dtype == pl.String or found.feature is None:
        return found
    first: Any = column.min()
    feature = found.feature.replace(serve_as=first)
    remark = f"where the row was shown, known of logged rows only: served as {first}"
    return replace(found, feature=feature, remark=f"{remark}; {found.remark}".removesuffix("; "))


def without_strangers(found: Finding, column: pl.Series, time: pl.Series, group: str | None) -> Finding:
    """The finding; left out, or no more than the group key, where the values of later rows are mostly new ones."""
    known = found.feature is not None and found.feature.has_vocabulary
    if not known or found.distinct <= _SMALL or column.len() < _ROWS_TO_JUDGE:
        return found
    ranks = time.rank("dense").fill_null(0).to_numpy()
    cut = np.quantile(ranks, 1 - _LATER)
    earlier, later = column.filter(ranks < cut), column.filter(ranks >= cut).drop_nulls()
    if not earlier.len() or not later.len():
        return found
    share: Any = later.is_in(earlier.drop_nulls().unique().implode()).mean()
    if share >= _RECURRING:
        return found
    remark = f"of the latest {_LATER:.0%} of the rows {share:.1%} have a value that an earlier row has: no feature"
    if column.name == group:
        return replace(found, kind="group key", remark=remark, feature=None)
    return found.left_out(remark)


def _is_identifier(column: pl.Series, found: Finding) -> bool:
    filled = column.len() - column.null_count()
    if column.dtype == pl.Float64 or filled < _ROWS_TO_JUDGE:
        return False
    if column.dtype == pl.Int64 and not set(words_of(column.name)) & _CODES:
        return found.distinct == filled
    return filled < _ID_ROWS * found.distinct


def _is_code(column: pl.Series, found: Finding) -> bool:
    return found.distinct <= _FEW or bool(set(words_of(column.name)) & _CODES)


def _categorical(column: pl.Series, found: Finding) -> tuple[Categorical, str]:
    remarks = []
    if column.dtype == pl.Int64 and (column == -1).any():
        remarks.append("-1 is taken for missing")
    if column.dtype == pl.String:
        length: Any = column.str.len_chars().mean()
        if length > _PROSE:
            remarks.append("prose: a whole text is one value")
    return vocabulary_or_hash(column, Categorical(name=column.name, dtype=feature_dtype(column)), remarks)


def vocabulary_or_hash(values: pl.Series, feature: Categorical, remarks: list[str]) -> tuple[Categorical, str]:
    """The feature with its vocabulary's `min_count`, or with its hash buckets, and the remarks in one line.

    Few values are all known. More are known from 5 rows on. Where there are over 100,000, or where most rows hold a
    value that is rarer, they are hashed: an id of a hash needs no vocabulary, and a new value has one at once.
    """
    counts = values.drop_nulls().value_counts(name="rows")["rows"]
    distinct, rows = counts.len(), int(counts.sum())
    if distinct <= _SMALL:
        return feature, "; ".join(remarks)
    known = counts.filter(counts >= _MIN_COUNT)
    if distinct > _VOCABULARY or known.sum() < rows / 2:
        buckets = min(_LARGEST_HASH, 1 << max(6, (min(distinct, rows // 10) - 1).bit_length()))
        why = "many" if distinct > _VOCABULARY else f"most are seen less than {_MIN_COUNT} times"
        remarks.append(f"hashed into {buckets:,}: {why}")
        return feature.replace(hash_buckets=buckets), "; ".join(remarks)
    if known.len() < distinct:
        remarks.append(f"values seen less than {_MIN_COUNT} times are one unknown value")
    return feature.replace(min_count=_MIN_COUNT), "; ".join(remarks)


def is_quantity(values: pl.Series, found: Finding) -> bool:
    """Whether the values of lists say how much or how long, rather than which."""
    if values.dtype == pl.Float64:
        return True
    words = set(words_of(found.column))
    return values.dtype == pl.Int64 and bool(words & _QUANTITIES) and not _is_code(values, found)


def numeric(column: pl.Series) -> tuple[Numeric, str]:
    """The feature that a column of numbers may be, and remarks in one line."""
    remarks = []
    low: Any = column.min()
    skew = column.cast(pl.Float64).skew()
    log = low >= 0 and skew is not None and skew > _SKEWED
    remarks.append("log: skewed and never negative" if log else "standardised")
    if column.dtype == pl.Int64:
        remarks.append("if these are codes, make it categorical")
    return Numeric(name=column.name, transform="log" if log else "standardize"), "; ".join(remarks)
