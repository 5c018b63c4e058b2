import datetime as dt
import decimal
import json
import re

import numpy as np
import polars as pl
import pytest

from pipelines.datasets.tables import DataError
from pipelines.own_log.__main__ import main
from pipelines.own_log.infer import propose, table_of
from pipelines.own_log.leaks import LeakTest
from pipelines.own_log.lists import separator_of, split_lists
from pipelines.own_log.log import Log, read_log
from pipelines.own_log.types import typed
from tests.pipelines.own_log.logs import listed_log, own_log, write_csv
from tf_interformer.schema import FeatureSchema


@pytest.fixture(scope="module")
def table():
    return own_log()


@pytest.fixture(scope="module")
def proposal(table):
    return propose(Log(table, {}))


def findings(proposal):
    return {finding.column: finding for finding in proposal.findings}


def proposed(**columns):
    """The proposal for a log of these columns and a label that chance decides."""
    rows = len(next(iter(columns.values())))
    label = np.random.default_rng(5).integers(0, 2, rows)
    return propose(Log(pl.DataFrame({**columns, "click": label}), {}))


# Types


@pytest.mark.parametrize(
    ("cells", "dtype", "values"),
    [
        (["1", "2", None], pl.Int64, [1, 2, None]),
        (["1.0", "", "3.0"], pl.Int64, [1, None, 3]),
        (["1.5", "NaN", "-3e2"], pl.Float64, [1.5, None, -300.0]),
        ([" 4 ", "null", "5"], pl.Int64, [4, None, 5]),
        (["true", "False", None], pl.Int64, [1, 0, None]),
        (["007", "12", "13"], pl.String, ["007", "12", "13"]),
        (["18446744073709551617", "1", "2"], pl.String, ["18446744073709551617", "1", "2"]),
        (["4611686018427387905", "1", "2"], pl.Int64, [4611686018427387905, 1, 2]),
        (["inf", "1.5", "2"], pl.Float64, [None, 1.5, 2.0]),
        (["NA", "NL", "BR"], pl.String, ["NA", "NL", "BR"]),
        (["1", "2", "x"], pl.String, ["1", "2", "x"]),
        (["", " ", None], pl.String, [None, None, None]),
        (["3,14", "2,5", "7"], pl.Float64, [3.14, 2.5, 7.0]),
        (["1.234,5", "12", "1.000.000"], pl.Float64, [1234.5, 12.0, 1e6]),
        (["1,234.5", "12", "1,000,000"], pl.Float64, [1234.5, 12.0, 1e6]),
        (["1,234,567", "12"], pl.Int64, [1234567, 12]),
        (["1'234.5", "2'000"], pl.Float64, [1234.5, 2000.0]),
        (["1\u202f234,5", "2"], pl.Float64, [1234.5, 2.0]),
        (["12,5 %", "3%"], pl.Float64, [12.5, 3.0]),
        (["1,234", "2,500"], pl.String, ["1,234", "2,500"]),
        (["0,123", "2,500"], pl.Float64, [0.123, 2.5]),
        ([" a ", "b\t"], pl.String, ["a", "b"]),
    ],
)
def test_types_of_text(cells, dtype, values):
    column = typed(pl.Series("c", cells, dtype=pl.String))
    assert column.dtype == dtype
    assert column.to_list() == values


@pytest.mark.parametrize(
    "cells",
    [
        ["2024-05-01", "2024-05-02"],
        ["2024-05-01 00:00:00", "2024-05-02 00:00:00"],
        ["2024-05-01T00:00:00.000Z", "2024-05-02T00:00:00.000Z"],
        ["2024-05-01 02:00:00+02:00", "2024-05-02 02:00:00+02:00"],
        ["2024/05/01", "2024/05/02"],
        ["2024-05-01 00:00:00 UTC", "2024-05-02 00:00:00.5 UTC"],
        ["2024-05-01 02:00:00 +0200", "2024-05-02 02:00:00 +02:00"],
        ["01.05.2024 00:00", "02.05.2024 00:00"],
        ["1 May 2024", "2 May 2024"],
        ["05/01/2024 12:00:00 AM", "05/02/2024 12:00:00 AM", "05/13/2024 01:00:00 PM"],
        ["01/05/24", "02/05/24", "31/05/24"],
        [dt.date(2024, 5, 1), dt.date(2024, 5, 2)],
    ],
)
def test_moments_of_text(cells):
    column = typed(pl.Series("c", cells))
    assert column.dt.truncate("1d").head(2).to_list() == [dt.datetime(2024, 5, 1), dt.datetime(2024, 5, 2)]


