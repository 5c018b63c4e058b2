"""trivago on small made sessions, worked out by hand or by plain loops, and on a file of the challenge."""

import math
import random
from collections import defaultdict

import numpy as np
import polars as pl
import pytest
import tensorflow as tf

from pipelines.ablate import variants_of
from pipelines.datasets.tables import DataError
from pipelines.datasets.trivago import Trivago, schema
from pipelines.datasets.trivago.features import Examples
from pipelines.datasets.trivago.raw import ACTIONS, ASKING, ON_ITEM, find_file, read_events
from tests.pipelines.datasets.benchmark_case import CONFIGS, examples, prepare, score_by_config

NOON = 1_541_592_000  # of 7 November 2018, UTC
IMAGE, INFO, CLICK, FILTER = "interaction item image", "interaction item info", "clickout item", "filter selection"
COLUMNS = (
    *("user_id", "session_id", "timestamp", "step", "action_type", "reference", "platform", "city", "device"),
    *("current_filters", "impressions", "prices"),
)


def event(user, session, second, step, action, reference, **other):
    words = {"platform": "DE", "city": "Rome, Italy", "device": "mobile"}
    values = dict.fromkeys(COLUMNS) | words | {"user_id": user, "session_id": session, "step": step}
    return values | {"timestamp": NOON + second, "action_type": action, "reference": str(reference)} | other


def click(user, session, second, step, item, shown, prices=None, **other):
    prices = [100 + 10 * place for place in range(len(shown))] if prices is None else prices
    lists = {"impressions": "|".join(map(str, shown)), "prices": "|".join(map(str, prices))}
    return event(user, session, second, step, CLICK, item, **(lists | other))


def write(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows, schema_overrides={"current_filters": pl.String}).write_csv(folder / "train.csv")
    return folder


def table(folder, rows, strict=False):
    made = Examples(read_events(find_file(write(folder, rows))), strict)
    return pl.concat(made.tables(0, len(made.lists.row)))


def made_log(count=700, users=8, items=12, seconds=250, seed=0):
    """Sessions that overlap, with several events in one second, and steps that hardly ever repeat."""
    draw = random.Random(seed)
    rows, steps = [], {}
    for second in sorted(draw.randrange(seconds) for _ in range(count)):
        user = draw.randrange(users)
        session = f"s{user}_{draw.randrange(3)}"
        steps[session] = steps.get(session, 0) + 1
        place = (f"u{user}", session, second, steps[session])
        shown = draw.sample(range(items), draw.randrange(1, 6))
        if draw.random() < 0.3:
            item = draw.choice([*shown, *shown, *shown, 99])
            rows.append(click(*place, item, shown, [draw.randrange(50, 500) for _ in shown]))
        else:
            rows.append(event(*place, draw.choice([*ACTIONS[:5], *ASKING]), draw.choice([*range(items), "unknown"])))
    return rows


# By hand

HAND = [
    event("a", "s1", 0, 1, "search for destination", "Rome, Italy"),
    event("a", "s1", 5, 2, IMAGE, 11),
    event("a", "s1", 5, 3, IMAGE, 11),
    event("a", "s1", 9, 4, INFO, 13),
    click("a", "s1", 20, 5, 13, [11, 12, 13, 14], [100, 50, 50, 400]),
    event("a", "s1", 20, 6, FILTER, "Hotel", current_filters="Hotel"),
    click("a", "s1", 30, 7, 14, [11, 13, 14], current_filters="Sort by Price|Hotel|5 Star"),
    # Another session of the same second is not seen, whatever its steps.
    event("a", "s2", 30, 1, IMAGE, 14),
    click("a", "s2", 30, 2, 11, [11]),
    # On an item that was not shown, and on none: events, and no examples.
    click("b", "s3", 40, 1, 99, [11, 12]),
    click("b", "s3", 41, 2, "unknown", [11, 12]),
    click("b", "s3", 3600, 3, 12, [11, 12]),
]


