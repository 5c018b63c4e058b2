"""Reads CSV and Parquet tables, and says plainly what is wrong with the ones that are broken.

A data file that was saved from a browser, cut off half-way or checked out without git LFS still has the
right name. `read_table` never returns a table from such a file: it raises `DataError`, whose message names
the file, the column, the line and the value, and says what to do.

Rules:

- An empty cell is a missing value (null), unless the column is in `required`.
- A whole number may be written as a float (`1.0`), as pandas writes integer columns with gaps.
- A row with too few or too many cells is an error, not a row padded with missing values.
- Columns that were not asked for are not read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import polars as pl
from polars.datatypes import DataType, DataTypeClass

_HEAD_BYTES = 1 << 16
# Splits cells where the delimiter has several characters, which polars does not take.
_UNIT_SEPARATOR = "\x1f"
_SHOWN = 40


class DataError(ValueError):
    """A data file that cannot be used; the message says which one, why, and what to do."""


def read_table(
    path: str | Path,
    columns: Mapping[str, DataType | DataTypeClass],
    *,
    required: Collection[str] = (),
    delimiter: str = ",",
    header: bool = True,
    encoding: str = "utf8",
) -> pl.DataFrame:
    """Reads the named columns of a table.

    Args:
        path: str or Path. A file whose name has the ending `.parquet`, alone or before another one as in
            `.parquet.snappy`, is read as Parquet, any other as text.
        columns: mapping of str to polars dtype. The columns to read and what each must hold.
        required: collection of str. Columns in which an empty cell is an error. Defaults to none.
        delimiter: str. What separates the cells of a text file; may have several characters, such as
            `"::"`, and cells are then never quoted. Defaults to `","`.
        header: bool. Whether the first line of a text file names the columns. Without a header,
            `columns` must name all of them in the order of the file. Defaults to `True`.
        encoding: str. Encoding of a text file, by its Python name. Defaults to `"utf8"`.

    Returns:
        A DataFrame with exactly `columns`, in that order, and the rows in the order of the file.

    Raises:
        DataError: If the file is missing, empty or no table, or a column or a cell is not as asked for.

    Example:

    ```python
    users = read_table("users.csv", {"user_id": pl.Int64, "city": pl.String}, required=("user_id",))
    ```
    """
    path = Path(path)
    head = _head(path)
    is_parquet = ".parquet" in path.suffixes
    if is_parquet:
        table = _read_parquet(path, head, columns)
    else:
        table = _read_text(path, head, columns, delimiter, header, encoding)
    if table.height == 0:
        raise DataError(f"`{path}` has no rows: it holds a header only. Get the complete file.")

    def place(row: int) -> str:
        if is_parquet:
            return f"row {row + 1}"
        return f"line {_line_of_row(path, row, delimiter, header, encoding)}"

    cast = {}
    for name, dtype in columns.items():
        column = table[name]
        cast[name], bad = _cast(column, dtype)
        if bad is not None:
            raise DataError(
                f"`{path}`, {place(bad)}: column `{name}` must hold {dtype}. Received: "
                f"{_shown(column[bad])}. Correct the cell or get the file again."
            )
        if name in required and column.null_count():
            row = column.is_null().arg_max()
            assert row is not None
            raise DataError(
                f"`{path}`, {place(row)}: column `{name}` must not be empty. Received: an empty cell. "
                "Remove the row or get the file again."
            )
    return pl.DataFrame(cast)


def _head(path: Path) -> bytes:
    """Reads the first bytes, and raises for whatever can be told from them."""
    if not path.exists():
        raise DataError(f"There is no file `{path}`. {_beside(path)}")
    if not path.is_file():
        raise DataError(f"`{path}` must be a file. Received: a folder.")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head.strip():
        raise DataError(f"`{path}` is empty ({len(head)} bytes). Get the file again.")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise DataError(
            f"`{path}` is an HTML page, not a table: a web page was saved in place of the file. "
            "Download the file itself (the `raw` link)."
        )
    if text.startswith(b"version https://git-lfs"):
        raise DataError(
            f"`{path}` is a git LFS pointer, not the table it stands for. Run `git lfs pull` in its "
            "repository, or download the file itself."
        )
    for magic, kind in ((b"\x1f\x8b", "gzip"), (b"PK\x03\x04", "zip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz")):
        if head.startswith(magic):
            raise DataError(f"`{path}` is a {kind} archive in disguise. Unpack it first.")
    return head


def _beside(path: Path) -> str:
    if not path.parent.is_dir():
        return f"Its folder `{path.parent}` does not exist either."
    names = sorted(p.name for p in path.parent.iterdir())
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"Its folder holds: {shown}." if names else "Its folder is empty."


def _check_columns(path: Path, columns: Collection[str], there: Collection[str], delimiter: str = "") -> None:
    missing = [name for name in columns if name not in there]
    if not missing:
        return
    hint = "Get the file in its published layout, or name the column as expected."
    if len(there) == 1 and delimiter:
        other = next((d for d in ("::", "\t", ";", "|", ",") if d != delimiter and d in next(iter(there))), None)
        if other:
            hint = f"Is its delimiter {other!r} rather than {delimiter!r}?"
    shown = [_shown(name) for name in list(there)[:_SHOWN]]
    raise DataError(
        f"`{path}` must have the column{'s' if len(missing) > 1 else ''} {', '.join(map(repr, missing))}. "
        f"Received: {', '.join(shown)}. {hint}"
    )


def _read_parquet(path: Path, head: bytes, columns: Mapping[str, DataType | DataTypeClass]) -> pl.DataFrame:
    with path.open("rb") as file:
        file.seek(-min(4, path.stat().st_size), io.SEEK_END)
        tail = file.read()
    if not head.startswith(b"PAR1"):
        raise DataError(f"`{path}` is not a Parquet file (it does not begin with PAR1). Get the file again.")
    if tail != b"PAR1" or len(head) < 12:
        raise DataError(f"`{path}` is a truncated Parquet file (its end is missing). Get the file again.")
    try:
        with path.open("rb") as file:  # a name would be taken for a pattern
            there = pl.read_parquet_schema(file)
        _check_columns(path, columns, there)
        return pl.read_parquet(path, columns=list(columns), glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"`{path}` is a damaged Parquet file: {error}. Get the file again.") from error


def _read_text(
    path: Path,
    head: bytes,
    columns: Mapping[str, DataType | DataTypeClass],
    delimiter: str,
    header: bool,
    encoding: str,
) -> pl.DataFrame:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and encoding == "utf8":
        raise DataError(f"`{path}` is UTF-16. Pass `encoding='utf16'` or save it as UTF-8.")
    if head.startswith(b"PAR1"):
        raise DataError(f"`{path}` is a Parquet file. Give its name the ending `.parquet`.")
    if b"\x00" in head and encoding == "utf8":
        raise DataError(f"`{path}` is a binary file, not text. Get the file again.")

    first = next(_records(path, delimiter, encoding), ([], 0))[0]
    if header:
        names = first
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise DataError(f"`{path}` must name every column once. Received twice: {', '.join(twice)}.")
        _check_columns(path, columns, names, delimiter)
    else:
        names = list(columns)
        if len(first) != len(names):
            raise DataError(
                f"`{path}`, line 1 must have {len(names)} cells separated by {delimiter!r} "
                f"({', '.join(names)}). Received: {len(first)} cells, {_shown(delimiter.join(first))}."
            )

    long_delimiter = len(delimiter) > 1
    try:
        source: Path | io.BytesIO = path
        if long_delimiter or encoding != "utf8":
            text = path.read_bytes().decode(encoding)
            source = io.BytesIO((text.replace(delimiter, _UNIT_SEPARATOR) if long_delimiter else text).encode())
        table = pl.read_csv(
            source,
            has_header=header,
            new_columns=None if header else names,
            separator=_UNIT_SEPARATOR if long_delimiter else delimiter,
            quote_char=None if long_delimiter else '"',
            infer_schema=False,
            glob=False,
        )
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        _check_encoding(path, encoding)
        _check_widths(path, len(names), delimiter, encoding)
        reason = " ".join(str(error).splitlines()[:2])
        raise DataError(f"`{path}` is not a readable text table: {reason}. Get the file again.") from error
    # polars fills short rows up with nulls, which then show in the last column.
    if table.height and table.to_series(table.width - 1).null_count():
        _check_widths(path, len(names), delimiter, encoding)
    table.columns = names
    return table.select(list(columns))


def _check_encoding(path: Path, encoding: str) -> None:
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        try:
            line.decode(encoding)
        except UnicodeDecodeError as error:
            around = line[max(0, error.start - 10) : error.start + 10]
            raise DataError(
                f"`{path}`, line {number} must be {encoding} text. Received: {around!r}. "
                "Pass `encoding=` (older files are often 'latin1') or get the file again."
            ) from error


def _records(path: Path, delimiter: str, encoding: str) -> Iterator[tuple[list[str], int]]:
    """Yields the cells of each record and the line it begins on."""
    codec = "utf-8-sig" if encoding == "utf8" else encoding
    with path.open(encoding=codec, errors="replace", newline="") as file:
        if len(delimiter) > 1:
            for number, line in enumerate(file, start=1):
                yield line.rstrip("\r\n").split(delimiter), number
            return
        reader = csv.reader(file, delimiter=delimiter)
        begins = 1
        try:
            for cells in reader:
                yield cells, begins
                begins = reader.line_num + 1
        except csv.Error as error:
            raise DataError(f"`{path}`, line {begins} is not a readable record: {error}.") from error


def _check_widths(path: Path, width: int, delimiter: str, encoding: str) -> None:
    for cells, line in _records(path, delimiter, encoding):
        if len(cells) != width and (cells or width == 1):
            raise DataError(
                f"`{path}`, line {line} must have {width} cells. Received: {len(cells)} cells, "
                f"{_shown(delimiter.join(cells))}. The file may be cut off or damaged: get it again."
            )
        if not cells:
            raise DataError(f"`{path}`, line {line} is blank. Remove the line or get the file again.")


def _line_of_row(path: Path, row: int, delimiter: str, header: bool, encoding: str) -> int:
    for record, (_, line) in enumerate(_records(path, delimiter, encoding)):
        if record == row + int(header):
            return line
    return row + 1 + int(header)


def _cast(column: pl.Series, dtype: DataType | DataTypeClass) -> tuple[pl.Series, int | None]:
    """Returns the column as `dtype`, and the first row that cannot be (or None)."""
    if column.dtype == dtype:
        return column, None
    plain = column.str.strip_chars() if column.dtype == pl.String and dtype != pl.String else column
    try:
        result = plain.cast(dtype, strict=False)
        if dtype.is_integer():
            if column.dtype.is_float():
                result = result.set((plain != plain.floor()).fill_null(False), None)
            elif column.dtype == pl.String:
                real = plain.cast(pl.Float64, strict=False)
                whole = (real == real.floor()).fill_null(False) & (real.abs() < 2.0**53)
                result = result.zip_with(result.is_not_null() | ~whole, real.cast(dtype, strict=False))
    except pl.exceptions.PolarsError:
        return column, 0
    lost = result.is_null() & column.is_not_null()
    return result, lost.arg_max() if lost.any() else None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
