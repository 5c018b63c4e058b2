"""Numbers as people write them: `3.14`, `3,14`, `1,234.5`, `1.234,5`, `12 %`."""

import re
from collections.abc import Iterable
from typing import Literal

import polars as pl

# How pandas, R, Hive and MySQL write "no number".
NO_NUMBER = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>", "\\N")
Mark = Literal[",", "."]

_EXACT = 2.0**53
_PLAIN = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$"
# With a decimal comma and dots between thousands; and the other way round.
_COMMA = r"^[-+]?(\d+|[1-9]\d{0,2}(\.\d{3})+)(,\d+)?$"
_POINT = r"^[-+]?(\d+|[1-9]\d{0,2}(,\d{3})+)(\.\d+)?$"
_GROUPS = "[\u00a0\u202f'\u2019]"  # what else stands between thousands; a blank may part the values of a list
_GLANCE = 1000


def without_gaps(words: pl.Series) -> pl.Series:
    """The cells without blanks around them, those that say that there is no number missing."""
    words = words.str.strip_chars()
    return words.set(words.is_in(NO_NUMBER), None)


def numbers_of(words: pl.Series, mark: Mark | None = None) -> pl.Series | None:
    """The column as Int64 or Float64; None where a cell is no number, or may be one of two.

    Numbers with leading zeros (`007`) and whole numbers of more than 64 bits are names and no numbers.

    Args:
        words: A column of text, `without_gaps`.
        mark: What the log's numbers put before their decimals, where other columns tell.
    """
    known = words.drop_nulls()
    if not known.len() or not _is_written_so(known.head(_GLANCE), mark) or not _is_written_so(known, mark):
        return None
    return _read(_plain(words, _mark_of(known) or mark))


def _is_written_so(known: pl.Series, mark: Mark | None) -> bool:
    parts = _bare(known)
    if known.str.contains(r"^[-+]?0\d").any():
        return False
    special = parts.str.to_lowercase().is_in(["inf", "-inf", "+inf", "infinity", "-infinity"])
    rest = parts.filter(~special)
    if rest.str.contains(_PLAIN).all():
        return True
    if not (rest.str.contains(_COMMA).all() or rest.str.contains(_POINT).all()):
        return False
    return _mark_of(known) is not None or mark is not None


def _bare(words: pl.Series) -> pl.Series:
    """Without per cent, where all have it, and without the marks between thousands that can be nothing else."""
    known = words.drop_nulls()
    if known.len() and known.str.ends_with("%").all():
        words = words.str.strip_suffix("%").str.strip_chars()
    if words.str.contains(_GROUPS).any():
        grouped = rf"^[-+]?\d{{1,3}}({_GROUPS}\d{{3}})+([.,]\d+)?$"
        cleared = words.str.replace_all(_GROUPS, "")
        words = cleared if (words.str.contains(grouped) | ~words.str.contains(_GROUPS)).all() else words
    return words


def _mark_of(known: pl.Series) -> Mark | None:
    """What stands before the decimals, as far as the column itself tells."""
    parts = _bare(known)
    comma, point = parts.str.contains(_COMMA).all(), parts.str.contains(_POINT).all()
    if comma == point:  # neither, or both: `1,234`
        return None
    return "," if comma else "."


def _plain(words: pl.Series, mark: Mark | None) -> pl.Series:
    words = _bare(words)
    if mark == "," and words.drop_nulls().str.contains(_COMMA).all():
        return words.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    return words.str.replace_all(",", "", literal=True)


def _read(words: pl.Series) -> pl.Series | None:
    whole = words.cast(pl.Int64, strict=False)
    if whole.null_count() == words.null_count():
        return whole
    if words.str.contains(r"^[-+]?\d{17,}$").any():
        return None
    real = words.cast(pl.Float64, strict=False)
    return whole_or_real(real) if real.null_count() == words.null_count() else None


def whole_or_real(real: pl.Series) -> pl.Series:
    """The numbers as Int64 where all are whole; infinite ones are missing."""
    real = real.set(~real.is_finite(), None)
    exact = ((real == real.floor()) & (real.abs() < _EXACT)).all()
    return real.cast(pl.Int64) if exact and real.null_count() < real.len() else real


def mark_of_log(columns: Iterable[pl.Series]) -> Mark | None:
    """What stands before decimals in a log, where its columns tell and agree."""
    found = set()
    for column in columns:
        known = without_gaps(column).drop_nulls()
        if not known.len() or not known.head(_GLANCE).str.contains(r"[.,]\d").any():
            continue
        mark = _mark_of(known)
        if mark is None and known.str.contains(_PLAIN).all() and not known.str.contains(_COMMA).all():
            mark = "."
        found.add(mark)
    found.discard(None)
    return found.pop() if len(found) == 1 else None


def question_of(column: pl.Series) -> str | None:
    """What must be known of a column of text whose cells are numbers by one way of writing and others by another."""
    known = without_gaps(column).drop_nulls()
    if not known.len() or known.str.contains(r"^[-+]?0\d").any() or not known.str.contains(",", literal=True).any():
        return None
    parts = _bare(known)
    if not (parts.str.contains(_COMMA).all() and parts.str.contains(_POINT).all()):
        return None
    cell = known.filter(known.str.contains(",", literal=True))[0]
    plain = re.sub(r"[^\d,]", "", cell)
    return (
        f"is {cell} {plain.replace(',', '')} or {plain.replace(',', '.')}? Write it with a point before the decimals "
        "and nothing between thousands"
    )


def remark_of(column: pl.Series, numbers: pl.Series) -> str:
    """What a person may want to know of how the numbers of a column were read; empty where they are plain."""
    known = without_gaps(column).drop_nulls()
    if not known.len() or known.str.contains(_PLAIN).all():
        return ""
    infinite = int(known.str.to_lowercase().str.contains(r"^[-+]?inf").sum())
    if infinite:
        return f"infinite in {infinite:,} rows: missing there"
    place = known.str.len_chars().arg_max() or 0
    return f"{known[place]} is read as {numbers.drop_nulls()[place]}: send it so to the model"


def near_numbers(column: pl.Series) -> str:
    """A remark where nearly all cells of a column of text are numbers; empty elsewhere."""
    known = without_gaps(column).drop_nulls()
    if known.len() < 20 or not known.head(_GLANCE).str.contains(_PLAIN).any():
        return ""
    number = known.str.contains(_PLAIN) & ~known.str.contains(r"^[-+]?0\d")
    share = number.mean()
    others = known.filter(~number)
    if not others.len() or not isinstance(share, float) or share < 0.9 or known.filter(number).n_unique() < 10:
        return ""
    some = ", ".join(repr(value) for value in others.unique(maintain_order=True).head(3))
    more = ", ..." if others.n_unique() > 3 else ""
    return f"a number in {share:.1%} of the filled cells, but not {some}{more}: with these empty it would be one"