def test_where_day_and_month_cannot_be_told_apart_the_format_decides():
    cells = pl.Series("c", ["01/05/2024", "02/05/2024"])
    assert typed(cells).dtype == pl.String
    assert typed(cells, time_format="%d/%m/%Y").dt.month().to_list() == [5, 5]
    assert typed(cells, time_format="%m/%d/%Y").dt.month().to_list() == [1, 2]
    assert typed(cells, time_format="nonsense").dtype == pl.String


D, BIG = decimal.Decimal, 2**70


@pytest.mark.parametrize(
    ("column", "dtype", "values"),
    [
        (pl.Series([D("7"), D("8.00"), None], dtype=pl.Decimal(10, 2)), pl.Int64, [7, 8, None]),
        (pl.Series([D("7.5")], dtype=pl.Decimal(10, 2)), pl.Float64, [7.5]),
        (pl.Series([D(BIG), D(1)], dtype=pl.Decimal(38, 0)), pl.String, [str(BIG), "1"]),
        (pl.Series([D(BIG), D(1)], dtype=pl.Decimal(38, 2)), pl.String, [str(BIG), "1"]),
        (pl.Series([2**63 + 1, 1], dtype=pl.UInt64), pl.String, [str(2**63 + 1), "1"]),
        (pl.Series([1.0, float("inf")]), pl.Int64, [1, None]),
        (pl.Series([None, None], dtype=pl.Null), pl.String, [None, None]),
        (pl.Series(["a", "b"], dtype=pl.Enum(["a", "b"])), pl.String, ["a", "b"]),
        (pl.Series(["é".encode()]), pl.String, ["é"]),
        (pl.Series([b"\xff"]), pl.Binary, [b"\xff"]),
        (pl.Series([["1", ""], None, []]), pl.List(pl.Int64), [[1, None], None, []]),
        (pl.Series([["1.0"], ["2.0", "3"]]), pl.List(pl.Int64), [[1], [2, 3]]),
        (pl.Series([["true"], ["false"]]), pl.List(pl.Int64), [[1], [0]]),
        (pl.Series([[True, None], []]), pl.List(pl.Int64), [[1, None], []]),
        (pl.Series([[1.5, float("inf")]]), pl.List(pl.Float64), [[1.5, None]]),
        (pl.Series([["a"], ["b", "a"]], dtype=pl.List(pl.Categorical)), pl.List(pl.String), [["a"], ["b", "a"]]),
        (pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.UInt8, 2)), pl.List(pl.Int64), [[1, 2], [3, 4]]),
    ],
)
def test_types_of_parquet(column, dtype, values):
    found = typed(column)
    assert found.dtype == dtype
    assert found.to_list() == values


@pytest.mark.parametrize("value", [dt.timedelta(seconds=1), dt.time(1), {"a": 1}, b"\xff", [{"a": 1}], [[1]]])
def test_what_no_feature_can_hold_is_left_out_with_a_remark(value):
    finding = findings(proposed(odd=pl.Series([value] * 40), hour=list(range(20)) * 2))["odd"]
    assert finding.kind == "left out" and finding.remark


def written(tmp_path, text):
    (tmp_path / "log.csv").write_text(text, encoding="utf-8")
    return read_log(tmp_path / "log.csv")


def test_the_log_tells_what_one_column_does_not(tmp_path):
    log = written(tmp_path, "a;b;c;click\n1,234;1.234;2,5;0\n5,678;2.345;3;1\n")
    assert log.frame["a"].to_list() == [1.234, 5.678]
    assert log.frame["b"].to_list() == [1234, 2345]
    assert log.remarks["a"] == "1,234 is read as 1.234: send it so to the model"
    log = written(tmp_path, "a;b;c;click\n1,234;1.234;2.5;0\n5,678;2.345;3;1\n")
    assert log.frame["a"].to_list() == [1234, 5678] and log.frame["b"].to_list() == [1.234, 2.345]


def test_a_number_that_may_be_two_is_asked_about(tmp_path):
    log = written(tmp_path, "a;b;click\n" + "1,234;x;0\n5,678;y;1\n" * 30)
    found = findings(propose(log))["a"]
    assert (found.kind, "is 1,234 1234 or 1.234?" in found.warning) == ("left out", True)


def test_a_column_of_nearly_only_numbers_says_what_is_none(tmp_path):
    rows = "".join(f"{'n.a.' if i % 30 == 3 else i + 0.5};{i % 2}\n" for i in range(60))
    log = written(tmp_path, "price;click\n" + rows)
    assert log.remarks["price"].startswith("a number in 96.7% of the filled cells, but not 'n.a.':")
    assert "not 'n.a.'" in findings(propose(log))["price"].remark


