"""Every kind of broken file gives one clear error."""

import gzip
import os
import re
from pathlib import Path

import polars as pl
import pytest

from pipelines.datasets import delimited
from pipelines.datasets.tables import DataError, read_table

INTS = {"a": pl.Int64, "b": pl.Int64}


@pytest.fixture
def write(tmp_path):
    def write(data: bytes | str, name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return write


def test_reads_the_named_columns_in_the_order_asked_for(write):
    path = write('a,c,b\n1,"x, y",2\n3,,4.0\n')
    table = read_table(path, {"b": pl.Int64, "a": pl.Int64, "c": pl.String})
    expected = pl.DataFrame({"b": [2, 4], "a": [1, 3], "c": ["x, y", None]})
    assert table.equals(expected) and table.schema == expected.schema


@pytest.mark.parametrize(
    "text",
    ["a,b\r\n1,2\r\n", "\ufeffa,b\n1,2\n", 'a,b\n"1","2"\n', "a,b\n 1 ,2.0", "a,b\n1,2"],
    ids=["crlf", "bom", "quoted", "spaces_and_whole_floats", "no_last_newline"],
)
def test_ways_to_write_the_same_table(write, text):
    assert read_table(write(text), INTS).rows() == [(1, 2)]


WORDS = {"a": pl.String, "b": pl.String}
STRAY = [('17" screen', "x"), ('"big', "y"), ("z", 'small"')]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", "\t", "::"])
def test_quotation_marks_that_quote_nothing_are_text(write, delimiter, end):
    text = end.join(delimiter.join(cells) for cells in [("a", "b"), *STRAY])
    assert read_table(write(text), WORDS, delimiter=delimiter).rows() == STRAY


def test_quotation_marks_that_quote_line_breaks(write):
    text = 'a,b\r\n"one\r\ntwo","say ""hi"", you"\r\n17" x,2\r\n'
    assert read_table(write(text), WORDS).rows() == [("one\r\ntwo", 'say "hi", you'), ('17" x', "2")]


def test_a_cell_of_any_length(write, monkeypatch):
    monkeypatch.setattr(delimited, "_BLOCKS", (1 << 16, (1 << 31) - 1))
    long = "q" * 140_000
    assert read_table(write(f"a,b\n1,{long}\n2,\n"), WORDS).rows() == [("1", long), ("2", None)]
    assert read_table(write(f"a,b\n{long},2\n"), WORDS).rows() == [(long, "2")]


def test_blanks_around_a_value_are_not_part_of_it(write):
    assert read_table(write(' a , "b" \n x y ,\t\n'), {"a": pl.String, '"b"': pl.String}).rows() == [("x y", None)]


def test_blank_lines_at_the_end_are_no_rows(write):
    assert read_table(write("a,b\n1,2\n,\n\n\n"), WORDS).rows() == [("1", "2"), (None, None)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin1", "cp1252"])
def test_encodings(write, encoding):
    assert read_table(write("a,b\n1,é\n".encode(encoding)), WORDS, encoding=encoding).rows() == [("1", "é")]


def test_an_unknown_encoding(write):
    with pytest.raises(DataError, match="no encoding is called 'nonsense'"):
        read_table(write("a,b\n1,2\n"), WORDS, encoding="nonsense")


def test_large_integers_stay_exact(write):
    assert read_table(write(f"a,b\n{2**62 + 1},-1\n"), INTS).rows() == [(2**62 + 1, -1)]


def test_delimiter_of_two_characters_and_no_header(write):
    path = write('1::Toy Story (1995), "the" film::5\r\n2::Amélie::4\r\n'.encode("latin1"), "movies.dat")
    columns = {"id": pl.Int64, "title": pl.String, "rating": pl.Int64}
    table = read_table(path, columns, delimiter="::", header=False, encoding="latin1")
    assert table.rows() == [(1, 'Toy Story (1995), "the" film', 5), (2, "Amélie", 4)]


def test_parquet(tmp_path):
    path = tmp_path / "table.parquet"
    table = pl.DataFrame({"a": [1.0, None], "b": [[1, 2], []], "c": ["x", "y"]})
    table.write_parquet(path)
    read = read_table(path, {"a": pl.Int64, "b": pl.List(pl.Int64)})
    assert read.rows() == [(1, [1, 2]), (None, [])]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty (0 bytes)"),
        (b"\n\n", "is empty (2 bytes)"),
        (b"a,b\n", "has no rows"),
        (b"\n<!DOCTYPE html><html>", "is an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4\nsize 1\n", "git LFS pointer"),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), "is a gzip archive in disguise"),
        (b"PK\x03\x04....", "is a zip archive in disguise"),
        (b"a,b\n\x00\x01\x02", "is a binary file"),
        (b"PAR1....PAR1", "is a Parquet file"),
        ("a,b\n1,2\n".encode("utf-16"), "is UTF-16"),
        (b"a,x\n1,2\n", "must have the column 'b'. Received: 'a', 'x'"),
        (b"a;b\n1;2\n", "must have the columns 'a', 'b'. Received: 'a;b'. Is its delimiter ';' rather than ','?"),
        (b"a,b,b\n1,2,3\n", "must name every column once. Received twice: b"),
        (b"a,b\n1,2\n3,x\n", "line 3: column `b` must hold Int64. Received: 'x'"),
        (b"a,b\n1,2.5\n", "line 2: column `b` must hold Int64. Received: '2.5'"),
        (b"a,b\n1,99999999999999999999\n", "line 2: column `b` must hold Int64"),
        (b"a,b\n,2\n", "line 2: column `a` must not be empty"),
        (b"a,b\n1,2\n3\n", "line 3 must have 2 cells separated by ','. Received: 1 cells, '3'"),
        (b"a,b\n1,2\n3,4,5\n", "line 3 must have 2 cells separated by ','. Received: 3 cells, '3,4,5'"),
        (b"a,b\n1,2\n\n3,4\n", "line 3 is blank"),
        (b"a,b\n\n1,2\n\n\n", "line 2 is blank"),
        (b'a,b\n1,"2\n3\n4\n', "line 2: a quotation mark opens a cell and nothing closes it. Received: '2\\n3\\n4"),
        (
            "a,b\n1,2\n".encode("utf-16-le"),
            "is UTF-16 without a mark that says so. Give its encoding (`--encoding utf-16-le`)",
        ),
        ("a,b\n1,2\n".encode("utf-16-be"), "(`--encoding utf-16-be`)"),
    ],
)
def test_broken_text(write, data, message):
    path = write(data)
    with pytest.raises(DataError, match=re.escape(message)) as error:
        read_table(path, INTS, required=("a",))
    assert str(path) in str(error.value)


