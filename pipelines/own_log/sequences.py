"""What the list columns are proposed to be: multi-valued features, or fields of behaviour sequences."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from pipelines.own_log.finding import Finding
from pipelines.own_log.nested import same_lengths
from pipelines.own_log.roles import compared, is_moment, words_of
from pipelines.own_log.scalars import describe, is_quantity, numeric, vocabulary_or_hash
from pipelines.own_log.types import feature_dtype
from tf_interformer.schema import Categorical, Numeric, Sequence

_HISTORY = {
    "hist", "history", "histories", "seq", "sequence", "viewed", "clicked", "watched", "bought", "searched",
    "visited", "seen", "recent", "past", "previous", "prev", "last", "behavior", "behaviour", "log", "events",
}  # fmt: skip
_MAX_VALUES, _MAX_EVENTS = 20, 50
_LONG = 10
# Share of the rows whose list repeats a value, and of those that hold the row's own value.
_REPEATS, _OWN = 0.01, 0.9
# A list shares the table of a column that knows this share of its values, and, where the names say nothing, whose
# values it covers so far, in enough of them that this is no coincidence of small codes.
_KNOWN, _COVERED = 0.5, 0.3
_ENOUGH = {"string": 3, "int64": 33}


@dataclass(frozen=True)
class ListColumn:
    """A list column and what was found out about it.

    Args:
        values: The column; a gap is an empty list.
        finding: Cardinality and so on.
        table: Name of the feature whose table it may share.
        shared: Share of its values that this feature knows.
        is_history: Whether its values are events rather than properties.
        is_quantity: Whether its values are numbers rather than words or codes.
    """

    values: pl.Series
    finding: Finding
    table: str | None
    shared: float
    is_history: bool
    is_quantity: bool = False


def propose_lists(columns: list[pl.Series], scalars: Mapping[str, pl.Series]) -> tuple[list[Finding], list[Sequence]]:
    """What the list columns are proposed to be.

    Lists are a history where their name says so, where values repeat within a list, where they are long, where they
    hold values of another column but mostly not those of the row itself, or where another history has as many values
    in every row. Histories of equal lengths in every row are one sequence; numbers, such as prices or times spent, are
    only told of the events of another history.

    Args:
        columns: List columns of a `Log`.
        scalars: The categorical features, by name, whose tables may be shared.

    Returns:
        The findings and the sequences.
    """
    findings, lists, quantities = [], [], []
    for column in columns:
        values = column.fill_null([])
        found = describe(values)
        inner = values.explode(empty_as_null=False).rename(column.name)
        if inner.dtype not in (pl.Int64, pl.Float64, pl.String):
            findings.append(found.left_out(f"lists of {inner.dtype}: neither values nor events"))
        elif not found.distinct:
            findings.append(found.left_out("empty in every row"))
        elif inner.dtype != pl.String and is_moment(inner):
            remark = "moments of events: no feature; the seconds from then to the row may be one"
            warning = _wrong_order(values)
            findings.append(found.left_out(remark, warning))
        else:
            numbers = inner.dtype == pl.Float64
            table, shared = (None, 0.0) if numbers else _shared_table(values, inner, scalars)
            if table is None and is_quantity(inner, found):
                quantities.append(ListColumn(values, found, None, 0.0, is_history=True, is_quantity=True))
                continue
            if table is not None and scalars[table].dtype != inner.dtype:
                values = values.cast(pl.List(scalars[table].dtype))
            history = _is_history(values, scalars.get(table or ""))
            lists.append(ListColumn(values, found, table, shared, history))
    groups = _aligned(lists)
    for item in quantities:
        group = next((group for group in groups if _belongs(item, group)), None)
        if group is None:
            findings.append(item.finding.left_out("lists of numbers, of no events that are told"))
        else:
            group.append(item)
    sequences = []
    taken: set[str] = set()
    for group in groups:
        if len(group) == 1 and not group[0].is_history:
            findings.append(_multi_valued(group[0]))
            continue
        name, fields = _names(group, taken)
        taken.add(name)
        sequence_fields = []
        for item, field in zip(group, fields, strict=True):
            feature, remark = _field(item, field)
            sequence_fields.append(feature)
            if f"{name}_{field}" != item.values.name:
                remark = f"becomes the column {name}_{field}; {remark}".rstrip("; ")
            findings.append(replace(item.finding, kind=f"sequence {name}", remark=remark, feature=feature))
        longest = min(_longest(group[0].values), _MAX_EVENTS)
        # What a history has in common with a feature is where the row's own value may stand.
        shared_fields = [field for field in sequence_fields if field.shares_table is not None]
        match, distance = compared(shared_fields)
        made = Sequence(name=name, fields=tuple(sequence_fields), max_length=longest, match=match, distance=distance)
        sequences.append(made)
    return findings, sequences


def _is_history(values: pl.Series, target: pl.Series | None) -> bool:
    if set(words_of(values.name)) & _HISTORY:
        return True
    filled = values.filter(values.list.len() > 0)
    repeats: Any = (filled.list.n_unique() < filled.list.len()).mean()
    length: Any = filled.list.len().quantile(0.9)
    if repeats > _REPEATS or length > _LONG:
        return True
    if target is None:
        return False
    pair = pl.DataFrame({"list": values, "own": target}).filter(pl.col("list").list.len() > 0)
    return bool(pair.select(pl.col("list").list.contains(pl.col("own")).mean()).item() < _OWN)


def _longest(values: pl.Series) -> int:
    longest: Any = values.list.len().max()
    return int(longest)


def _shared_table(values: pl.Series, inner: pl.Series, scalars: Mapping[str, pl.Series]) -> tuple[str | None, float]:
    """The feature that knows most of the list's values, and the share of them that it knows."""
    own = inner.drop_nulls().unique()
    best: tuple[tuple[bool, float], str, float] | None = None
    for name, column in scalars.items():
        theirs = column.drop_nulls().unique()
        if column.dtype not in (inner.dtype, pl.String):
            continue
        # Ids that are all digits here need not be so there.
        common = int(own.cast(column.dtype).is_in(theirs.implode()).sum())
        known, covered = common / own.len(), common / theirs.len()
        named = _ends_with(values.name, name)
        enough = _ENOUGH["string" if inner.dtype == pl.String else "int64"]
        if known >= _KNOWN and (named or (covered >= _COVERED and common >= enough)):
            rank = (named, common / (own.len() + theirs.len() - common))
            if best is None or rank > best[0]:
                best = (rank, name, known)
    return (None, 0.0) if best is None else best[1:]


