"""Lists that a log writes as text: `a|b|c`, `1,2,3`, `a^b`, `N1 N2`, `[1, 2, 3]`."""

import re

import polars as pl

from pipelines.own_log.nested import flat, with_values
from pipelines.own_log.types import FILLERS, typed_values

_SEPARATORS = ("|", "^", ";", ",", " ")
_BRACKETS = r"^\s*[\[\(\{].*[\]\)\}]\s*$"
_SAMPLE = 20_000
# Share of the cells that must hold the separator, and of the tokens that may be empty where it also occurs in prose.
_ENOUGH, _EMPTY = 0.01, 0.1
# What hardly anybody writes but between the values of a list.
_PLAIN_SEPARATORS = ("|", "^")
# Words in the name of a column that holds several words in a cell; else words with blanks between them are prose.
_SEVERAL = {"genre", "genres", "tags", "keywords", "topics", "categories", "labels", "words", "tokens", "terms", "ids",
            "items", "hist", "history", "seq", "sequence", "list"}  # fmt: skip


def separator_of(column: pl.Series) -> str | None:
    """What separates the tokens of a column of text; `"[,"` or `"[ "` where cells are in brackets; None for plain text.

    Cells are lists when their tokens recur from cell to cell and their number varies. A comma also occurs in prose and
    in numbers, and a space in titles, so more is asked of these: tokens after a space must hold a digit, as ids do, or
    the column be called like several values (`genres`), and `1,234` is a number. Between `|`, values may be empty.
    """
    cells = column.drop_nulls()
    if cells.len() > _SAMPLE:
        cells = cells.sample(_SAMPLE, seed=0)
    if not cells.len():
        return None
    if cells.str.contains(_BRACKETS).all():
        return "[," if cells.str.contains(",", literal=True).any() else "[ "
    return next((separator for separator in _SEPARATORS if _separates(cells, separator)), None)


def _separates(cells: pl.Series, separator: str) -> bool:
    if cells.str.contains(separator, literal=True).sum() < max(2, _ENOUGH * cells.len()):
        return False
    lists = cells.str.split(separator)
    counts = lists.list.len()
    tokens = flat(lists).str.strip_chars()
    present = tokens.filter((tokens != "") & ~tokens.str.to_lowercase().is_in(FILLERS))
    most, least = int(counts.max()), int(counts.min())  # type: ignore[arg-type]
    if most == least and most < 3 and not (separator in _PLAIN_SEPARATORS and present.len() < tokens.len()):
        return False
    if present.len() < (1 - _EMPTY) * tokens.len() and separator not in _PLAIN_SEPARATORS:
        return False
    if not present.len():
        return False
    numbers = present.cast(pl.Float64, strict=False).null_count() == 0
    called = set(re.findall(r"[a-z]+", cells.name.lower())) & _SEVERAL
    if separator == " " and not present.str.contains(r"\d").all() and not called:
        return False
    if separator == "," and numbers and (most == 2 or cells.str.contains(r"^\d{1,3}(,\d{3})*$").all()):
        return False
    return numbers or present.n_unique() < cells.n_unique()


def split_lists(column: pl.Series, separator: str) -> pl.Series:
    """The column as lists of Int64, Float64 or String.

    Args:
        column: A column of text.
        separator: What `separator_of` returned.
    """
    text = column.str.strip_chars()
    bracketed = separator.startswith("[")
    if bracketed:
        text = text.str.slice(1, text.str.len_chars() - 2).str.replace_all(r"\s+", " ").str.strip_chars()
    text = text.set(text == "", None)
    lists = text.str.split(separator[-1])
    tokens = flat(lists).str.strip_chars(" \t\r\n'\"" if bracketed else None)
    values = typed_values(tokens)
    return with_values(lists, values if values.dtype in (pl.Int64, pl.Float64) else tokens.set(tokens == "", None))


def as_lists(column: pl.Series) -> pl.Series:
    """The column as lists, where a schema says that it holds some: a lone value is a list of one."""
    if isinstance(column.dtype, pl.List):
        return column
    if column.dtype == pl.String:
        cells = column.drop_nulls()
        separator = separator_of(column) or next(
            (s for s in _SEPARATORS if cells.str.contains(s, literal=True).any()), None
        )
        if separator is not None:
            return split_lists(column, separator)
    return pl.DataFrame({column.name: column}).select(
        pl.when(pl.first().is_null()).then(None).otherwise(pl.concat_list(pl.first())).alias(column.name)
    )[column.name]
