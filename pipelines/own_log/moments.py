"""Points in time as people write them."""

import re

import polars as pl

# How a date begins, and the formats that it may then have.
_DATES = {
    r"\d{4}-\d": ("%Y-%m-%d",),
    r"\d{4}/\d": ("%Y/%m/%d",),
    r"\d{4}\.\d": ("%Y.%m.%d",),
    r"\d\d?\.\d\d?\.\d{4}": ("%d.%m.%Y",),
    r"\d\d?\.\d\d?\.\d\d\b": ("%d.%m.%y",),
    r"\d\d?/\d\d?/\d{4}": ("%d/%m/%Y", "%m/%d/%Y"),
    r"\d\d?/\d\d?/\d\d\b": ("%d/%m/%y", "%m/%d/%y"),
    r"\d\d?-\d\d?-\d{4}": ("%d-%m-%Y", "%m-%d-%Y"),
    r"\d\d?-\d\d?-\d\d\b": ("%d-%m-%y", "%m-%d-%y"),
    r"\d\d? [A-Za-z]+ \d": ("%d %b %Y", "%d %B %Y"),
    r"\d\d?-[A-Za-z]+-\d": ("%d-%b-%Y",),
    r"[A-Za-z]+ \d\d?, \d": ("%b %d, %Y", "%B %d, %Y"),
    r"[A-Za-z]{3}, \d": ("%a, %d %b %Y",),
}
_ZONE = r"[-+]\d\d(:?\d\d)?$"
_YEARS = (1900, 2200)
_GLANCE = 20
_SHARE = 0.9


def moments_of(words: pl.Series, form: str | None = None) -> pl.Series | None:
    """The column as Datetime, of UTC where cells name an offset; None where a cell is no time, or may be one of two.

    Args:
        words: A column of text, gaps missing.
        form: The format to read it by, as in `datetime.strptime`; tried first.
    """
    if form is not None:
        given = _parsed(words.str.strip_chars(), form.replace(".%f", "%.f"))  # as polars writes parts of a second
        if given.null_count() == words.null_count() < words.len():
            return given
    found = _forms(words)
    return None if not found or _contradict(found) else _parsed(_plain(words), found[0])


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


def _forms(words: pl.Series) -> list[str]:
    """The formats that all cells have."""
    plain = _plain(words).drop_nulls()
    if not plain.len():
        return []
    return [form for form in _candidates(plain.head(_GLANCE), 1.0) if not _parsed(plain, form).null_count()]


def _candidates(head: pl.Series, share: float) -> list[str]:
    """The formats that this share of some cells has."""
    cells = head.to_list() if share < 1 else head.head(1).to_list()
    forms = dict.fromkeys(form for cell in cells for form in _forms_of(cell))
    return [form for form in forms if _parsed(head, form).null_count() <= (1 - share) * head.len()]


def _forms_of(cell: str) -> list[str]:
    """The formats that one cell looks like."""
    dates = next((forms for begin, forms in _DATES.items() if re.match(begin, cell)), ())
    zone = re.search(_ZONE, cell) if ":" in cell else None
    bare = cell[: zone.start()] if zone else cell
    seconds = "%M:%S%.f" if bare.count(":") > 1 else "%M"
    half = re.search(r"[AaPp]\.?[Mm]\.?$", bare)
    clock = f"%I:{seconds} %p" if half else f"%H:{seconds}"
    between = ", " if re.search(r"\d, \d+:", bare) else " "
    return [date + (between + clock if ":" in bare else "") + ("%#z" if zone else "") for date in dates]


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
