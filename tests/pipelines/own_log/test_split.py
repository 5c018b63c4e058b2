import datetime as dt
import itertools
import json
import re

import numpy as np
import polars as pl
import pytest

from pipelines import train
from pipelines.config import ConfigError, DatasetConfig, load_config
from pipelines.datasets.tables import DataError
from pipelines.input import SPLITS, open_source
from pipelines.own_log.__main__ import main
from pipelines.own_log.examples import examples
from pipelines.own_log.history import Histories, HistorySpec
from pipelines.own_log.roles import moment_in, seconds_of
from tests.pipelines.own_log.logs import listed_log, own_log, write_csv
from tf_interformer.schema import Categorical, FeatureSchema, Label, Sequence

TINY = ["model.backbone=fm", "model.backbone_config={}", "model.embedding.dim=8", "model.tower_units=[8]",
        "training.epochs=1", "training.batch_size=64", "training.jit_compile=false"]  # fmt: skip


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A log, its proposed schema, and the log's table."""
    folder = tmp_path_factory.mktemp("log")
    table = own_log(rows=600)
    write_csv(table, folder / "log.csv")
    assert main(["infer", str(folder / "log.csv"), "--output", str(folder / "schema.json")]) == 0
    return folder, table


def split(log, output, *options, schema="schema.json"):
    return main(["split", str(log[0] / "log.csv"), "--schema", str(log[0] / schema), "--output", str(output), *options])


def read(folder, name):
    return pl.read_parquet(folder / f"{name}-*.parquet")


# The history builder


def naive_histories(group, time, where, rows, max_length):
    """Written from the rule, with plain loops."""
    order = sorted(range(len(group)), key=lambda row: time[row])
    histories = []
    for row in rows:
        earlier = [
            other
            for other in order
            if group[row] is not None and group[other] == group[row] and time[other] < time[row] and where[other]
        ]
        histories.append(earlier[-max_length:])
    return histories


@pytest.mark.parametrize("seed", range(25))
def test_histories_equal_a_naive_loop(seed):
    random = np.random.default_rng(seed)
    rows = int(random.integers(1, 60))
    words = bool(seed % 2)
    group = [None if random.random() < 0.1 else int(g) for g in random.integers(0, random.integers(1, 8), rows)]
    group = [f"u{g}" if words and g is not None else g for g in group]
    # few different times, so that many rows are of the same one
    time = random.integers(-5, random.integers(-4, 40), rows) * random.choice([1, 0.5])
    where = random.random(rows) < random.choice([0.3, 1.0])
    max_length = int(random.integers(1, 6))
    chosen = random.permutation(rows)[: random.integers(1, rows + 1)]
    histories = Histories(
        pl.Series(group, dtype=pl.String if words else pl.Int64), pl.Series(time), pl.Series(where)
    )  # fmt: skip
    events, offsets = histories.before(chosen, max_length)
    found = [events[a:b].tolist() for a, b in itertools.pairwise(offsets)]
    assert found == naive_histories(group, time, where, chosen, max_length)


def test_rows_of_the_same_time_do_not_see_each_other():
    histories = Histories(pl.Series([1, 1, 1, 1]), pl.Series([5, 3, 5, 5]))
    events, offsets = histories.before(np.arange(4), 9)
    assert (events.tolist(), offsets.tolist()) == ([1, 1, 1], [0, 1, 1, 2, 3])


def test_a_later_row_changes_no_history():
    random = np.random.default_rng(0)
    group, time = random.integers(0, 4, 50), np.sort(random.integers(0, 20, 50))
    whole = Histories(pl.Series(group), pl.Series(time)).before(np.arange(30), 5)
    cut = Histories(pl.Series(group[:30]), pl.Series(time[:30])).before(np.arange(30), 5)
    earlier = time[:30] <= time[29]
    assert earlier.all()
    for left, right in zip(whole, cut, strict=True):
        np.testing.assert_array_equal(left, right)


def test_how_events_are_compared_with_the_row():
    schema = FeatureSchema(
        features=[Categorical("item"), Categorical("place", dtype="int64"), Categorical("hour", dtype="int64")],
        labels=[Label("click")],
        group="user",
        candidate=["item", "place"],
    )
    made = HistorySpec.parse("viewed=item,place,hour,click").add_to(schema)
    assert (made.sequences[0].match, made.sequences[0].distance) == (("item",), ("place",))