def by_item(made):
    return {(r["request_id"], r["item_id"]): r for r in made.iter_rows(named=True)}


@pytest.fixture(scope="module")
def hand(tmp_path_factory):
    return by_item(table(tmp_path_factory.mktemp("hand"), HAND))


def test_rows_by_hand(hand):
    shown = [("s1_5", 11), ("s1_5", 12), ("s1_5", 13), ("s1_5", 14), ("s1_7", 11), ("s1_7", 13), ("s1_7", 14)]
    assert list(hand) == [*shown, ("s2_2", 11), ("s3_3", 11), ("s3_3", 12)]
    clicked = [key for key, row in hand.items() if row["clicked"]]
    assert clicked == [("s1_5", 13), ("s1_7", 14), ("s2_2", 11), ("s3_3", 12)]
    assert [hand[key]["position"] for key in shown] == [1, 2, 3, 4, 1, 2, 3]
    assert hand["s1_5", 13]["timestamp"] == NOON + 20 and hand["s1_5", 13]["user_id"] == "a"


def test_context_and_prices_by_hand(hand):
    row = hand["s1_7", 13]
    assert (row["platform"], row["city"], row["device"], row["hour"]) == ("DE", "Rome, Italy", "mobile", 12)
    assert (row["sort_order"], row["filters"], row["filter_count"]) == ("Sort by Price", ["Hotel", "5 Star"], 2)
    first = [hand["s1_5", item] for item in (11, 12, 13, 14)]
    assert (first[0]["sort_order"], first[0]["filters"], first[0]["filter_count"]) == ("", [], 0)
    assert [r["price"] for r in first] == [100, 50, 50, 400] and {r["list_length"] for r in first} == {4}
    assert [r["price_rank"] for r in first] == [3, 1, 1, 4]
    assert [r["price_to_min"] for r in first] == pytest.approx([math.log(101 / 51), 0, 0, math.log(401 / 51)])
    assert [r["price_to_mean"] for r in first] == pytest.approx([math.log((1 + p) / 151) for p in (100, 50, 50, 400)])
    assert [r["position_number"] for r in first] == [1, 2, 3, 4]
    assert hand["s3_3", 11]["hour"] == 13


def test_histories_by_hand(hand):
    first, second = hand["s1_5", 12], hand["s1_7", 11]
    assert first["history_item_id"] == [-1, 11, 11, 13]
    assert first["history_action"] == ["search for destination", IMAGE, IMAGE, INFO]
    assert first["history_age"] == [int(math.log2(1 + age)) for age in (20, 15, 15, 11)]
    assert second["history_item_id"] == [-1, 11, 11, 13, 13, -1]
    # Of the other session, what is of an earlier second; of the same second, what is of the same session.
    other = hand["s2_2", 11]
    assert other["history_item_id"] == [-1, 11, 11, 13, 13, -1, 14]
    assert other["history_session"] == [0] * 6 + [1]
    assert hand["s3_3", 11]["history_item_id"] == [99, -1]