def _ends_with(column: str, feature: str) -> bool:
    return column.lower().endswith((feature.lower(), f"{feature.lower()}s"))


def _aligned(lists: list[ListColumn]) -> list[list[ListColumn]]:
    """Groups of columns with as many values in every row; a property is only in a group of its own."""
    groups: list[list[ListColumn]] = []
    for item in sorted(lists, key=lambda item: not item.is_history):
        for group in groups:
            if _belongs(item, group):
                group.append(item)
                break
        else:
            groups.append([item])
    return groups


def _belongs(item: ListColumn, group: list[ListColumn]) -> bool:
    """Whether a column tells of the events of a group."""
    first = group[0]
    telling = item.values.list.len().n_unique() > 2 or _prefix([item.values.name, first.values.name]) != ""
    return first.is_history and telling and same_lengths(first.values, item.values)


def _prefix(columns: list[str]) -> str:
    """The words with which all names begin: of `past_item_id` and `past_item_name`, `past_item`."""
    words = [column.split("_") for column in columns]
    same = 0
    while all(len(own) > same + 1 and own[same] == words[0][same] for own in words):
        same += 1
    return "_".join(words[0][:same])


def _multi_valued(item: ListColumn) -> Finding:
    values = item.values
    inner = values.explode(empty_as_null=False)
    longest = _longest(values)
    count = min(longest, _MAX_VALUES)
    remarks = [f"up to {count} of {longest} values per row" if longest > count else f"up to {longest} values per row"]
    feature = Categorical(name=values.name, dtype=feature_dtype(inner), max_values=count)
    feature, remark = vocabulary_or_hash(inner, feature, remarks)
    return replace(item.finding, kind="multi-valued", remark=remark, feature=feature)


def _field(item: ListColumn, name: str) -> tuple[Categorical | Numeric, str]:
    inner = item.values.explode(empty_as_null=False)
    if item.is_quantity:
        number, remark = numeric(inner)
        return number.replace(name=name), remark
    dtype = feature_dtype(inner)
    if item.table is not None:
        feature = Categorical(name=name, dtype=dtype, table=item.table)
        return feature, f"shares the table of {item.table}, which knows {item.shared:.0%} of its values"
    return vocabulary_or_hash(inner, Categorical(name=name, dtype=dtype), [])


def _names(group: list[ListColumn], taken: set[str]) -> tuple[str, list[str]]:
    """Name of the sequence and of its fields, so that `NAME_FIELD` is the column wherever that is possible."""
    columns = [item.values.name for item in group]
    if len(columns) == 1:
        table = group[0].table
        name = next(
            (columns[0][: -len(end)] for end in (f"_{table}", f"_{table}s") if columns[0].endswith(end)),
            columns[0].rpartition("_")[0],
        )
    else:
        name = _prefix(columns)
    fields = [column.removeprefix(f"{name}_") for column in columns]
    if name and name not in taken and all(fields) and "length" not in fields and name not in columns:
        return name, fields
    name = columns[0] if len(columns) == 1 else "history"
    while name in taken:
        name += "_2"
    return name, [group[0].table or "event"] if len(columns) == 1 else columns


def _wrong_order(times: pl.Series) -> str:
    """A warning where the times of the events fall: a history is oldest first."""
    steps = times.list.eval(pl.element().diff().drop_nulls()).explode(empty_as_null=False)
    if steps.len() and (steps < 0).mean() > (steps > 0).mean():  # type: ignore[operator]
        return f"by `{times.name}` the newest event comes first; a history must be oldest first: turn the lists round"
    return ""