def test_infinite_numbers_are_told(tmp_path):
    log = written(tmp_path, "price;x;click\n" + "inf;1;0\n2.5;2;1\n" * 3)
    assert log.remarks["price"] == "infinite in 3 rows: missing there"
    pl.DataFrame({"price": [[1.0, float("inf")], [2.0]]}).write_parquet(tmp_path / "log.parquet")
    assert read_log(tmp_path / "log.parquet").remarks["price"] == "1 infinite values are taken for missing"


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        (["a|b", "b", "a|c|b", "c"] * 5, "|"),
        (["1,2,3", "4", "5,6"] * 5, ","),
        (["N1 N2", "N3", "N2 N3 N1", "N1"] * 5, " "),
        (["[1, 2]", "[]", "[3]"] * 5, "[,"),
        (["['a', 'b']", "['a']"] * 5, "[,"),
        (["[1 2]", "[3]"] * 5, "[ "),
        (["a^b", "b", "a^c^b", "c"] * 5, "^"),
        (["||123", "7|", "|", "123|7|9"] * 5, "|"),
        (["|123", "7|", "|", "123|9"] * 5, "|"),
        (["Action Comedy", "Drama", "Comedy Drama War"] * 5, None),
        (["Smith, Ann", "Smith, Bob", "Jones, Ann"] * 5, None),
        (["1,234", "12,345", "7"] * 5, None),
        (["3,14", "2,71", "1"] * 5, None),
        (["big red shoe", "red lamp", "lamp"] * 5, None),
        (["Hello, you", "Oh, well, no", "Yes"] * 5, None),
        (["2024-05-01 10:00", "2024-05-02 11:00"] * 5, None),
        (["http://a.b/c?d=1;e=2", "http://a.b/d"] * 5, None),
    ],
)
def test_lists_of_text(cells, separator):
    assert separator_of(pl.Series("c", cells)) == separator


def test_words_with_blanks_between_are_a_list_where_the_name_says_so():
    cells = ["Action Comedy", "Drama", "Comedy Drama War", "War", "Drama War", "Action Drama"]
    assert separator_of(pl.Series("movie_genres", cells)) == " "
    assert separator_of(pl.Series("title", cells)) is None


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["||123", "7|", None], [[None, None, 123], [7, None], None]),
        (["['a', \"\", 'b']", "[]"], [["a", None, "b"], []]),
        (["[1, , 2]", '["", "3"]'], [[1, None, 2], [None, 3]]),
    ],
)
def test_lists_with_empty_values(cells, values):
    column = pl.Series("c", cells)
    found = split_lists(column, separator_of(column) or "|")
    assert [v or [] for v in found.to_list()] == [v or [] for v in values]


def test_csv_and_parquet_hold_the_same_log(table, tmp_path):
    lists = table.select(pl.selectors.by_dtype(pl.List)).columns
    csv = read_log(write_csv(table, tmp_path / "log.csv")).frame
    table.write_parquet(tmp_path / "log.parquet")
    parquet = read_log(tmp_path / "log.parquet").frame
    assert parquet.equals(table)
    filled = csv.with_columns(pl.col(lists).fill_null([]))
    assert filled.schema == table.schema
    assert filled.equals(table)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_quotes_and_names(tmp_path, delimiter):
    text = 'user id,2nd,,click\n7,"x,;|\t ""y",1,0\n8,z,2,1\n'.replace(",", delimiter, 3)
    text = text.replace("7,", f"7{delimiter}").replace('y",1,0', f'y"{delimiter}1{delimiter}0')
    (tmp_path / "log.csv").write_text(text.replace("8,z,2,1", delimiter.join("8z21")))
    log = read_log(tmp_path / "log.csv")
    assert log.frame.columns == ["user id", "2nd", "column_3", "click"]
    assert log.frame["2nd"].to_list() == ['x,;|\t "y', "z"]
    assert log.column("user id", "--group") == "user id"


def test_only_names_that_a_schema_cannot_bear_are_changed(tmp_path):
    log = written(tmp_path, "größe , a/b,_list,価格,x\x01y,click\n1,2,3,4,5,0\n")
    assert log.frame.columns == ["größe", "a/b", "column_3", "価格", "x y", "click"]
    assert (log.column("x\x01y", "--time"), log.column("_list", "--group")) == ("x y", "column_3")