def test_made_numbers_by_hand(hand):
    row = hand["s1_7", 11]
    assert (row["touched_image"], row["touched_info"], row["touched_clickout"]) == (2, 0, 0)
    assert (row["touched_seconds_ago"], row["touched_events_ago"], row["touched_in_session"]) == (25, 3, 1)
    assert (row["is_last_touched"], row["is_last_clicked"], row["items_touched_since"]) == (0, 0, 1)
    assert (row["places_from_last_touched"], row["places_from_last_clicked"]) == (-1, -1)
    assert row["session_share"] == pytest.approx(2 / 6)
    assert (row["items_touched"], row["history_events"], row["session_events"], row["step"]) == (2, 6, 6, 7)
    assert row["touch_share"] == pytest.approx(2 / 4)
    assert (row["last_touched_position"], row["last_touched_count"]) == (2, 2)
    assert (row["list_touched_seconds_ago"], row["list_touched_events_ago"]) == (10, 1)
    assert row["seconds_since_event"] == 10
    last = hand["s1_7", 13]
    assert (last["touched_info"], last["touched_clickout"], last["touched_events_ago"]) == (1, 1, 1)
    assert (last["is_last_touched"], last["is_last_clicked"], last["items_touched_since"]) == (1, 1, 0)
    never = hand["s1_7", 14]
    assert never["touched_image"] == never["touched_in_session"] == never["session_share"] == 0
    assert math.isnan(never["touched_seconds_ago"]) and math.isnan(never["items_touched_since"])
    assert (never["places_from_last_touched"], never["places_from_last_clicked"]) == (1, 1)
    # Nothing of the list was touched.
    none = hand["s3_3", 12]
    assert math.isnan(none["places_from_last_touched"]) and math.isnan(none["list_touched_seconds_ago"])
    assert none["seconds_since_event"] == 3559 and none["touch_share"] == 0
    assert (none["items_touched"], none["history_events"]) == (0, 2)
    # Touched in another session only.
    assert (hand["s2_2", 11]["touched_image"], hand["s2_2", 11]["touched_in_session"]) == (2, 0)


def test_popularity_by_hand(hand):
    columns = ("item_impressions", "item_clicks", "item_interactions")
    # Of its own user nothing is counted.
    assert [hand["s1_7", 11][name] for name in columns] == [0, 0, 0]
    # To user b, user a has shown 11 three times, clicked it once and looked at two of its images.
    assert [hand["s3_3", 11][name] for name in columns] == [3, 1, 2]
    assert [hand["s3_3", 12][name] for name in columns] == [1, 0, 0]
    # Before the last one: 6 lists with 12 items in all, clicked on 13, 14, 11, 99 (and once on no item).
    assert hand["s3_3", 11]["item_click_rate"] == pytest.approx((1 + 20 * 4 / 12) / (3 + 20))
    assert math.isnan(hand["s1_5", 11]["item_click_rate"])


def test_strict_sees_what_was_before_the_list_was_asked_for(tmp_path):
    made = by_item(table(tmp_path, HAND, strict=True))
    first, second = made["s1_5", 13], made["s1_7", 13]
    # The search is the session's first event, and nothing before it.
    assert first["history_action"] == ["search for destination"] and first["history_age"] == [0]
    assert (first["touched_info"], first["session_events"], first["step"]) == (0, 1, 1)
    # Up to the filter, that included; at its moment.
    assert second["history_item_id"] == [-1, 11, 11, 13, 13, -1]
    assert second["history_age"] == [int(math.log2(1 + age)) for age in (20, 15, 15, 11, 0, 0)]
    assert (second["step"], second["session_events"], second["touched_seconds_ago"]) == (6, 6, 0)
    # Sessions that asked for nothing: other sessions alone, as of the first event.
    assert made["s2_2", 11]["history_item_id"] == [-1, 11, 11, 13, 13, -1]
    assert made["s2_2", 11]["session_events"] == 0
    none = made["s3_3", 12]
    assert none["history_item_id"] == [] and none["history_events"] == none["session_share"] == 0
    assert none["hour"] == 12 and none["timestamp"] == NOON + 3600
    assert none["item_impressions"] == 1


def test_a_search_for_an_item_asks_for_a_list_and_touches_the_item(tmp_path):
    rows = [
        event("a", "s", 0, 1, IMAGE, 7),
        event("a", "s", 1, 2, "search for item", 5),
        click("a", "s", 9, 3, 5, [4, 5]),
    ]
    made = by_item(table(tmp_path, rows, strict=True))
    assert made["s_3", 5]["touched_search"] == 1 and made["s_3", 5]["is_last_touched"] == 1
    assert made["s_3", 4]["history_item_id"] == [7, 5]


