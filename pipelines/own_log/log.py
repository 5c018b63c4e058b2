"""Reads anybody's log: the columns of a CSV or Parquet file, each with the type of what it holds."""

import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from pipelines.config import ConfigError
from pipelines.datasets.delimited import DelimitedFile
from pipelines.datasets.tables import DataError, read_table
from pipelines.own_log import numbers
from pipelines.own_log.lists import separator_of, split_lists
from pipelines.own_log.nested import flat
from pipelines.own_log.types import FILLERS, typed
from tf_interformer.schema._name import fault_of

_DELIMITERS = (",", "\t", ";", "|")


@dataclass(frozen=True)
class Log:
    """A log in memory.

    Args:
        frame: DataFrame. Its columns are Int64, Float64, String, Datetime, lists of Int64, Float64 or String, or a
            type that no feature can have.
        renamed: dict. Name in the file -> name in `frame`, where a schema could not bear the former.
        remarks: dict. Column -> what a person may want to know of how its cells were read.
        questions: dict. Column -> what must be known of its cells before they can be used.
    """

    frame: pl.DataFrame
    renamed: Mapping[str, str]
    remarks: Mapping[str, str] = field(default_factory=dict)
    questions: Mapping[str, str] = field(default_factory=dict)

    def column(self, name: str, option: str) -> str:
        """The column that an option names, by either name.

        Raises:
            ConfigError: There is none.
        """
        name = self.renamed.get(name, name)
        if name not in self.frame.columns:
            raise ConfigError(f"{option} {name!r} is no column of the log. It has: {', '.join(self.frame.columns)}")
        return name


def read_log(
    path: str | Path,
    delimiter: str | None = None,
    scalars: Collection[str] = (),
    *,
    encoding: str = "utf8",
    time_format: str | None = None,
) -> Log:
    """Read a log, whole, into memory.

    Numbers, moments and lists that are written as text are recognised: `7`, `7.0`, `3,14`, `true`, `2024-05-01
    12:00:00`, `a|b|c`, `[1, 2, 3]`. A column is of a type only when all its cells are. In a text file an empty cell is
    missing; blanks around a value are no part of it.

    Args:
        path: A file that ends in `.parquet`, or a text file whose first line names the columns.
        delimiter: What separates the cells of a text file; looked for in its first line when `None`.
        scalars: Columns that are not to be taken apart, whatever their cells look like.
        encoding: Encoding of a text file, by its Python name.
        time_format: How the log writes times, as in `datetime.strptime`; told by the cells when `None`.

    Raises:
        DataError: The file is missing, empty, broken or no table, or its first line holds no names.
    """
    path = Path(path)
    if ".parquet" in path.suffixes:
        names, frame = _read_parquet(path)
    else:
        names, frame = _read_text(path, delimiter, encoding)
    renamed = _valid_names(path, names)
    frame = frame.rename(renamed)
    texts = [column for column in frame.get_columns() if column.dtype == pl.String]
    mark = numbers.mark_of_log(texts)
    columns, remarks, questions = [], {}, {}
    for column in frame.get_columns():
        result = typed(column, mark, time_format)
        if result.dtype == pl.String and column.name not in scalars:
            separator = separator_of(result)
            result = result if separator is None else split_lists(result, separator)
        columns.append(result)
        remarks[column.name] = _remark(column, result)
        questions[column.name] = numbers.question_of(column) if result.dtype == column.dtype == pl.String else None
    return Log(
        pl.DataFrame(columns),
        renamed,
        {name: remark for name, remark in remarks.items() if remark},
        {name: question for name, question in questions.items() if question},
    )


def _remark(column: pl.Series, result: pl.Series) -> str:
    if column.dtype == result.dtype == pl.String:
        return numbers.near_numbers(column)
    if column.dtype == pl.String and result.dtype in (pl.Int64, pl.Float64):
        return numbers.remark_of(column, result)
    if isinstance(result.dtype, pl.List) and result.dtype.inner in (pl.Int64, pl.Float64):
        words = flat(column) if isinstance(column.dtype, pl.List) else column
        fillers = [word for word in FILLERS if len(word) > 2 and _holds(words, word)]
        if fillers:
            return f"{', '.join(map(repr, fillers))} among the numbers is missing"
    cells = flat(column) if isinstance(column.dtype, pl.List) else column
    infinite = int(cells.is_infinite().sum()) if cells.dtype.is_float() else 0
    return f"{infinite:,} infinite values are taken for missing" if infinite else ""


def _holds(texts: pl.Series, word: str) -> bool:
    return texts.dtype == pl.String and bool(texts.str.contains(rf"(?i)\b{re.escape(word)}\b").any())


def _read_parquet(path: Path) -> tuple[list[str], pl.DataFrame]:
    try:
        columns = dict(pl.read_parquet_schema(path))
    except (pl.exceptions.PolarsError, OSError):
        columns = {"?": pl.String()}  # read_table says what is wrong with the file
    return list(columns), read_table(path, columns)


def _read_text(path: Path, delimiter: str | None, encoding: str) -> tuple[list[str], pl.DataFrame]:
    given = delimiter is not None
    names: list[str] = []
    if path.is_file() and path.stat().st_size:  # else read_table says what is wrong with it
        options = [delimiter] if delimiter is not None else list(_DELIMITERS)
        by_delimiter = {option: _first_record(path, option, encoding) for option in options}
        delimiter = max(options, key=lambda option: len(by_delimiter[option]))
        names = by_delimiter[delimiter]
    delimiter = delimiter or ","
    figures = [name for name in names if re.fullmatch(r"\s*[-+]?[\d.]+(e[-+]?\d+)?\s*", name, re.IGNORECASE)]
    if len(figures) > len(names) / 2:  # else read_table finds some name twice, and says only that
        raise DataError(
            f"`{path}`, line 1 must name the columns. Received: {', '.join(names[:5])}{', ...' * (len(names) > 5)}. "
            "Write a first line with a name for every column."
        )
    frame = read_table(path, dict.fromkeys(names, pl.String()), delimiter=delimiter, encoding=encoding)
    if len(names) == 1:
        hint = "Is the delimiter another one?" if given else "Name the delimiter with --delimiter."
        raise DataError(
            f"`{path}` must have a label and a feature at least. Received: one column, {names[0]!r}. {hint}"
        )
    return names, frame


def _first_record(path: Path, delimiter: str, encoding: str) -> list[str]:
    try:
        return DelimitedFile(path, delimiter, encoding=encoding).columns
    except DataError:
        return []  # read_table says what is wrong with the file


def _valid_names(path: Path, names: list[str]) -> dict[str, str]:
    """File name -> schema name, for the few names that a schema cannot bear."""
    valid = {}
    for place, name in enumerate(names, start=1):
        seen = "".join(letter if unicodedata.category(letter) not in ("Cc", "Cs") else " " for letter in name)
        plain = " ".join(seen.split()) if seen != name else name.strip()
        valid[name] = plain if fault_of(plain) is None else f"column_{place}"
    clashes = [name for name in names if list(valid.values()).count(valid[name]) > 1]
    if clashes:
        raise DataError(
            f"`{path}`: blanks around names, line ends and the like are no part of them, and these would then be the "
            f"same: {', '.join(map(repr, clashes))}. Rename all but one of them."
        )
    return {name: new for name, new in valid.items() if name != new}
