"""Reads CSV files that are larger than the memory, block by block.

`pipelines.datasets.tables` reads a whole file. Here the same checks, and the same messages, go with one block of lines
at a time. Cells are never quoted, and a cell may hold a list of integers, joined by `^`.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import polars as pl
from polars.datatypes import DataType, DataTypeClass

from pipelines.datasets.errors import DataError, shown
from pipelines.datasets.tables import _cast, _check_columns, _head

LIST = pl.List(pl.Int64)
_LIST_DELIMITER = "^"
_BLOCK_BYTES = 1 << 26


def read_blocks(
    path: str | Path,
    columns: Mapping[str, DataType | DataTypeClass],
    *,
    required: Collection[str] = (),
    block_bytes: int = _BLOCK_BYTES,
) -> Iterator[pl.DataFrame]:
    """Yields the named columns of a CSV file with a header, block by block.

    Args:
        path: str or Path.
        columns: mapping of str to polars dtype. The columns to read and what each must hold; `LIST` for integers
            joined by `^`, of which an empty cell has none.
        required: collection of str. Columns in which an empty cell is an error. Defaults to none.
        block_bytes: int. How much of the file is read at a time, to the end of a line. Defaults to 64 MiB.

    Yields:
        DataFrames with exactly `columns`, and `row`, which counts the rows of the file from 0.

    Raises:
        DataError: If the file is missing, empty or no table, or a column or a cell is not as asked for.

    Example:

    ```python
    for clicks in read_blocks("train.csv", {"item_id": pl.Int64, "item_history": LIST}):
        print(clicks["item_history"].list.len().mean())
    ```
    """
    path = Path(path)
    head = _head(path)
    names = head.lstrip(b"\xef\xbb\xbf").split(b"\n", 1)[0].decode("utf8", "replace").rstrip("\r").split(",")
    _check_columns(path, columns, names, ",")
    row = 0
    with path.open("rb") as file:
        file.readline()
        while block := file.read(block_bytes):
            block += file.readline()
            table = _parse(path, block, names, row)
            yield pl.DataFrame(
                {name: _column(path, table[name], dtype, name in required, row) for name, dtype in columns.items()}
            ).with_columns(row=pl.int_range(row, row + table.height, dtype=pl.Int64))
            row += table.height
    if not row:
        raise DataError(f"`{path}` has no rows: it holds a header only. Get the complete file.")


def count_rows(path: str | Path) -> int:
    """Returns the number of lines below the header.

    Args:
        path: str or Path. A CSV file.

    Raises:
        DataError: If the file is missing, empty or no table.
    """
    path = Path(path)
    _head(path)
    lines, last = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            lines += block.count(b"\n")
            last = block[-1:]
    return lines - (last == b"\n")


def _parse(path: Path, block: bytes, names: list[str], row: int) -> pl.DataFrame:
    try:
        table = pl.read_csv(
            io.BytesIO(block), has_header=False, schema=dict.fromkeys(names, pl.String), quote_char=None
        )
    except pl.exceptions.PolarsError as error:
        _check_widths(path, block, len(names), row)
        reason = " ".join(str(error).splitlines()[:2])
        raise DataError(f"`{path}` is not a readable text table: {reason}. Get the file again.") from error
    # polars fills short rows up with nulls, which then show in the last column.
    if table.to_series(table.width - 1).null_count():
        _check_widths(path, block, len(names), row)
    return table


def _check_widths(path: Path, block: bytes, width: int, row: int) -> None:
    for number, line in enumerate(block.removesuffix(b"\n").split(b"\n"), start=row + 2):
        cells = line.count(b",") + 1
        if cells != width:
            raise DataError(
                f"`{path}`, line {number} must have {width} cells. Received: {cells} cells, "
                f"{shown(line.decode('utf8', 'replace'))}. The file may be cut off or damaged: get it again."
            )


def _column(path: Path, column: pl.Series, dtype: DataType | DataTypeClass, required: bool, row: int) -> pl.Series:
    if dtype == LIST:
        result, bad = _lists(column)
        what = f"integers joined by {_LIST_DELIMITER!r}"
    else:
        result, bad = _cast(column, dtype)
        what = str(dtype)
    if bad is not None:
        raise DataError(
            f"`{path}`, line {row + bad + 2}: column `{column.name}` must hold {what}. Received: "
            f"{shown(column[bad])}. Correct the cell or get the file again."
        )
    if required and result.null_count():
        empty = result.is_null().arg_max()
        assert empty is not None
        raise DataError(
            f"`{path}`, line {row + empty + 2}: column `{column.name}` must not be empty. Received: an empty cell. "
            "Remove the row or get the file again."
        )
    return result


def _lists(column: pl.Series) -> tuple[pl.Series, int | None]:
    """Returns the lists, and the first row that holds something else (or None)."""
    parts = column.str.split(_LIST_DELIMITER).fill_null(pl.Series([[]], dtype=pl.List(pl.String)))
    numbers = parts.list.eval(pl.element().cast(pl.Int64, strict=False))
    bad = numbers.list.eval(pl.element().is_null()).list.any()
    return numbers, bad.arg_max() if bad.any() else None
