"""Reads CSV, TSV and their like: one record a line, cells of text.

pyarrow splits the cells: a quotation mark counts where it opens a cell, and inside one it is a character; lines end in
LF, CR LF or CR; a cell may be of any length. What it cannot tell by itself is told here: which line is broken and how,
and whether a mark that opens a cell was meant as a quotation mark.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from pipelines.datasets.errors import DataError, shown

# Stands for a delimiter of several characters, which pyarrow does not take.
_UNIT_SEPARATOR = "\x1f"
_CHUNK = 1 << 20
# How much is parsed at once; a record must fit into it. The second is the largest that pyarrow takes.
_BLOCKS = (1 << 24, (1 << 31) - 1)
_LINE_BREAK = r"\r\n|\r|\n"


@dataclass(frozen=True)
class DelimitedFile:
    """A text table.

    Args:
        path: The file.
        delimiter: What separates the cells; with one of several characters, such as `"::"`, cells are never quoted.
        header: Whether the first record names the columns.
        encoding: Encoding, by its Python name.
        names: Names of all columns, where there is no header.
    """

    path: Path
    delimiter: str = ","
    header: bool = True
    encoding: str = "utf8"
    names: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> list[str]:
        """Names of the columns, blanks around them taken off.

        Raises:
            DataError: The first record cannot be read.
        """
        return [name.strip() for name in self._names]

    @cached_property
    def _names(self) -> list[str]:
        if not self.header:
            return list(self.names)
        # Any record serves here; `read` finds those that have not as many cells.
        return self._try_blocks(True, lambda _: "skip", self._header)

    def _header(self, read: Any, parse: Any, convert: Any) -> list[str]:
        with pa_csv.open_csv(self._source(), read, parse, convert) as reader:
            return list(reader.schema.names)

    def read(self, wanted: Sequence[str]) -> pl.DataFrame:
        """Columns of text, blanks around a cell taken off, an empty cell missing.

        Raises:
            DataError: A record has too few or too many cells, is blank, or is not text of the encoding.
        """
        table, broken, quoted = self._split(wanted)
        if broken is not None:
            number, count, text = broken
            raise DataError(
                f"`{self.path}`, line {self.line_of_row(number - 1 - self.header)} must have {len(self.columns)} cells "
                f"separated by {self.delimiter!r}. Received: {count} cells, {shown(text)}. The file may be cut off or "
                "damaged, or a cell that holds the delimiter is not in quotation marks."
            )
        if quoted and table.height + self.header < self._line_count:
            self._check_last_quote(table.height - 1)
        return self._without_blank_lines(table.select(_stripped(name) for name in table.columns))

    def line_of_row(self, row: int) -> int:
        """The line on which a row of `read` begins, from 1."""
        return int(self._lines_of_rows[row])

    @cached_property
    def _lines_of_rows(self) -> pl.Series:
        """The line on which each row begins, behind the line breaks within the cells before it; and the one after."""
        table = self._split(None)[0]
        breaks = table.select(pl.sum_horizontal(pl.all().str.count_matches(_LINE_BREAK).fill_null(0)).cast(pl.Int64))
        lines = (breaks.to_series() + 1).cum_sum() + 1 + self.header
        return pl.concat([pl.Series([1 + self.header], dtype=pl.Int64), lines.cast(pl.Int64)])

    def _split(self, wanted: Sequence[str] | None) -> tuple[pl.DataFrame, tuple[int, int, str] | None, bool]:
        """What `_parse` finds, and whether quotation marks are taken for such."""
        table, broken = self._parse(True, wanted)
        if len(self.delimiter) > 1:
            return table, broken, False
        if broken is not None or table.height + self.header < self._line_count:
            # Some cell holds a line break, or swallowed one: if every line is a record by itself, the marks are text.
            plain, failed = self._parse(False, wanted)
            if failed is None and plain.height > table.height:
                return plain, None, False
        return table, broken, True

    # What pyarrow is asked

    def _parse(self, quoted: bool, wanted: Sequence[str] | None) -> tuple[pl.DataFrame, tuple[int, int, str] | None]:
        """The columns, and of the first record that has not as many cells its number, its cells and its text."""
        broken: list[Any] = []

        def skip(row: Any) -> str:
            broken.append(row)
            return "skip"

        def parsed(read: Any, parse: Any, convert: Any) -> Any:
            broken.clear()
            if not self.header:
                read.column_names = self._names
            convert.column_types = dict.fromkeys(self._names, pa.large_string())
            written = dict(zip(self.columns, self._names, strict=True))
            convert.include_columns = [written[name] for name in wanted or self.columns]
            return pa_csv.read_csv(self._source(), read, parse, convert)

        table = self._try_blocks(quoted, skip, parsed)
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        frame.columns = list(wanted or self.columns)
        first = broken[0] if broken else None
        return frame, None if first is None else (first.number, first.actual_columns, first.text)

    def _try_blocks(self, quoted: bool, skip: Callable[[Any], str], use: Callable[[Any, Any, Any], Any]) -> Any:
        """What `use` makes of the options, with blocks that are large enough for the longest record."""
        error: Exception | None = None
        for block in _BLOCKS:
            try:
                return use(*self._options(block, quoted, skip))
            except (pa.ArrowInvalid, UnicodeDecodeError) as failure:
                error = failure
                if "straddl" not in str(error):
                    break
        self._check_encoding()
        raise DataError(f"`{self.path}` is not a readable text table: {error}. Get the file again.") from error

    def _options(self, block: int, quoted: bool, skip: Callable[[Any], str]) -> tuple[Any, Any, Any]:
        long = len(self.delimiter) > 1
        parse = pa_csv.ParseOptions(
            delimiter=_UNIT_SEPARATOR if long else self.delimiter,
            quote_char='"' if quoted and not long else False,
            newlines_in_values=quoted and not long,
            ignore_empty_lines=False,
            invalid_row_handler=skip,
        )
        # One thread: only then are records numbered.
        read = pa_csv.ReadOptions(use_threads=False, block_size=block)
        return read, parse, pa_csv.ConvertOptions(strings_can_be_null=True, null_values=[""])

    def _source(self) -> Any:
        if self._text is None:
            return str(self.path)
        return io.BytesIO(self._text)

    @cached_property
    def _text(self) -> bytes | None:
        """The file as pyarrow is to see it; None where that is the file itself."""
        if self.encoding.lower().replace("-", "").replace("_", "") == "utf8" and len(self.delimiter) == 1:
            return None
        data = self.path.read_bytes()
        try:
            text = data.decode("utf-8-sig" if self.encoding == "utf8" else self.encoding)
        except LookupError:
            raise DataError(f"`{self.path}`: no encoding is called {self.encoding!r}") from None
        except UnicodeDecodeError:
            self._check_encoding()
            raise
        return text.replace(self.delimiter, _UNIT_SEPARATOR).encode() if len(self.delimiter) > 1 else text.encode()

    @property
    def _bytes(self) -> bytes:
        return self.path.read_bytes() if self._text is None else self._text

    # What is wrong, and where

    @cached_property
    def _line_count(self) -> int:
        count, ends = 0, True
        with io.BytesIO(self._text) if self._text is not None else self.path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                if chunk.endswith(b"\r"):
                    chunk += file.read(1)  # not to part CR from LF
                count += chunk.count(b"\n") + chunk.count(b"\r") - chunk.count(b"\r\n")
                ends = chunk.endswith((b"\n", b"\r"))
        return count + (not ends)

    def _check_last_quote(self, row: int) -> None:
        """Raise where the last cell runs to the end of the file since its quotation mark is never closed."""
        last = self._parse(True, self.columns[-1:])[0].to_series()[row]
        if last is not None and re.search(_LINE_BREAK, last) and not self._bytes.rstrip().endswith(b'"'):
            raise DataError(
                f"`{self.path}`, line {self.line_of_row(row)}: a quotation mark opens a cell and nothing closes it. "
                f"Received: {shown(last)}. Write two marks for one that is meant, or get the file again."
            )

    def _without_blank_lines(self, table: pl.DataFrame) -> pl.DataFrame:
        """The table without the blank lines at its end; one elsewhere may be a lost record."""
        empty = table.select(pl.all_horizontal(pl.all().is_null())).to_series()
        if not empty.any():
            return table
        blank = [line for line, text in enumerate(self._bytes.splitlines(), start=1) if not text.strip()]
        rows_of = {line: row for row, line in enumerate(self._lines_of_rows.to_list())} if blank else {}
        # Those that no row begins on are within a cell.
        lost = [(line, rows_of[line]) for line in blank if line in rows_of]
        rows = table.height
        while lost and lost[-1][1] == rows - 1:
            lost.pop()
            rows -= 1
        if lost:
            raise DataError(f"`{self.path}`, line {lost[0][0]} is blank. Remove the line or get the file again.")
        return table.head(rows)

    def _check_encoding(self) -> None:
        data = self.path.read_bytes()
        try:
            data.decode(self.encoding)
        except UnicodeDecodeError as error:
            lines = data[: error.start].splitlines(keepends=True)
            number = len(lines) + (not lines or lines[-1].endswith((b"\n", b"\r")))
            begin = error.start - (len(lines[-1]) if lines and not lines[-1].endswith((b"\n", b"\r")) else 0)
            around = data[max(begin, error.start - 10) : error.start + 10].splitlines()[0]
            raise DataError(
                f"`{self.path}`, line {number} must be {self.encoding} text. Received: {around!r}. "
                "Give its encoding (`--encoding`; older files are often latin1), or save it as UTF-8."
            ) from None


def _stripped(name: str) -> pl.Expr:
    plain = pl.col(name).str.strip_chars()
    return pl.when(plain != "").then(plain).alias(name)