def test_repeats_and_a_session_that_restarts(tmp_path):
    rows = [
        event("a", "s", 0, 1, IMAGE, 4),
        event("a", "s", 0, 1, IMAGE, 4),
        click("a", "s", 10, 2, 4, [4, 5]),
        click("a", "s", 20, 2, 5, [4, 5]),
    ]
    made = table(tmp_path, rows)
    assert made["request_id"].to_list() == ["s_2", "s_2", "s_2_2", "s_2_2"]
    assert made["history_item_id"].list.len().to_list() == [1, 1, 2, 2]


def test_histories_keep_the_last_50(tmp_path):
    rows = [event("a", "s", i // 3, i + 1, IMAGE, i) for i in range(70)] + [click("a", "s", 30, 71, 5, [5, 69])]
    made = table(tmp_path, rows)
    assert made["history_item_id"][0].to_list() == list(range(20, 70))
    assert (made["history_events"][0], made["session_events"][0], made["touched_image"].to_list()) == (50, 70, [0, 1])


# By plain loops


def earlier(one, other):
    if one["session_id"] == other["session_id"]:
        return (one["timestamp"], one["step"]) < (other["timestamp"], other["step"])
    return one["timestamp"] < other["timestamp"]


def known(rows, clicked, strict):
    """The events that a click-out may see, oldest first, and the moment, by the rules of the package's docstring."""
    own = [row for row in rows if row["user_id"] == clicked["user_id"]]
    seen, now = [row for row in own if earlier(row, clicked)], clicked["timestamp"]
    if strict:
        asked = [r for r in seen if r["session_id"] == clicked["session_id"] and r["action_type"] in ASKING]
        session = [r for r in own if r["session_id"] == clicked["session_id"]]
        moment = max(asked, key=lambda r: (r["timestamp"], r["step"])) if asked else None
        begun = min(session, key=lambda r: (r["timestamp"], r["step"]))
        seen = [r for r in own if earlier(r, moment or begun) or r is moment]
        now = (moment or begun)["timestamp"]
    return sorted(seen, key=lambda r: (r["timestamp"], r["session_id"], r["step"])), now


def item_of(row):
    on_item = row["action_type"] in ON_ITEM.values() and row["reference"].isdigit()
    return int(row["reference"]) if on_item else -1


def happened(rows):
    """Impressions, click-outs and interactions of each item: its moments and users."""
    found = defaultdict(lambda: ([], [], []))
    for row in rows:
        for item in filter(None, (row["impressions"] or "").split("|")):
            found[int(item)][0].append((row["timestamp"], row["user_id"]))
        found[item_of(row)][1 if row["action_type"] == CLICK else 2].append((row["timestamp"], row["user_id"]))
    return found


def check(rows, made, strict, lists):
    """Compares the rows of some click-outs with what the loops find."""
    of_items = happened(rows)
    clicks = {f"{r['session_id']}_{r['step']}": r for r in rows if r["action_type"] == CLICK}
    for request in lists:
        part = made.filter(request_id=request)
        clicked = clicks[request]
        before, now = known(rows, clicked, strict)
        latest = before[-50:]
        for row in part.iter_rows(named=True):
            assert row["history_item_id"] == [item_of(r) for r in latest]
            assert row["history_action"] == [r["action_type"] for r in latest]
            assert row["history_age"] == [int(math.log2(1 + now - r["timestamp"])) for r in latest]
            assert row["history_session"] == [int(r["session_id"] == clicked["session_id"]) for r in latest]
            counts = [row[name] for name in ("item_impressions", "item_clicks", "item_interactions")]
            others = [[m for m in part if m[0] < now and m[1] != row["user_id"]] for part in of_items[row["item_id"]]]
            assert counts == [len(part) for part in others]
            touches = [place for place, r in enumerate(latest) if item_of(r) == row["item_id"]]
            for kind, action in ON_ITEM.items():
                count = sum(latest[place]["action_type"] == action for place in touches)
                assert row[f"touched_{kind}"] == count
            if touches:
                assert row["touched_events_ago"] == len(latest) - 1 - touches[-1]
                assert row["touched_seconds_ago"] == now - latest[touches[-1]]["timestamp"]
                since = {item_of(r) for r in latest[touches[-1] + 1 :]} & set(part["item_id"])
                assert row["items_touched_since"] == len(since) and row["is_last_touched"] == (not since)
            own = sum(r["session_id"] == clicked["session_id"] for r in before)
            assert row["session_events"] == own


@pytest.mark.parametrize("strict", [False, True])
def test_rows_are_what_plain_loops_find(tmp_path, strict):
    rows = made_log()
    made = table(tmp_path, rows, strict)
    lists = made["request_id"].unique(maintain_order=True)
    assert len(lists) > 100 and (made["history_item_id"].list.len() == 50).any()
    check(rows, made, strict, lists)


@pytest.mark.parametrize("strict", [False, True])
def test_nothing_looks_ahead(tmp_path, strict):
    rows = made_log()
    before = table(tmp_path, rows, strict)
    for second in (60, 125, 200):
        until = pl.col("timestamp") <= NOON + second
        cut = table(tmp_path, [row for row in rows if row["timestamp"] <= NOON + second], strict)
        assert cut.equals(before.filter(until))
        # What was clicked is not in the rows of the click-out itself.
        flipped = [
            row | {"reference": row["impressions"].split("|")[0]}
            if row["action_type"] == CLICK and row["timestamp"] >= NOON + second and row["reference"] != "99"
            else row
            for row in rows
        ]
        after = table(tmp_path, flipped, strict)
        at_once = pl.col("timestamp") == NOON + second
        own_second = before.filter(at_once).unique("user_id", keep="none", maintain_order=True)
        assert after.filter(pl.col("timestamp") < NOON + second).equals(
            before.filter(pl.col("timestamp") < NOON + second)
        )
        for request in own_second["request_id"]:
            assert (
                after.filter(request_id=request)
                .drop("clicked")
                .equals(before.filter(request_id=request).drop("clicked"))
            )


def test_order_of_the_rows_and_repeats_do_not_matter(tmp_path):
    rows = made_log()
    expected = table(tmp_path, rows)
    random.Random(1).shuffle(rows)
    assert table(tmp_path, [*rows, *rows[:50]]).equals(expected)


# The builder


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    return write(tmp_path_factory.mktemp("manual") / "trivago", made_log(600, users=30, seconds=1000)).parent


@pytest.mark.parametrize("config", ["default", "strict"])
def test_builder_writes_the_splits_in_order(manual, tmp_path, config):
    builder = prepare(Trivago, manual, tmp_path, config)
    made = table(manual / "trivago", made_log(600, users=30, seconds=1000), config == "strict")
    lists = made.unique("request_id", maintain_order=True)["timestamp"]
    bounds = [lists[len(lists) * 7 // 10], lists[len(lists) * 8 // 10]]
    time = pl.col("timestamp")
    expected = {
        "train": made.filter(time < bounds[0]),
        "validation": made.filter(time.is_between(*bounds, closed="left")),
        "test": made.filter(time >= bounds[1]),
    }
    for split, part in expected.items():
        files = [str(path) for path in builder.info.splits[split].filepaths]
        assert len(files) == 1
        written = examples(builder, split)
        assert len(written) == part.height > 0
        for example, row in zip(written, part.iter_rows(named=True), strict=True):
            assert set(example) == set(row)
            for name, value in row.items():
                read = example[name]
                if isinstance(value, float):
                    assert read == np.float32(value) or (math.isnan(read) and math.isnan(value)), name
                elif isinstance(value, list):
                    assert [v.decode() if isinstance(v, bytes) else v for v in read] == value, name
                else:
                    assert (read.decode() if isinstance(read, bytes) else read) == value, name


def test_click_outs_of_one_second_stay_together(tmp_path):
    rows = [click(f"u{i}", f"s{i}", 10 * min(i, 6), 1, 1, [1, 2]) for i in range(9)]
    rows += [click("v", "t", 100, 1, 1, [1, 2])]
    made = Examples(read_events(find_file(write(tmp_path, rows))))
    # Lists 6, 7 and 8 are of one second: the first of the test split would be 8.
    assert made.bounds() == {"train": (0, 6), "validation": (6, 6), "test": (6, 10)}
    with pytest.raises(DataError, match=r"click-outs .* for the split `validation`. Received: 10 in all"):
        prepare(Trivago, tmp_path, tmp_path / "prepared")


def test_model_of_the_configuration_scores(manual, tmp_path):
    assert score_by_config("trivago.yaml", manual, tmp_path)["clicked"].shape == (3,)


def test_every_control_of_the_history_makes_a_model(manual, tmp_path):
    file = CONFIGS / "ablations" / "history.yaml"
    _, controls = variants_of([str(CONFIGS / "trivago.yaml")], None, str(file), ["training.jit_compile=false"])
    assert len({control.settings for control in controls}) == len(controls) > 4
    for control in controls:
        assert score_by_config("trivago.yaml", manual, tmp_path, control.settings)["clicked"].shape == (3,), (
            control.name
        )


def test_examples_parse_by_batch(manual, tmp_path):
    builder = prepare(Trivago, manual, tmp_path)
    files = [str(path) for path in builder.info.splits["test"].filepaths]
    serialized = next(iter(tf.data.TFRecordDataset(files).batch(10_000)))
    for features in ("raw", "made"):
        declared = schema(features=features)
        batch = declared.parse_examples(serialized)
        assert set(batch) == set(declared.signature(labels=True))
        assert declared.learn([{name: value.numpy() for name, value in batch.items()}]).is_learned


def test_schema():
    raw, made = schema(labels=["clicked"]), schema(features="made")
    assert raw.group == "user_id" and not {"user_id", "session_id", "request_id"} & {f.name for f in made.features}
    added = {f.name for f in made.features} - {f.name for f in raw.features}
    assert len(added) == 25 and set(made.candidate) - set(raw.candidate) < added
    assert raw.sequences == made.sequences and raw.sequences[0].max_length == 50
    with pytest.raises(ValueError, match=r"`features` must be 'raw' or 'made'. Received: 'all'"):
        schema(features="all")


# Files


def test_parquet_with_a_compression_in_its_name(tmp_path):
    rows = made_log(200)
    expected = table(tmp_path / "csv", rows)
    types = {"timestamp": pl.Int64, "step": pl.Int64, "current_filters": pl.String}
    pl.DataFrame(rows, schema_overrides=types).write_parquet(tmp_path / "sessions.parquet.snappy", compression="snappy")
    made = Examples(read_events(find_file(tmp_path)))
    assert pl.concat(made.tables(0, len(made.lists.row))).equals(expected)


def test_files_that_are_looked_for(tmp_path):
    with pytest.raises(
        DataError, match=r"Looked for: .*/train.csv, .*\.parquet\*, .*trivago/train.csv.* with an account"
    ):
        find_file(tmp_path)
    with pytest.raises(DataError, match=r"(?s)There is no folder with a session file of trivago.*recsys.trivago.cloud"):
        prepare(Trivago, tmp_path / "nowhere", tmp_path / "prepared")
    for name in ("a.parquet", "b.parquet.snappy"):
        (tmp_path / name).write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"must hold one session file: .* Received: a.parquet, b.parquet.snappy"):
        find_file(tmp_path)
    assert find_file(write(tmp_path, HAND)).name == "train.csv"
    (tmp_path / "test.csv").touch()
    assert find_file(tmp_path).name == "train.csv"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": 0}, r"session s1, step 0: column `step` must hold the place in the session, from 1. Received: 0"),
        ({"timestamp": NOON * 1000}, r"column `timestamp` must hold seconds since 1970. Received: 1541592000000"),
        ({"timestamp": "noon"}, r"line 2: column `timestamp` must hold Int64. Received: 'noon'"),
        ({"action_type": "look"}, r"`action_type` must hold one of interaction item image, .*. Received: 'look'"),
        ({"user_id": None}, r"line 2: column `user_id` must not be empty"),
        ({"impressions": None}, r"column `impressions` must hold whole numbers joined by | in every click-out"),
        ({"impressions": "1|x"}, r"column `impressions` must hold whole numbers .*. Received: '1\|x'"),
        ({"prices": "1|2.5"}, r"column `prices` must hold whole numbers joined .*. Received: '1\|2.5'"),
        ({"prices": "1"}, r"column `prices` must hold one price per item of `impressions`. Received: \[1\]"),
        ({"impressions": "4|4"}, r"column `impressions` must hold each item once. Received: \[4, 4\]"),
    ],
)
def test_broken_files(tmp_path, change, message):
    path = find_file(write(tmp_path, [click("a", "s1", 0, 1, 1, [1, 2]) | change]))
    with pytest.raises(DataError, match=rf"train.csv`.*{message}"):
        read_events(path)


def test_a_file_without_a_column(tmp_path):
    path = write(tmp_path, [{k: v for k, v in row.items() if k != "prices"} for row in HAND]) / "train.csv"
    with pytest.raises(DataError, match=r"train.csv` must have the column 'prices'. Received: "):
        read_events(path)


# A file of the challenge


@pytest.fixture(scope="module", params=[False, True], ids=["default", "strict"])
def published(request, data_dir):
    if not (data_dir / "trivago" / "trivago_val_100k.parquet.snappy").is_file():
        pytest.skip("needs the first 100,000 rows of a session file in TF_INTERFORMER_DATA/trivago")
    events = read_events(find_file(data_dir))
    made = Examples(events, request.param)
    splits = {split: pl.concat(made.tables(*bound)) for split, bound in made.bounds().items()}
    return request.param, events, splits


def test_published_counts(published):
    _, events, splits = published
    assert events.height == 100_003
    assert [part.height for part in splits.values()] == [218_210, 31_816, 62_488]
    assert [part["request_id"].n_unique() for part in splits.values()] == [9_516, 1_360, 2_720]
    assert splits["validation"]["timestamp"][0] == 1_541_677_004 and splits["test"]["timestamp"][0] == 1_541_691_217
    made = pl.concat(splits.values())
    assert made["item_id"].n_unique() == 106_852 and made["clicked"].mean() == pytest.approx(0.04351, abs=5e-6)
    assert made["clicked"].sum() == made["request_id"].n_unique()
    assert sum(made.null_count().row(0)) == 0
    assert made["history_age"].explode().max() <= 17
    for feature in schema(features="made").numerics:
        assert not made[feature.name].is_infinite().any(), feature.name


def test_published_floors(published):
    """What rules of one line reach on the test split."""
    from tf_interformer.metrics import auc

    strict, _, splits = published
    test = splits["test"]
    label, position = test["clicked"].to_numpy(), test["position"].to_numpy()
    assert auc(label, -position) == pytest.approx(0.7604, abs=5e-5)
    assert auc(label, -test["price_rank"].to_numpy()) == pytest.approx(0.6157, abs=5e-5)
    touched = auc(label, 100 * test["touched_in_session"].to_numpy() - position)
    last = auc(label, 100 * test["is_last_touched"].to_numpy() - position)
    assert (touched, last) == pytest.approx((0.7634, 0.7638) if strict else (0.8252, 0.8316), abs=5e-5)


def test_published_rows_are_what_plain_loops_find(published):
    strict, events, splits = published
    lists = [pl.col(name).cast(pl.List(pl.String)).list.join("|") for name in ("impressions", "prices")]
    rows = events.with_columns(lists).to_dicts()
    drawn = random.Random(0).sample(splits["test"]["request_id"].unique().sort().to_list(), 200)
    check(rows, splits["test"], strict, drawn)
