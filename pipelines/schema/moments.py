"""Points in time as people write them."""

import re

import polars as pl

_DATES = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d.%m.%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y",
    "%d-%b-%Y", "%a, %d %b %Y",
    "%d/%m/%Y", "%d/%m/%y", "%d-%m-%Y", "%d-%m-%y", "%m/%d/%Y", "%m/%d/%y", "%m-%d-%Y", "%m-%d-%y",
)  # fmt: skip
_CLOCKS = ("", " %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p", ", %H:%M:%S", ", %I:%M:%S %p", ", %I:%M %p")
_YEARS = (1900, 2200)
_GLANCE = 20
_SHARE = 0.9


def moments_of(words: pl.Series, form: str | None = None) -> pl.Series | None:
    """The column as Datetime, of UTC where cells name an offset; None where a cell is no time, or may be one of two.

    Args:
        words: A column of text, gaps missing.
        form: The format to read it by, as in `datetime.strptime`; tried first.
    """
    found = _forms(words, form)
    if not found or (found[0] != form and _contradict(found)):
        return None
    return _parsed(_plain(words), found[0])


def question_of(column: pl.Series) -> str:
    """What must be known of a column that is called like a time and holds text that is none."""
    words = column.drop_nulls().str.strip_chars()
    cells = ", ".join(repr(cell) for cell in words.unique(maintain_order=True).head(2))
    found = _forms(words)
    if found and _contradict(found):
        return f"it holds {cells}, {' or '.join(_contradicting(found))}: give --time-format"
    plain = _plain(words)
    for form in _candidates(plain.head(_GLANCE), _SHARE):
        parsed = _parsed(plain, form)
        wrong = int(parsed.null_count())
        if wrong < (1 - _SHARE) * plain.len():
            cell = words.filter(parsed.is_null())[0]
            return f"it holds {cells} ({form}), but in {wrong:,} rows not, such as {cell!r}: correct these"
    return f"it holds {cells}: give --time-format, or write it as 2024-05-01 12:00:00"


def _plain(words: pl.Series) -> pl.Series:
    """A `T` between date and time as a blank, and the ways to name the zone as one."""
    words = words.str.strip_chars().str.replace(r"^(\d{4}-\d\d-\d\d)[Tt]", "${1} ")
    return words.str.replace(r"\s*(UTC|GMT|[Zz])$", "+00:00").str.replace(r"(\d)\s+([-+]\d\d:?\d\d)$", "${1}${2}")


def _forms(words: pl.Series, form: str | None = None) -> list[str]:
    """The formats that all cells have."""
    plain = _plain(words).drop_nulls()
    if not plain.len():
        return []
    if form is not None and _fits(plain, form):
        return [form]
    return [found for found in _candidates(plain.head(_GLANCE), 1.0) if _fits(plain, found)]


def _candidates(head: pl.Series, share: float) -> list[str]:
    if not head.str.contains(r"^[A-Za-z]{0,9},? ?\d").all() or not head.str.contains(r"\d.*[-/. ,].*\d").any():
        return []
    if (head.str.len_chars() > 48).any():
        return []
    zone = "%#z" if head.str.contains(r"[-+]\d\d:?(\d\d)?$").all() and head.str.contains(":").all() else ""
    forms = (f"{date}{clock}{zone if clock else ''}" for date in _DATES for clock in _CLOCKS)
    return [form for form in forms if (1 - share) * head.len() >= _parsed(head, form).null_count()]


def _fits(plain: pl.Series, form: str) -> bool:
    return bool(_parsed(plain, form).null_count() == plain.null_count())


def _parsed(plain: pl.Series, form: str) -> pl.Series:
    try:
        moments = plain.str.to_datetime(form, time_unit="us", strict=False)
    except pl.exceptions.PolarsError:  # a format of a user's that is none
        return pl.Series(plain.name, [None] * plain.len(), pl.Datetime("us"))
    if isinstance(moments.dtype, pl.Datetime) and moments.dtype.time_zone is not None:
        moments = moments.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return moments.set(~moments.dt.year().is_between(*_YEARS), None)


def _order(form: str) -> str:
    """Which of day and month comes first."""
    return "".join(re.findall(r"%([dmbBYy])", form)).lower().replace("b", "m")


def _contradict(forms: list[str]) -> bool:
    return len({_order(form) for form in forms}) > 1


def _contradicting(forms: list[str]) -> list[str]:
    return list({_order(form): form for form in reversed(forms)}.values())[::-1]