def test_the_line_counts_line_breaks_within_quotes(write):
    path = write('a,b\n1,"two\nlines"\nx,3\n')
    with pytest.raises(DataError, match="line 4: column `a`"):
        read_table(path, {"a": pl.Int64, "b": pl.String})


def test_wrong_encoding_names_line_and_bytes(write):
    path = write("a,b\n1,x\n2,é\n".encode("latin1"))
    with pytest.raises(DataError, match=r"line 3 must be utf8 text. Received: b'2,\\xe9'.*latin1"):
        read_table(path, {"a": pl.Int64, "b": pl.String})


def test_no_header_and_another_number_of_cells(write):
    with pytest.raises(DataError, match="line 1 must have 2 cells separated by '::'"):
        read_table(write("1::2::3\n"), INTS, delimiter="::", header=False)


def test_missing_file_tells_what_is_there(tmp_path):
    (tmp_path / "other.csv").touch()
    with pytest.raises(DataError, match=r"There is no file .*table\.csv.*holds: other\.csv"):
        read_table(tmp_path / "table.csv", INTS)
    with pytest.raises(DataError, match="does not exist either"):
        read_table(tmp_path / "nowhere" / "table.csv", INTS)
    with pytest.raises(DataError, match="must be a file"):
        read_table(tmp_path, INTS)


def test_broken_parquet(tmp_path):
    path = tmp_path / "table.parquet"
    pl.DataFrame({"a": list(range(1000)), "b": ["x"] * 1000}).write_parquet(path)
    whole = path.read_bytes()
    with pytest.raises(DataError, match=r"row 1: column `b` must hold Int64. Received: 'x'"):
        read_table(path, INTS)
    with pytest.raises(DataError, match=r"must have the column 'c'. Received: 'a', 'b'"):
        read_table(path, {"c": pl.Int64})
    for data, message in (
        (whole[: len(whole) // 2], "truncated Parquet file"),
        (b"a,b\n1,2\n", "is not a Parquet file"),
        (whole[:20] + bytes(len(whole) - 24) + b"PAR1", "damaged Parquet file"),
    ):
        path.write_bytes(data)
        with pytest.raises(DataError, match=message):
            read_table(path, INTS)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ratings_is_an_html_page.dat", {"delimiter": "::", "header": False}, "HTML page"),
        ("articles_metadata_is_lfs_pointer.csv", {}, "git LFS pointer"),
        ("clicks_header_only.csv", {}, "has no rows"),
    ],
)
def test_files_as_found(name, options, message):
    data = os.environ.get("TF_INTERFORMER_DATA")
    if not data:
        pytest.skip("TF_INTERFORMER_DATA does not name the folder with the data sets")
    with pytest.raises(DataError, match=message) as error:
        read_table(Path(data) / "bad_inputs" / name, {"user_id": pl.Int64}, **options)
    assert name in str(error.value)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_path_is_one_file(tmp_path, ending):
    """Not a pattern: that would find the other one."""
    for name, value in (("log[1]", 1), ("log1", 2)):
        table, file = pl.DataFrame({"a": [value]}), tmp_path / f"{name}.{ending}"
        table.write_csv(file) if ending == "csv" else table.write_parquet(file)
    assert read_table(tmp_path / f"log[1].{ending}", {"a": pl.Int64})["a"].to_list() == [1]