def test_fillers_among_ids_are_missing(tmp_path):
    log = written(tmp_path, "seen;item;click\n1|unknown|2;7;0\n3;8;1\n2|1;9;0\nUnknown;1;1\n")
    assert log.frame["seen"].to_list() == [[1, None, 2], [3], [2, 1], [None]]
    assert log.remarks["seen"] == "'unknown' among the numbers is missing"


# Proposals


def test_every_kind_of_column(proposal):
    schema = proposal.schema
    assert {f.name for f in schema.categoricals} == {"user_id", "item_id", "category", "hour", "tags"}
    assert schema["item_id"].dtype == "int64"
    assert schema["category"].dtype == "string"
    assert schema["tags"].max_values == 3
    assert {f.name: f.transform for f in schema.numerics} == {
        "price": "log", "score": "standardize", "age": "standardize"
    }  # fmt: skip
    assert schema.tasks == ("click",)
    assert (schema.group, proposal.time) == ("user_id", "timestamp")
    assert not schema.is_learned
    found = findings(proposal)
    assert found["item_id"].distinct == 40
    assert found["age"].missing == pytest.approx(0.1, abs=0.03)


def test_sequences_are_aligned_and_share_tables(proposal):
    by_name = {sequence.name: sequence for sequence in proposal.schema.sequences}
    assert set(by_name) == {"viewed", "searches"}
    viewed = by_name["viewed"]
    assert [(f.name, f.table) for f in viewed.fields] == [("item_id", "item_id"), ("action", None)]
    assert viewed.max_length == 11


def test_identifiers_constants_and_outcomes_are_left_out(proposal):
    left_out = {f.column: f.remark for f in proposal.findings if f.kind == "left out"}
    assert set(left_out) == {"request_id", "country", "dwell_ms", "paid", "is_purchase"}
    assert "identifier" in left_out["request_id"]
    assert "constant" in left_out["country"]
    assert "another outcome" in left_out["is_purchase"]


def test_planted_leaks_are_found(proposal):
    found = findings(proposal)
    assert found["dwell_ms"].lone_auc > 0.99
    assert "filled exactly where click is 1" in found["paid"].warning
    assert len(proposal.warnings) == 3


def test_a_near_leak_is_kept(table):
    random = np.random.default_rng(1)
    hint = table["click"].to_numpy() + random.normal(0, 0.6, table.height)
    proposal = propose(Log(table.with_columns(pl.Series("hint", hint)), {}))
    assert 0.8 < findings(proposal)["hint"].lone_auc < 0.95
    assert "hint" in {f.name for f in proposal.schema.numerics}


def test_a_value_that_settles_a_rare_label_is_a_leak(table):
    refund = np.where(table["is_purchase"].to_numpy() == 1, "asked", "no")
    found = findings(propose(Log(table.with_columns(pl.Series("refund", refund)), {})))["refund"]
    assert found.lone_auc < 0.7
    assert "wherever it is 'asked', click is 1" in found.warning


def test_one_good_value_of_many_is_no_leak(table):
    place = np.where(table["is_purchase"].to_numpy() == 1, 9, np.arange(table.height) % 9)
    found = findings(propose(Log(table.with_columns(pl.Series("place", place)), {})))["place"]
    assert found.is_feature


def test_a_history_that_holds_the_present_click_is_a_leak(table):
    own = pl.when(pl.col("click") == 1).then(pl.concat_list("item_id")).otherwise(pl.lit([], pl.List(pl.Int64)))
    leaking = table.with_columns(bought_item_id=pl.col("viewed_item_id").list.concat(own))
    found = findings(propose(Log(leaking, {})))["bought_item_id"]
    assert found.kind == "left out"
    assert "the row's own item_id" in found.warning


def test_a_rare_id_is_no_leak():
    random = np.random.default_rng(2)
    rows = 4000
    proposal = proposed(session_code=random.integers(0, 1600, rows), hour=random.integers(0, 24, rows))
    found = findings(proposal)
    assert 0.4 < found["session_code"].lone_auc < 0.6
    assert proposal.schema["session_code"].hash_buckets == 512
    assert not proposal.warnings


def test_lone_auc_needs_both_labels_in_numbers():
    test = LeakTest(pl.DataFrame({"click": [0, 1] * 10}), "click")
    assert not test.enough
    assert np.isnan(test.lone_auc(pl.Series([0, 1] * 10)))
    assert test.reason(pl.Series([0, 1] * 10)) is None


def test_rare_values_have_a_least_count():
    random = np.random.default_rng(3)
    item = np.minimum(random.geometric(0.02, 3000), 400)
    feature = proposed(item_id=item, hour=item % 24).schema["item_id"]
    assert (feature.min_count, feature.hash_buckets) == (5, None)


