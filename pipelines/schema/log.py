"""Reads anybody's log: the columns of a CSV or Parquet file, each with the type of what it holds."""

import csv
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipelines.config import ConfigError
from pipelines.datasets.tables import DataError, read_table
from pipelines.schema.lists import separator_of, split_lists
from pipelines.schema.types import typed

_DELIMITERS = (",", "\t", ";", "|")
_HEADER_BYTES = 1 << 20
_VALID = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Log:
    """A log in memory.

    Args:
        frame: DataFrame. Its columns are Int64, Float64, String, Datetime, lists of Int64, Float64 or String, or a
            type that no feature can have.
        renamed: dict. Name in the file -> name in `frame`, where a schema could not bear the former.
    """

    frame: pl.DataFrame
    renamed: Mapping[str, str]

    def column(self, name: str, option: str) -> str:
        """The column that an option names, by either name.

        Raises:
            ConfigError: There is none.
        """
        name = self.renamed.get(name, name)
        if name not in self.frame.columns:
            raise ConfigError(f"{option} {name!r} is no column of the log. It has: {', '.join(self.frame.columns)}")
        return name


def read_log(path: str | Path, delimiter: str | None = None, scalars: Collection[str] = ()) -> Log:
    """Read a log, whole, into memory.

    Numbers, moments and lists that are written as text are recognised: `7`, `7.0`, `true`, `2024-05-01 12:00:00`,
    `a|b|c`, `[1, 2, 3]`. A column is of a type only when all its cells are. In a text file an empty cell is missing.

    Args:
        path: A file that ends in `.parquet`, or a text file whose first line names the columns.
        delimiter: What separates the cells of a text file; looked for in its first line when `None`.
        scalars: Columns that are not to be taken apart, whatever their cells look like.

    Raises:
        DataError: The file is missing, empty, broken or no table, or its first line holds no names.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        names, frame = _read_parquet(path)
    else:
        names, frame = _read_text(path, delimiter)
    renamed = _valid_names(path, names)
    frame = frame.rename(renamed)
    columns = []
    for column in frame.get_columns():
        result = typed(column)
        if result.dtype == pl.String and column.name not in scalars:
            separator = separator_of(result)
            result = result if separator is None else split_lists(result, separator)
        columns.append(result)
    return Log(pl.DataFrame(columns), renamed)


def _read_parquet(path: Path) -> tuple[list[str], pl.DataFrame]:
    try:
        columns = dict(pl.read_parquet_schema(path))
    except (pl.exceptions.PolarsError, OSError):
        columns = {"?": pl.String()}  # read_table says what is wrong with the file
    return list(columns), read_table(path, columns)


def _read_text(path: Path, delimiter: str | None) -> tuple[list[str], pl.DataFrame]:
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            text = file.read(_HEADER_BYTES)
    except OSError:
        text = ""  # read_table says what is wrong with the file
    given = delimiter is not None
    delimiter = delimiter or max(_DELIMITERS, key=lambda candidate: len(_first_record(text, candidate)))
    names = _first_record(text, delimiter)
    numbers = [name for name in names if re.fullmatch(r"\s*[-+]?[\d.]+(e[-+]?\d+)?\s*", name, re.IGNORECASE)]
    if len(numbers) > len(names) / 2:  # else read_table finds some name twice, and says only that
        raise DataError(
            f"`{path}`, line 1 must name the columns. Received: {', '.join(names[:5])}{', ...' * (len(names) > 5)}. "
            "Write a first line with a name for every column."
        )
    frame = read_table(path, dict.fromkeys(names, pl.String()), delimiter=delimiter)
    if len(names) == 1:
        hint = "Is the delimiter another one?" if given else "Name the delimiter with --delimiter."
        raise DataError(
            f"`{path}` must have a label and a feature at least. Received: one column, {names[0]!r}. {hint}"
        )
    return names, frame


def _first_record(text: str, delimiter: str) -> list[str]:
    if len(delimiter) > 1:
        return text.split("\n", 1)[0].rstrip("\r").split(delimiter)
    try:
        return next(csv.reader(text.splitlines(keepends=True), delimiter=delimiter), [])
    except csv.Error:
        return []


def _valid_names(path: Path, names: list[str]) -> dict[str, str]:
    """File name -> schema name, for the names that a schema cannot bear: it takes letters, digits, underscores."""
    valid = {}
    for place, name in enumerate(names, start=1):
        clean = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or f"column_{place}"
        valid[name] = name if _VALID.fullmatch(name) else clean if clean[0].isalpha() else f"c_{clean}"
    clashes = [name for name in names if list(valid.values()).count(valid[name]) > 1]
    if clashes:
        raise DataError(
            f"`{path}`: names may hold letters, digits and underscores, and these would then be the same: "
            f"{', '.join(map(repr, clashes))}. Rename all but one of them."
        )
    return {name: new for name, new in valid.items() if name != new}