@pytest.mark.parametrize(
    "text", ["viewed", "viewed=", "viewed=a,", "viewed=a:0", "viewed=a,a", "=a", "viewed=a:b", 'viewed="a']
)
def test_what_history_takes(text):
    assert HistorySpec.parse("viewed=item_id,category:7") == HistorySpec("viewed", ("item_id", "category"), 7)
    assert HistorySpec.parse("viewed=item_id").max_length == 50
    assert HistorySpec.parse('2 v/w = "a:b=""c"" ,",größe:7') == HistorySpec("2 v/w", ('a:b="c" ,', "größe"), 7)
    with pytest.raises(ConfigError, match="--history takes NAME=COLUMN"):
        HistorySpec.parse(text)


# The split


def test_splits_by_time_without_parting_a_moment(log, tmp_path, capsys):
    assert split(log, tmp_path / "data") == 0
    assert "  tf-interformer train --config own_log --data-dir" in capsys.readouterr().out
    parts = {name: read(tmp_path / "data", name) for name in SPLITS}
    assert [round(part.height / 600, 1) for part in parts.values()] == [0.8, 0.1, 0.1]
    assert parts["train"]["timestamp"].max() < parts["validation"]["timestamp"].min()
    assert parts["validation"]["timestamp"].max() < parts["test"]["timestamp"].min()
    table = log[1]
    together = pl.concat(parts.values()).sort("timestamp", "user_id", "item_id", "price")
    expected = table.sort("timestamp", "user_id", "item_id", "price")
    for name in ("user_id", "item_id", "category", "click", "viewed_item_id", "viewed_action"):
        assert together[name].to_list() == expected[name].to_list(), name
    np.testing.assert_array_equal(together["price"].to_numpy(), expected["price"].to_numpy().astype(np.float32))
    assert together["age"].is_nan().sum() == expected["age"].null_count()
    # ties: ten times in all, and every one of them in one split
    coarse = table.with_columns(pl.col("timestamp") // 2400)
    write_csv(coarse, tmp_path / "log.csv")
    options = ["--time", "timestamp", "--schema", str(log[0] / "schema.json")]
    assert split((tmp_path, coarse), tmp_path / "coarse", *options) == 0
    times = [set(read(tmp_path / "coarse", name)["timestamp"]) for name in SPLITS]
    assert not times[0] & times[1] and not times[1] & times[2]


def test_histories_are_of_earlier_rows_alone(log, tmp_path):
    seen_fields = "item_id,category,click,age,seconds_ago"
    options = ["--history", f"seen={seen_fields}:3", "--history", "liked=item_id", "--history-where"]
    assert split(log, tmp_path / "data", *options, "liked=click") == 0
    schema = FeatureSchema.from_json(tmp_path / "data" / "schema.json")
    seen = next(s for s in schema.sequences if s.name == "seen")
    assert [(f.name, f.table) for f in seen.categoricals] == [
        ("item_id", "item_id"), ("category", "category"), ("click", None)
    ]  # fmt: skip
    assert [schema[f"seen_{name}"].transform for name in ("age", "seconds_ago")] == ["standardize", "log"]
    assert {s.name: s.age for s in schema.sequences}["seen"] == "seconds_ago"
    table = log[1]
    for name in SPLITS:
        for row in read(tmp_path / "data", name).iter_rows(named=True):
            earlier = table.filter(user_id=row["user_id"]).filter(pl.col("timestamp") < row["timestamp"])
            for field in ("item_id", "category", "click"):
                assert row[f"seen_{field}"] == earlier[field].tail(3).to_list()
            ages = earlier["age"].tail(3).cast(pl.Float64).fill_null(float("nan")).to_numpy()
            np.testing.assert_array_equal(row["seen_age"], ages)
            assert row["seen_seconds_ago"] == (row["timestamp"] - earlier["timestamp"].tail(3)).to_list()
            assert row["liked_item_id"] == earlier.filter(click=1)["item_id"].tail(50).to_list()


@pytest.mark.parametrize("unit", [1, 1000, 1_000_000, 1_000_000_000, "datetime"])
def test_seconds_of_any_time(unit):
    seconds = pl.Series([1_700_000_000, 1_700_000_007, None])
    moments = pl.from_epoch(seconds) if unit == "datetime" else seconds * unit
    assert seconds_of(moments).to_list() == seconds.to_list()
    assert seconds_of(pl.Series([20240501, 20240502])) is None


def test_random_only_when_asked(log, tmp_path, capsys):
    table = log[1].drop("timestamp")
    write_csv(table, tmp_path / "log.csv")
    here = (tmp_path, table)
    given = ["--schema", str(log[0] / "schema.json")]
    assert split(here, tmp_path / "data", *given) == 2
    assert "no column holds a time: name one with --time (split by it, or ask for --random)" in capsys.readouterr().err
    assert split(here, tmp_path / "data", *given, "--random", "--history", "seen=item_id") == 2
    assert "a history needs one" in capsys.readouterr().err
    assert split(here, tmp_path / "data", *given, "--random", "--fractions", "0.5,0.25,0.25") == 0
    assert [read(tmp_path / "data", name).height for name in SPLITS] == [300, 150, 150]


def test_sequences_are_found_by_any_of_their_names(tmp_path):
    table = own_log(rows=200).select("timestamp", "click", "hour", history="viewed_item_id", items="viewed_item_id")
    table.write_parquet(tmp_path / "log.parquet")
    schema = FeatureSchema(
        features=[{"kind": "categorical", "name": "hour", "dtype": "int64"}],
        sequences=[
            {"name": "history", "fields": [Categorical("event", dtype="int64")], "max_length": 4},
            {"name": "past", "fields": [Categorical("items", dtype="int64")]},
        ],
        labels=[Label("click")],
    )
    schema.to_json(tmp_path / "schema.json")
    given = ["split", str(tmp_path / "log.parquet"), "--schema", str(tmp_path / "schema.json")]
    assert main([*given, "--output", str(tmp_path / "data")]) == 0
    written = read(tmp_path / "data", "test")
    assert written["history_event"].to_list() == [items[-4:] for items in written["past_items"].to_list()]


def test_missing_cells_are_the_missing_values_of_the_schema(tmp_path):
    table = pl.DataFrame(
        {
            "timestamp": range(10),
            "user": ["a", None] * 5,
            "code": [1, None] * 5,
            "tags": [["x"], None] * 5,
            "number": [1.0, float("inf")] * 5,
            "click": [0, 1] * 5,
        }
    )
    table.write_parquet(tmp_path / "log.parquet")
    schema = {
        "features": [
            {"kind": "categorical", "name": "code", "dtype": "int64", "missing": -7},
            {"kind": "categorical", "name": "tags", "max_values": 2},
            {"kind": "numeric", "name": "number"},
        ],
        "labels": [{"name": "click"}],
        "group": "user",
        "group_dtype": "string",
    }
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    given = ["split", str(tmp_path / "log.parquet"), "--schema", str(tmp_path / "schema.json"), "--time", "timestamp"]
    assert main([*given, "--output", str(tmp_path / "data"), "--history", "seen=code"]) == 0
    written = pl.concat(read(tmp_path / "data", name) for name in SPLITS).sort("timestamp")
    assert written["code"].to_list() == [1, -7] * 5
    assert written["user"].to_list() == ["a", ""] * 5
    assert written["tags"].to_list() == [["x"], []] * 5
    assert written["number"].is_nan().to_list() == [False, True] * 5
    # nobody's rows are nobody's history
    assert written["seen_code"].list.len().to_list() == [0, 0, 1, 0, 2, 0, 3, 0, 4, 0]
    source = open_source(DatasetConfig(name="mine", format="parquet"), tmp_path / "data")
    batch = next(source.raw_batches("train", 8).as_numpy_iterator())
    assert sorted(zip(batch["code"].tolist(), batch["user"].tolist(), strict=True)) == [(-7, b"")] * 4 + [(1, b"a")] * 4


def test_lists_are_written_and_read(tmp_path):
    table = listed_log()
    table.write_parquet(tmp_path / "log.parquet")
    assert main(["infer", str(tmp_path / "log.parquet"), "--output", str(tmp_path / "schema.json")]) == 0
    given = ["split", str(tmp_path / "log.parquet"), "--schema", str(tmp_path / "schema.json")]
    assert main([*given, "--output", str(tmp_path / "data")]) == 0
    written = [read(tmp_path / "data", name)["request_id"] for name in SPLITS]
    assert sorted(pl.concat(written)) == sorted(table["request_id"])
    assert all((part.value_counts()["count"] == 5).all() for part in written)  # none is parted
    source = open_source(DatasetConfig(name="mine", format="parquet"), tmp_path / "data")
    batch = next(source.raw_batches("test", 5).as_numpy_iterator())
    assert batch["request_id"].tolist() == [written[2][0].encode()] * 5


@pytest.fixture(scope="module")
def requests(tmp_path_factory):
    """A log whose rows of one list differ in the candidate alone, and its proposed schema."""
    folder = tmp_path_factory.mktemp("requests")
    shown = np.arange(600) // 5
    columns = ["request_id", "user_id", "timestamp", "item_id", "price", "tags", "click"]
    table = listed_log().select(columns).with_columns(
        position=pl.int_range(pl.len()) % 5 + 1, hour=pl.Series(shown % 24)
    )  # fmt: skip
    # rows of two lists at one time between each other
    table = table[np.arange(600).reshape(-1, 2, 5).swapaxes(1, 2).ravel()].with_columns(
        timestamp=pl.Series(1_700_000_000 + np.arange(600) // 10)
    )
    table.write_parquet(folder / "log.parquet")
    given = ["infer", str(folder / "log.parquet"), "--request", "request_id", "--output", str(folder / "schema.json")]
    assert main(given) == 0
    return folder


def split_requests(folder, output, *options):
    given = ["split", str(folder / "log.parquet"), "--schema", str(folder / "schema.json"), "--output", str(output)]
    return main([*given, *options])


def test_requests_are_written_and_read(requests, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.own_log.split._ROWS_PER_FILE", 102)
    for name, options in (("rows", ()), ("requests", ("--by-request",))):
        assert split_requests(requests, tmp_path / name, "--history", "seen=item_id,price:5", *options) == 0
    rows, written = (
        open_source(DatasetConfig(name="mine", format="parquet", by_request=False), tmp_path / name)
        for name in ("rows", "requests")
    )
    assert rows.schema == written.schema and written.of_requests and not rows.of_requests
    assert rows.schema.candidate == ("item_id", "price", "tags", "position")
    for name in SPLITS:
        records = read(tmp_path / "requests", name)
        assert records["request_id"].is_unique().all() and (records["position"].list.len() == 5).all()
        assert len(list((tmp_path / "requests").glob(f"{name}-*"))) == len(list((tmp_path / "rows").glob(f"{name}-*")))
        both = []
        for source in (rows, written):
            (batch,) = source.raw_batches(name, 1000).as_numpy_iterator()
            order = np.lexsort((batch["position"], batch["request_id"]))
            both.append({column: values[order] for column, values in batch.items()})
        for column, values in both[0].items():
            np.testing.assert_array_equal(values, both[1][column], err_msg=column)


def test_what_cannot_be_written_by_request(requests, log, tmp_path, capsys):
    assert split(log, tmp_path / "data", "--by-request") == 2
    assert "does not say which rows are of one request" in capsys.readouterr().err
    schema = json.loads((requests / "schema.json").read_text())
    (tmp_path / "schema.json").write_text(json.dumps(schema | {"candidate": ["item_id", "tags", "position"]}))
    given = ["split", str(requests / "log.parquet"), "--schema", str(tmp_path / "schema.json"), "--by-request"]
    assert main([*given, "--output", str(tmp_path / "data")]) == 2
    assert re.search(r"column 'price' differs within request 'r\w{8}': [\d.]+ and [\d.]+", capsys.readouterr().err)
    assert not (tmp_path / "data").exists()


def edited(log, **changes):
    schema = json.loads((log[0] / "schema.json").read_text()) | changes
    (log[0] / "edited.json").write_text(json.dumps(schema))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--fractions", "0.8,0.2"], "--fractions must be three positive numbers that add up to 1"),
        (["--fractions", "a,b,c"], "--fractions takes three numbers"),
        (["--fractions", "0.9999,0.00005,0.00005"], "would be empty"),
        (["--time", "when"], "--time 'when' is no column"),
        (["--history", "viewed=item_id"], "the schema has a sequence of this name with other fields"),
        (["--history", "seen=prices"], "'prices' must be a feature of the schema, with one value per row"),
        (["--history", "seen=item_id,seconds_ago", "--time", "hour"], "seconds_ago needs a time that counts seconds"),
        (["--history", "seen=tags"], "'tags' must be a feature of the schema, with one value per row"),
        (["--history", "seen=item_id", "--history-where", "hour"], "--history-where must be a label of the schema"),
        (["--history", "seen=item_id", "--history", "seen=category"], "needs a name of its own"),
        (["--history-where", "click"], "there is no --history for click"),
        (["--history", "seen=item_id", "--history-where", "sen=click"], "there is no --history for sen"),
    ],
)
def test_options_that_do_not_fit(log, tmp_path, capsys, options, message):
    assert split(log, tmp_path / "data", *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([{"kind": "numeric", "name": "prize"}], "the schema's column 'prize' is not in the log"),
        ([{"kind": "numeric", "name": "category"}], "column `category` must hold a number, as the schema says."),
        ([{"kind": "categorical", "name": "price", "dtype": "int64"}], "column `price` must hold a whole number"),
        ([{"kind": "categorical", "name": "prise", "dtyp": "int64"}], "dtyp"),
    ],
)
def test_schemas_that_do_not_fit(log, tmp_path, capsys, features, message):
    edited(log, features=features, sequences=[])
    assert split(log, tmp_path / "data", schema="edited.json") == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_unequal_lengths_name_the_row(log, tmp_path, capsys):
    fields = [{"name": "item_id", "dtype": "int64"}, {"name": "searches"}]
    edited(log, sequences=[{"name": "viewed", "fields": fields}])
    assert split(log, tmp_path / "data", schema="edited.json") == 2
    assert re.search(r"viewed_item_id and viewed_searches must hold as many .* in row \d+", capsys.readouterr().err)


