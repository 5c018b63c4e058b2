"""Files whose records are requests: how they are written, and what is refused."""

import json
import re

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipelines import prepare
from pipelines.config import DatasetConfig
from pipelines.datasets.tables import DataError
from pipelines.datasets.tf_examples import serialize_examples
from pipelines.input import open_source
from pipelines.read_errors import explain_read_error
from pipelines.record_form import FORM_FILE, holds_requests
from pipelines.request_records import request_records
from tests.pipelines.request_folder import OF_EXAMPLES, ROWS, SIZES, request_rows, request_schema, write_folders
from tf_interformer.schema import SchemaError


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return write_folders(tmp_path_factory.mktemp("log"))


def test_a_record_holds_its_user_once_and_lists_of_its_items():
    rows = request_rows(0)
    made = request_records(rows.with_columns(at=pl.int_range(ROWS)), request_schema())
    assert made.height == len(SIZES) and made.columns == [*rows.columns, "at"]
    starts = np.cumsum((0, *SIZES[:-1]))
    for name in set(rows.columns) - OF_EXAMPLES:
        assert made[name].eq_missing(rows[name].gather(starts)).all(), name
    widths = {"tags": 3, "picture": 2}
    for name in (*OF_EXAMPLES, "at"):
        assert made[name].list.len().to_list() == [size * widths.get(name, 1) for size in SIZES]
    tags = [(own + [-1] * 3)[:3] for own in rows["tags"].to_list()]
    assert made["tags"].explode().to_list() == [tag for own in tags for tag in own]
    assert made["at"].explode().to_list() == list(range(ROWS))


@pytest.mark.parametrize(
    "column, change, told",
    [
        ("age", pl.Series([1.5], dtype=pl.Float32), r".* and 1\.5\. Name it in the schema's `candidate`"),
        ("viewed_item", pl.Series([["new"]]), r".* and \['new'\]"),
        ("user", pl.Series([-5]), r"0 and -5"),
    ],
)
def test_what_differs_within_a_request_is_refused(column, change, told):
    rows = request_rows(0)
    rows = rows.with_columns(pl.concat([rows[column].head(3), change, rows[column].tail(ROWS - 4)]).alias(column))
    with pytest.raises(DataError, match=rf"column '{column}' differs within request '0-1': {told}"):
        request_records(rows, request_schema())


@pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
def test_prepare_writes_requests(folders, tmp_path, file_format, monkeypatch, capsys):
    source = open_source(DatasetConfig(name="mine", format="tfrecord"), folders / "tfrecord")
    monkeypatch.setattr("pipelines.input.open_source", lambda *_: source)
    monkeypatch.setattr(prepare, "_ROWS_AT_ONCE", 16)
    output = tmp_path / "out"
    given = ["--dataset", "trivago", "--output", str(output), "--format", file_format, "--by-request"]
    assert prepare.main(given) == 0
    assert f"train: {2 * ROWS} examples in {2 * len(SIZES)} records of requests\n" in capsys.readouterr().out
    monkeypatch.undo()
    written = open_source(DatasetConfig(name="mine", format=file_format, by_request=False), output)
    source = open_source(DatasetConfig(name="mine", format="parquet"), folders / "parquet")
    assert written.of_requests and written.schema == source.schema
    for split in ("train", "test"):
        pairs = zip(source.raw_batches(split, 64), written.raw_batches(split, 64), strict=True)
        for rows, found in pairs:
            for name, value in rows.items():
                np.testing.assert_array_equal(value, found[name], err_msg=name)


def test_prepare_needs_a_schema_with_requests(folders, tmp_path, monkeypatch, capsys):
    source = open_source(DatasetConfig(name="mine", format="parquet"), folders / "parquet")
    object.__setattr__(source, "schema", source.schema.replace(request=None))
    monkeypatch.setattr("pipelines.input.open_source", lambda *_: source)
    output = tmp_path / "out"
    given = ["--dataset", "trivago", "--output", str(output), "--format", "parquet", "--by-request"]
    assert prepare.main(given) == 2
    assert "does not say which rows are of one request" in capsys.readouterr().err and not output.exists()


def test_the_form_of_a_folder(tmp_path):
    assert not holds_requests(tmp_path)
    for text, form in (('{"records": "rows"}', False), ('{"records": "requests"}', True)):
        (tmp_path / FORM_FILE).write_text(text)
        assert holds_requests(tmp_path) == form
    (tmp_path / FORM_FILE).write_text(json.dumps({"records": "lists"}))
    with pytest.raises(DataError, match=r'records.json: "records" must be "rows" or "requests". Received: \'lists\''):
        holds_requests(tmp_path)


def test_a_folder_of_requests_needs_their_columns(folders, tmp_path):
    for file in (folders / "requests_parquet").iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "schema.json").unlink()
    request_schema().replace(request=None).to_json(tmp_path / "schema.json")
    with pytest.raises(ValueError, match="does not say which rows are of one request") as raised:
        open_source(DatasetConfig(name="mine", format="parquet"), tmp_path)
    assert not isinstance(raised.value, SchemaError)


def broken(folders, tmp_path, file_format, table):
    """A source whose test file holds these records."""
    for file in (folders / f"requests_{file_format}").iterdir():
        (tmp_path / file.name).symlink_to(file)
    path = tmp_path / f"test.{file_format}"
    path.unlink()
    if file_format == "parquet":
        pq.write_table(table.to_arrow(), path)
    else:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in serialize_examples(table):
                writer.write(record)
    return open_source(DatasetConfig(name="mine", format=file_format), tmp_path), path


@pytest.mark.parametrize("by_request", [False, True])
@pytest.mark.parametrize("file_format", ["tfrecord", "parquet"])
@pytest.mark.parametrize("column", ["place", "picture", "click"])
def test_lists_of_another_length_name_file_record_and_column(folders, tmp_path, file_format, by_request, column):
    table = request_records(request_rows(0), request_schema())
    values = table[column].to_list()
    values[4] = [] if column == "click" else values[4][:-1]
    table = table.with_columns(pl.Series(column, values, dtype=table[column].dtype))
    source, path = broken(folders, tmp_path, file_format, table)
    with pytest.raises(tf.errors.OpError) as raised:
        list(source.raw_batches("test", 16, by_request=by_request))
    told = str(explain_read_error(raised.value, source))
    assert re.match(rf"{re.escape(str(path))}.*record 5", told) and re.search(
        rf"column '?{column}'? must hold", told
    ), told