def test_a_group_key_with_few_rows_is_no_feature():
    random = np.random.default_rng(4)
    proposal = proposed(user_id=random.integers(0, 400, 1000).astype(str), hour=random.integers(0, 24, 1000))
    assert proposal.schema.group == "user_id"
    assert proposal.schema.group_dtype == "string"
    assert [f.name for f in proposal.schema.features] == ["hour"]


@pytest.mark.parametrize(
    "name", ["request_id", "requestId", "impression_id", "SearchID", "list_id", "session_step_id", "reqid"]
)
def test_the_list_key_is_found(name):
    proposal = propose(Log(listed_log(name=name), {}))
    schema = proposal.schema
    assert (schema.group, schema.request, schema.request_dtype) == ("user_id", name, "string")
    assert name not in {f.name for f in schema.features}
    assert findings(proposal)[name].kind == "list key"


@pytest.mark.parametrize("name", ["playlist_id", "session_id", "order_id", "step_id", "request", "search_rank"])
def test_what_is_not_called_a_list_is_none(name):
    assert propose(Log(listed_log(name=name), {})).schema.request is None


FIRST = pl.int_range(pl.len()) == 0
NO_LISTS = {
    "apart": lambda log: log.sample(fraction=1.0, shuffle=True, seed=2),
    "of two users": lambda log: log.with_columns(user_id=pl.when(FIRST).then(1).otherwise("user_id")),
    "of two moments": lambda log: log.with_columns(timestamp=pl.col("timestamp") - FIRST.cast(pl.Int64)),
    "one row each": lambda log: log.gather_every(5),
    "long": lambda log: log.select(pl.all().gather(np.repeat(np.arange(0, 600, 60), 201))),
    "gaps": lambda log: log.with_columns(request_id=pl.when(FIRST).then(None).otherwise("request_id")),
    "one per user": lambda log: log.with_columns(user_id="request_id"),
    "no user": lambda log: log.drop("user_id"),
    "no time": lambda log: log.drop("timestamp"),
    "numbers": lambda log: log.with_columns(request_id=(pl.int_range(pl.len()) // 5).cast(pl.Float64) + 0.5),
}


@pytest.mark.parametrize("case", NO_LISTS)
def test_what_is_no_list_is_not_proposed_as_one(case):
    proposal = propose(Log(NO_LISTS[case](listed_log()), {}))
    assert proposal.schema.request is None and proposal.schema.request_dtype == "int64"


def test_the_list_key_may_be_named(table):
    proposal = propose(Log(table, {}), request="request_id")
    assert proposal.schema.request == "request_id" and "request_id" not in {f.name for f in proposal.schema.features}
    numbers = listed_log(name="page").with_columns(page=pl.int_range(pl.len()) // 5)
    assert propose(Log(numbers, {}), request="page").schema.key_columns["request"] == ("page", "int64")


def test_what_differs_within_a_list_is_the_candidates():
    shown = np.arange(600) // 5
    log = listed_log().with_columns(position=pl.int_range(pl.len()) % 5 + 1, hour=pl.Series(shown % 24))
    proposal = propose(Log(log.drop("viewed_action", "searches"), {}))
    assert proposal.schema.candidate == ("item_id", "category", "price", "score", "age", "tags", "position")
    assert proposal.schema["position"].serve_as == 1
    assert any(note.startswith("what differs within a list is the candidate's") for note in proposal.notes)
    alike = log.select(
        "request_id", "user_id", "timestamp", "hour", "click", "viewed_item_id", item_id=pl.Series(shown)
    )
    assert propose(Log(alike, {})).schema.candidate == ()
    # what is compared with events must be the candidate's, though all of a list have one
    compared = log.with_columns(item_id=pl.Series(shown % 40 + 500)).drop("viewed_action")
    schema = propose(Log(compared, {})).schema
    assert schema.sequences[0].match == ("item_id",) and {"item_id", "price"} <= set(schema.candidate)


@pytest.mark.parametrize(
    ("names", "sequence", "fields"),
    [
        (["hist_items", "hist_cats"], "hist", ["items", "cats"]),
        (["history"], "history", ["item_id"]),
        (["past_item_ids"], "past", ["item_ids"]),
        (["recent_a", "past_b"], "history", ["recent_a", "past_b"]),
    ],
)
def test_names_of_sequences(table, names, sequence, fields):
    lists = {name: table["viewed_item_id"].alias(name) for name in names}
    schema = propose(Log(table.select("item_id", "hour", "click", **lists), {})).schema
    assert [s.name for s in schema.sequences] == [sequence]
    assert [f.name for f in schema.sequences[0].fields] == fields
    assert {f.table for f in schema.sequences[0].fields} == {"item_id"}


def test_numbers_of_events_are_fields_of_their_history(table):
    random = np.random.default_rng(6)
    lengths = table["viewed_item_id"].list.len()
    prices = [random.lognormal(1, 1, n).round(2).tolist() for n in lengths]
    columns = {
        "viewed_price": prices,
        "viewed_dwell_ms": [random.integers(0, 9000, n).tolist() for n in lengths],
        "viewed_brand": [random.integers(0, 9000, n).tolist() for n in lengths],
        "lone_ratio": [random.normal(size=n).tolist() for n in random.integers(1, 9, table.height)],
    }
    lists = [pl.Series(name, values) for name, values in columns.items()]
    made = propose(Log(table.select("hour", "item_id", "viewed_item_id", "click", *lists), {}))
    (viewed,) = made.schema.sequences
    assert [(f.name, f.kind) for f in viewed.fields] == [
        ("item_id", "categorical"), ("brand", "categorical"), ("price", "numeric"), ("dwell_ms", "numeric")
    ]  # fmt: skip
    assert [made.schema[f"viewed_{name}"].transform for name in ("price", "dwell_ms")] == ["log", "standardize"]
    assert viewed.match == ("item_id",)
    found = findings(made)
    assert found["viewed_price"].kind == "sequence viewed" and "log: skewed" in found["viewed_price"].remark
    assert found["lone_ratio"].remark == "lists of numbers, of no events that are told"


def test_small_codes_do_not_share_a_table_by_chance():
    random = np.random.default_rng(6)
    lists = [random.integers(0, 5, n).tolist() for n in random.integers(1, 9, 500)]
    schema = proposed(hour=random.integers(0, 24, 500), past_reaction=lists).schema
    assert schema.sequences[0].fields[0].table is None


def test_what_is_on_a_scale_is_compared_by_distance():
    random = np.random.default_rng(6)
    lengths = random.integers(1, 9, 500)
    columns = {
        f"past_{name}": [random.integers(0, most, n).tolist() for n in lengths]
        for name, most in (("category", 40), ("list_position", 50))
    }
    own = {"category": random.integers(0, 40, 500), "list_position": random.integers(0, 50, 500)}
    (sequence,) = proposed(**own, **columns).schema.sequences
    assert (sequence.match, sequence.distance) == (("category",), ("list_position",))


def test_newest_first_is_said(table):
    times = table["viewed_item_id"].list.eval(1_700_000_000 - pl.element().cum_count().cast(pl.Int64))
    found = findings(propose(Log(table.with_columns(times.alias("viewed_time")), {})))["viewed_time"]
    assert found.kind == "left out"
    assert "oldest first" in found.warning


def test_ids_that_do_not_come_back_are_no_features():
    rows = 2400
    log = own_log(rows).sort("timestamp")
    log = log.with_columns(
        visit_id=pl.int_range(rows) // 3,
        user_id=pl.int_range(rows) // 22,
        city_id=pl.Series(np.random.default_rng(3).integers(0, 150, rows)),
    )
    proposal = propose(Log(log, {}))
    found = findings(proposal)
    assert (found["visit_id"].kind, found["user_id"].kind) == ("left out", "group key")
    assert re.match(r"of the latest 20% of the rows 0\.\d% have a value that an earlier row", found["visit_id"].remark)
    names = {f.name for f in proposal.schema.features}
    assert proposal.schema.group == "user_id" and "user_id" not in names and "city_id" in names
    assert {"visit_id", "user_id"} <= {f.name for f in propose(Log(log.drop("timestamp"), {})).schema.features}


def test_what_a_history_repeats_stays_a_feature(table):
    log = table.sort("timestamp").with_columns(new_id=pl.int_range(pl.len()) // 3)
    log = log.with_columns(seen_new=pl.concat_list(pl.col("new_id") // 2 * 2, pl.col("new_id") // 2 * 2))
    assert "new_id" in {f.name for f in propose(Log(log, {})).schema.features}


@pytest.mark.parametrize("name", ["position", "item_position", "slot", "PositionInList"])
def test_where_a_row_was_shown_is_served_as_the_first_place(table, name):
    place = pl.Series(name, np.arange(table.height) % 9 + 1)
    proposal = propose(Log(table.with_columns(place), {}))
    assert proposal.schema[name].serve_as == 1
    assert "served as 1" in findings(proposal)[name].remark
    many = propose(Log(table.with_columns(place * 7 + pl.Series(np.arange(table.height) % 7)), {}))
    assert many.schema[name].serve_as == 7


@pytest.mark.parametrize("name", ["price_position", "time_slot", "price_rank", "hour"])
def test_what_is_no_place_is_asked_for(table, name):
    place = pl.Series(name, np.arange(table.height) % 9 + 1)
    assert propose(Log(table.with_columns(place), {})).schema[name].serve_as is None


def test_ids_of_digits_share_the_table_of_names(table):
    names = table["item_id"].cast(pl.String).replace("500", "none")
    schema = propose(Log(table.with_columns(names), {})).schema
    field = next(s for s in schema.sequences if s.name == "viewed").fields[0]
    assert (field.table, field.dtype) == ("item_id", "string")


def test_remarks_are_whole(table):
    proposal = propose(Log(table.sort("timestamp").with_columns(visit_id=np.arange(1500) // 3), {}))
    assert findings(proposal)["visit_id"].remark in table_of(proposal)


TIME_CELLS = {
    "03/04/2024 05:06": "'03/04/2024 05:06', %d/%m/%Y %H:%M or %m/%d/%Y %H:%M: give --time-format",
    "soon, 5": "it holds 'soon, 5': give --time-format",
}


@pytest.mark.parametrize("cell", TIME_CELLS)
def test_a_time_that_cannot_be_read_is_asked_about_and_not_split_at_random(tmp_path, capsys, cell):
    rows = "".join(f'"{cell}",{i % 9},{i % 2}\n' for i in range(60))
    (tmp_path / "log.csv").write_text("event_time,hour,click\n" + rows)
    paths = [str(tmp_path / "log.csv"), "--output", str(tmp_path / "schema.json")]
    assert main(["infer", *paths]) == 0
    out = capsys.readouterr().out
    assert TIME_CELLS[cell] in out
    assert "--time event_time --time-format FORMAT" in out and "--random" not in out
    command = ["split", paths[0], "--schema", paths[2], "--output", str(tmp_path / "folder")]
    assert main(command) == 2
    assert f"is `event_time` one? it holds {cell!r}" in capsys.readouterr().err
    assert main([*command, "--time", "event_time", "--time-format", "%H"]) == 2
    assert "--time 'event_time' must hold numbers or moments" in capsys.readouterr().err


def test_a_time_with_some_cells_of_another_format_names_one(tmp_path):
    cells = ["31/12/2024"] * 50 + ["yesterday 1"]
    frame = pl.DataFrame({"day": cells, "click": [0, 1] * 25 + [1], "hour": [i % 7 for i in range(51)]})
    proposal = propose(Log(frame, {}))
    assert proposal.unread == {
        "day": "it holds '31/12/2024', 'yesterday 1' (%d/%m/%Y), but in 1 rows not, such as 'yesterday 1': "
        "correct these"
    }


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
def test_numbers_since_1970_are_times(table, unit):
    log = table.with_columns(pl.col("timestamp") * unit).rename({"timestamp": "event_time"})
    assert propose(Log(log, {})).time == "event_time"


def test_a_number_called_like_a_time_is_asked_about(table):
    log = table.drop("timestamp").with_columns(elapsed_time=pl.int_range(pl.len()) % 97)
    assert "it holds 0, 1, 2, which count no seconds" in propose(Log(log, {})).unread["elapsed_time"]


def test_encodings(tmp_path, capsys):
    path = tmp_path / "log.csv"
    path.write_bytes("Größe,x,click\nüber,1,0\nklein,2,1\n".encode("utf-16"))
    command = ["infer", str(path), "--output", str(tmp_path / "s.json")]
    assert main(command) == 2
    assert "is UTF-16. Give its encoding (`--encoding utf-16`)" in capsys.readouterr().err
    assert main([*command, "--encoding", "utf-16"]) == 0
    out = capsys.readouterr().out
    assert "Größe" in out and "from here on" not in out
    assert "--encoding utf-16" in out.splitlines()[-1]
    path.write_bytes("Größe,x,click\nüber,1,0\n".encode("latin-1"))
    assert main(["infer", str(path), "--output", str(tmp_path / "t.json")]) == 2
    assert "line 1 must be utf8 text" in capsys.readouterr().err


# The command


def test_writes_what_from_json_reads(table, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(table, tmp_path / "log.csv")
    assert main(["infer", "log.csv"]) == 0
    out = capsys.readouterr().out
    for expected in (
        "1,500 rows, 18 columns",
        "WARNING: `dwell_ms` likely leaks the label: alone it predicts click",
        "left out: request_id, country, dwell_ms, paid, is_purchase. To put one back",
        '{"kind":"categorical","name":"request_id","dtype":"string"}',
        "tf-interformer schema split log.csv --schema schema.json --output DIR",
    ):
        assert expected in out
    schema = FeatureSchema.from_json(tmp_path / "schema.json")
    assert schema == propose(Log(table, {})).schema.model_copy(update={"name": "log"})
    assert [path.name for path in tmp_path.iterdir() if "tmp" in path.name] == []
    json.loads((tmp_path / "schema.json").read_text())
    # what a person may have edited is not written over
    assert main(["infer", "log.csv"]) == 2
    assert "exists already" in capsys.readouterr().err


def test_several_labels(table):
    proposal = propose(Log(table, {}), labels=["click", "is_purchase"])
    assert proposal.schema.tasks == ("click", "is_purchase")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label", "clicks"], "--label 'clicks' is no column of the log. It has: "),
        (["--label", "hour"], "the label `hour` must hold 0 and 1, and both of them. Received: 0, 1, 2"),
        (["--label", "country"], "the label `country` must hold 0 and 1, and both of them. Received: 'NL'"),
        (["--group", "price"], "--group 'price' must hold words or whole numbers"),
        (["--time", "category"], "--time 'category' must hold numbers or moments"),
        (["--group", "click"], "--group 'click' is the label"),
        (["--request", "price"], "--request 'price' must hold a word or a whole number in every row. Received: Float"),
        (["--request", "paid"], "empty cells"),
        (["--request", "user_id"], "--request 'user_id' is the group key"),
        (["--request", "timestamp"], "--request 'timestamp' is the time"),
        (["--request", "click"], "--request 'click' is the label"),
        (["--output", "no/such/folder/schema.json"], "of --output does not exist"),
        (["--delimiter", "::"], "must have a label and a feature at least"),
    ],
)
def test_options_that_do_not_fit(table, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_csv(table.head(200), tmp_path / "log.csv")
    assert main(["infer", "log.csv", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"", "log.csv", "is empty"),
        (b"<!DOCTYPE html><html>", "log.csv", "is an HTML page"),
        (b"a,click\n", "log.csv", "has no rows"),
        (b"1,2,3\n4,5,6\n", "log.csv", "line 1 must name the columns. Received: 1, 2, 3"),
        (b"a,b\n1,2\n3\n", "log.csv", "line 3 must have 2 cells"),
        (b"a b,a\x01b,click\n1,2,0\n", "log.csv", r"would then be the same: 'a b', 'a\x01b'"),
        (b"a,a,click\n1,2,0\n", "log.csv", "must name every column once"),
        (b"a,b\nx,1\ny,2\n", "log.csv", "name it with --label. Columns of 0 and 1: none"),
        (b"a,click\nx,1\ny,\n", "log.csv", "the label `click` must be 0 or 1 in every row. Received: 1 empty cells"),
        (b"PAR1abcdefgh", "log.parquet", "is a truncated Parquet file"),
        (b"a,b\n1,2\n", "log.parquet", "is not a Parquet file"),
        (None, "log.csv", "There is no file"),
    ],
)
def test_broken_files(tmp_path, capsys, data, name, message):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    given = ["--label", "click"] if b"click" in (data or b"") else []
    assert main(["infer", str(tmp_path / name), "--output", str(tmp_path / "s.json"), *given]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "s.json").exists()


def test_a_truncated_parquet(table, tmp_path):
    path = tmp_path / "log.parquet"
    table.write_parquet(path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match="truncated"):
        read_log(path)


def test_real_bad_inputs(data_dir, tmp_path, capsys):
    for path in (data_dir / "bad_inputs").iterdir():
        if path.suffix != ".txt":
            assert main(["infer", str(path), "--output", str(tmp_path / "s.json")]) == 2
            assert str(path) in capsys.readouterr().err


def test_real_log(data_dir):
    """The outcomes of KuaiRand-Pure are known: none of the strong ones may pass without a word."""
    log = read_log(data_dir / "KuaiRand-Pure" / "data" / "log_standard_4_22_to_5_08_pure.csv")
    proposal = propose(log, labels=["is_click"])
    left_out = {f.column for f in proposal.findings if f.kind == "left out"}
    assert {"play_time_ms", "is_like", "is_follow", "is_comment", "is_forward", "is_rand", "date"} <= left_out
    assert {"video_id", "tab", "duration_ms", "hourmin"} <= {f.name for f in proposal.schema.features}
    assert "is it known before the impression?" in findings(proposal)["long_view"].remark
    assert (proposal.time, proposal.schema.group) == ("time_ms", "user_id")
