"""Reads CSV and Parquet tables, and says plainly what is wrong with the ones that are broken.

A data file that was saved from a browser, cut off half-way or checked out without git LFS still has the
right name. `read_table` never returns a table from such a file: it raises `DataError`, whose message names
the file, the column, the line and the value, and says what to do.

Rules:

- Blanks around a cell are not part of it, and an empty cell is a missing value (null), unless the column is in
  `required`.
- A whole number may be written as a float (`1.0`), as pandas writes integer columns with gaps.
- A row with too few or too many cells is an error, not a row padded with missing values; so is a blank line, but for
  those at the end.
- A quotation mark counts where it opens a cell, unless only without it every line is a row.
- Columns that were not asked for are not read.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from pathlib import Path

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from pipelines.datasets.delimited import DelimitedFile
from pipelines.datasets.errors import DataError as DataError
from pipelines.datasets.errors import shown

_HEAD_BYTES = 1 << 16
_SHOWN = 40


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
    file = DelimitedFile(path, delimiter, header, encoding, () if header else tuple(columns))
    table = _read_parquet(path, head, columns) if is_parquet else _read_text(path, head, columns, file)
    if table.height == 0:
        raise DataError(f"`{path}` has no rows: it holds a header only. Get the complete file.")

    def place(row: int) -> str:
        if is_parquet:
            return f"row {row + 1}"
        return f"line {file.line_of_row(row)}"

    cast = {}
    for name, dtype in columns.items():
        column = table[name]
        cast[name], bad = _cast(column, dtype)
        if bad is not None:
            raise DataError(
                f"`{path}`, {place(bad)}: column `{name}` must hold {dtype}. Received: "
                f"{shown(column[bad])}. Correct the cell or get the file again."
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
    some = [shown(name) for name in list(there)[:_SHOWN]]
    raise DataError(
        f"`{path}` must have the column{'s' if len(missing) > 1 else ''} {', '.join(map(repr, missing))}. "
        f"Received: {', '.join(some)}. {hint}"
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
    path: Path, head: bytes, columns: Mapping[str, DataType | DataTypeClass], file: DelimitedFile
) -> pl.DataFrame:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and file.encoding == "utf8":
        raise DataError(f"`{path}` is UTF-16. Give its encoding (`--encoding utf-16`), or save it as UTF-8.")
    if head.startswith(b"PAR1"):
        raise DataError(f"`{path}` is a Parquet file. Give its name the ending `.parquet`.")
    if b"\x00" in head and file.encoding == "utf8":
        if min(head[::2].count(0), head[1::2].count(0)) == 0 and head.count(0) > len(head) / 4:
            order = "le" if head[1::2].count(0) else "be"
            raise DataError(
                f"`{path}` is UTF-16 without a mark that says so. Give its encoding (`--encoding utf-16-{order}`), or "
                "save it as UTF-8."
            )
        raise DataError(f"`{path}` is a binary file, not text. Get the file again.")
    names = file.columns
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise DataError(f"`{path}` must name every column once. Received twice: {', '.join(twice)}.")
    _check_columns(path, columns, names, file.delimiter)
    return file.read(list(columns))


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
