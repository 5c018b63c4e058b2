"""CSV files in blocks: the same rows whatever the size of a block, and errors that name the line."""

import polars as pl
import pytest

from pipelines.datasets.table_blocks import LIST, count_rows, read_blocks
from pipelines.datasets.tables import DataError

COLUMNS = {"label": pl.Int64, "history": LIST, "price": pl.Float64}
TEXT = "label,other,price,history\n" + "".join(
    f"{i % 2},x,{i / 2},{'^'.join(str(j) for j in range(i % 4))}\n" for i in range(50)
)


def read(tmp_path, text, block_bytes=1 << 20, **options):
    path = tmp_path / "train.csv"
    path.write_text(text)
    return list(read_blocks(path, COLUMNS, block_bytes=block_bytes, **options))


@pytest.mark.parametrize("block_bytes", [1, 70, 1 << 20])
def test_rows_do_not_depend_on_the_blocks(tmp_path, block_bytes):
    parts = read(tmp_path, TEXT, block_bytes)
    assert (len(parts) > 1) == (block_bytes < 1000)
    table = pl.concat(parts)
    assert table["row"].to_list() == list(range(50)) and count_rows(tmp_path / "train.csv") == 50
    assert table["history"].to_list() == [list(range(i % 4)) for i in range(50)]
    assert table["price"].to_list() == [i / 2 for i in range(50)]
    assert table.columns == [*COLUMNS, "row"]


def test_last_line_without_an_end_and_windows_line_ends(tmp_path):
    assert pl.concat(read(tmp_path, TEXT.removesuffix("\n")))["row"].len() == 50
    assert count_rows(tmp_path / "train.csv") == 50
    crlf = pl.concat(read(tmp_path, TEXT.replace("\n", "\r\n")))
    assert crlf["history"].to_list() == [list(range(i % 4)) for i in range(50)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT.replace("0^1^2", "0^x^2", 1), r"train.csv`, line 5: column `history` must hold integers joined by '\^'."),
        (TEXT.replace("\n1,x,2.5,", "\nyes,x,2.5,"), "line 7: column `label` must hold Int64. Received: 'yes'"),
        (TEXT.replace("\n1,x,2.5,", "\n,x,2.5,"), "line 7: column `label` must not be empty"),
        (TEXT.replace("\n1,x,2.5,", "\n1,2.5,"), "line 7 must have 4 cells. Received: 3 cells"),
        (TEXT.replace("\n1,x,2.5,", "\n1,x,x,2.5,"), "line 7 must have 4 cells. Received: 5 cells"),
        (TEXT.replace("history", "histories"), "must have the column 'history'. Received: 'label', 'other'"),
        ("label,other,price,history\n", "holds a header only"),
        ("<!DOCTYPE html><html>", "is an HTML page"),
        ("version https://git-lfs.github.com/spec/v1\n", "is a git LFS pointer"),
    ],
)
@pytest.mark.parametrize("block_bytes", [40, 1 << 20])
def test_broken_files(tmp_path, text, message, block_bytes):
    with pytest.raises(DataError, match=message):
        read(tmp_path, text, block_bytes, required=("label",))