def test_nothing_is_half_written(log, tmp_path, capsys, monkeypatch):
    import pipelines.own_log.split as module

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.pq, "write_table", full)
    assert split(log, tmp_path / "data") == 2
    assert "cannot write" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert split(log, tmp_path / "data") == 0
    assert split(log, tmp_path / "data") == 2
    assert "exists already" in capsys.readouterr().err


# Round trip


def config_file():
    from importlib.resources import files

    return str(files("pipelines.configs").joinpath("own_log.yaml"))


def test_the_configuration_names_no_feature():
    config = load_config(config_file())
    assert config.dataset == DatasetConfig(name="own_log", format="parquet")


@pytest.mark.usefixtures("nothing_exported_or_drawn")
def test_trains(log, tmp_path):
    assert split(log, tmp_path / "data", "--history", "seen=item_id,click:5") == 0
    settings = [part for setting in TINY for part in ("--set", setting)]
    given = ["--config", config_file(), "--data-dir", str(tmp_path / "data"), "--output", str(tmp_path / "run")]
    assert train.main([*given, *settings]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["training_examples"] == read(tmp_path / "data", "train").height


# Other cuts than shares


def test_cuts_at_given_times(log, tmp_path):
    times = log[1]["timestamp"].sort()
    first, second = int(times[300]), int(times[450])
    assert split(log, tmp_path / "out", "--at", f"{first},{second}") == 0
    found = {name: read(tmp_path / "out", name)["timestamp"] for name in SPLITS}
    assert found["train"].max() < first <= found["validation"].min() < second <= found["test"].min()
    assert found["validation"].max() < second
    assert sum(part.len() for part in found.values()) == 600


def test_cuts_at_moments():
    days = pl.Series("day", pl.datetime_range(dt.datetime(2024, 5, 1), dt.datetime(2024, 5, 9), "1d", eager=True))
    assert moment_in(days, "2024-05-03", "--at") == dt.datetime(2024, 5, 3)
    for unit in (1, 1000, 1_000_000_000):
        epoch = days.dt.epoch("s") * unit
        assert moment_in(epoch, "2024-05-03", "--at") == epoch[2]


@pytest.mark.parametrize("last", [1, 2])
def test_the_last_moments_of_each_group_are_held_back(log, tmp_path, last):
    assert split(log, tmp_path / "out", "--last", str(last)) == 0
    parts = pl.concat(read(tmp_path / "out", name).with_columns(split=pl.lit(name)) for name in SPLITS)
    assert parts.height == 600
    for (_,), rows in parts.group_by("user_id"):
        moments = sorted(rows["timestamp"].unique())
        held = moments[-last:], moments[-2 * last : -last]
        if len(moments) < 3 * last:
            held = [], []
        for row in rows.iter_rows(named=True):
            expected = (
                "test" if row["timestamp"] in held[0] else "validation" if row["timestamp"] in held[1] else "train"
            )
            assert row["split"] == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--at", "5"], "--at takes two times"),
        (["--at", "soon,later"], "--at takes times as `timestamp` holds them, such as 1700"),
        (["--at", "1700000300,1700000200"], "test must begin after validation"),
        (["--at", "1,2"], "the split train, validation would be empty: `timestamp` goes from 1700"),
        (["--last", "0"], "--last must be at least 1. Received: 0"),
        (["--last", "900"], "the split validation, test would be empty: no `user_id` has 2700 moments"),
        (["--last", "1", "--random"], "--at, --last and --random exclude each other"),
        (["--history", "seen=item_id", "--history-by", "nobody"], "--history-by 'nobody' is no column of the log"),
        (["--history-by", "hour"], "--history-by: there is no --history for hour"),
        (["--history", "seen=item_id", "--history-by", "request_id"],
         "--history seen is empty in every row: no row of one `request_id` is later than an event"),
    ],
)  # fmt: skip
def test_cuts_and_owners_that_do_not_fit(log, tmp_path, capsys, options, message):
    assert split(log, tmp_path / "out", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_owner_of_a_history_need_not_be_the_group(log, tmp_path):
    options = ["--history", "seen=item_id:3", "--history-by", "category"]
    assert split(log, tmp_path / "out", *options) == 0
    rows = log[1].sort("timestamp").to_dicts()
    for row in read(tmp_path / "out", "test").iter_rows(named=True):
        earlier = [r["item_id"] for r in rows if r["category"] == row["category"] and r["timestamp"] < row["timestamp"]]
        assert row["seen_item_id"] == earlier[-3:]


def test_a_history_that_is_empty_everywhere_is_an_error():
    frame = pl.DataFrame(
        {"hour": [1, 2], "click": [0, 1], "seen_hour": [[], []]}, schema_overrides={"seen_hour": pl.List(pl.Int64)}
    )
    schema = FeatureSchema(
        features=[Categorical("hour", dtype="int64")],
        sequences=[Sequence("seen", fields=[Categorical("hour", dtype="int64", table="hour")])],
        labels=[Label("click")],
    )
    with pytest.raises(DataError, match="sequence 'seen' is empty in every row"):
        examples(frame, schema, set())


def test_an_event_without_a_value_is_an_event_as_text_too(tmp_path):
    """A cell of one empty value looks like a cell of none."""
    lines = ["hour,seen_item,seen_action,click"]
    for row in range(60):
        cells = [("", "search"), ("|7", "view|view"), ("", ""), ("3|4|5", "view|cart|view"), ("9|3", "cart|view")]
        lines.append(f"{row % 7},{','.join(cells[row % 5])},{row // 5 % 2}")
    (tmp_path / "log.csv").write_text("\n".join(lines))
    assert main(["infer", str(tmp_path / "log.csv"), "--output", str(tmp_path / "schema.json")]) == 0
    schema = FeatureSchema.from_json(tmp_path / "schema.json")
    assert [(s.name, [f.name for f in s.fields]) for s in schema.sequences] == [("seen", ["item", "action"])]
    assert split((tmp_path, None), tmp_path / "out", "--random") == 0
    events = set(
        zip(*(map(tuple, read(tmp_path / "out", "train")[f"seen_{name}"]) for name in ("item", "action")), strict=True)
    )
    assert events == {
        ((-1,), ("search",)),
        ((-1, 7), ("view", "view")),
        ((), ()),
        ((3, 4, 5), ("view", "cart", "view")),
        ((9, 3), ("cart", "view")),
    }
