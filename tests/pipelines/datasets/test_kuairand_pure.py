"""KuaiRand-Pure on small made files, worked out by hand, and on the published ones."""

import io
import logging
import math
import os
import random
import tarfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from pipelines.config import DatasetConfig
from pipelines.datasets.kuairand_pure import KuairandPure, KuairandPureConfig, schema
from pipelines.datasets.kuairand_pure.builder import URL, published_folder
from pipelines.datasets.kuairand_pure.features import build_table
from pipelines.datasets.kuairand_pure.history import age_buckets
from pipelines.datasets.kuairand_pure.raw import SEQUENCES, USER_CODES, find_folder, read_tables
from pipelines.datasets.tables import DataError
from pipelines.input import open_source

OUTCOMES = ("is_click", "is_like", "long_view")
LOG = "log_standard_4_22_to_5_08_pure.csv"
# As published, so that columns which are not needed are there too.
LOG_COLUMNS = (
    *("user_id", "video_id", "date", "hourmin", "time_ms", "is_click", "is_like", "is_follow", "is_comment"),
    *("is_forward", "is_hate", "long_view", "play_time_ms", "duration_ms", "profile_stay_time"),
    *("comment_stay_time", "is_profile_enter", "is_rand", "tab"),
)
MIDNIGHT = 1_650_816_000_000  # of 25 April 2022 in China
DAY = 86_400_000
VIDEO_COLUMNS = (
    "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,server_height,"
    "music_id,music_type,tag"
)
VIDEOS = f"""{VIDEO_COLUMNS}
10,100,NORMAL,2022-04-10,Web,0.0,20000.0,720.0,1280.0,1,9.0,"7,8"
11,100,AD,2022-04-09,Kmovie,0.0,0.0,720.0,1280.0,2,9.0,7
12,101,NORMAL,2022-04-11,Web,0.0,,0.0,0.0,0,,
"""
USER_COLUMNS = (
    "user_id,user_active_degree,is_lowactive_period,is_live_streamer,is_video_author,follow_user_num,"
    "follow_user_num_range,fans_user_num,fans_user_num_range,friend_user_num,friend_user_num_range,register_days,"
    "register_days_range," + ",".join(f"onehot_feat{i}" for i in range(18))
)
USERS = f"""{USER_COLUMNS}
1,full_active,0,-124,1,500,500+,3,"[1,10)",0,0,300,181-365,1,2,3,4,5.0{",0" * 13}
2,,0,1,0,,0,0,0,0,0,20,15-30,0,2,3,4,{",0" * 13}
"""


def row(user, video, day, minute, click=0, long=0, like=0, tab=1, **other):
    """One impression, `day` days after 25 April."""
    date = 20220425 + day if day <= 5 else 20220501 + day - 6
    values = dict.fromkeys(LOG_COLUMNS, 0) | {
        "user_id": user,
        "video_id": video,
        "date": date,
        "hourmin": minute // 60 * 100,
        "time_ms": MIDNIGHT + day * DAY + minute * 60_000,
        "is_click": click,
        "long_view": long,
        "is_like": like,
        "tab": tab,
    }
    return values | other


def write(folder: Path, rows, sequences=None, videos=VIDEOS, users=USERS) -> Path:
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows).write_csv(data / LOG)
    (data / "user_features_pure.csv").write_text(users)
    (data / "video_features_basic_pure.csv").write_text(videos)
    if sequences is not None:
        columns = ("user_id", "history_len", "last_time_ms", "watch_seq", "long_watch_seq", "like_seq")
        types = dict.fromkeys(columns[:3], pl.Int64) | dict.fromkeys(columns[3:], pl.List(pl.Int64))
        pl.DataFrame(sequences, schema=types, orient="row").write_parquet(folder / SEQUENCES)
    return folder


def table(folder: Path, *args, features="made", **kwargs) -> pl.DataFrame:
    return build_table(read_tables(find_folder(write(folder, *args, **kwargs))), features=features)


HAND = [
    row(1, 10, 0, 10, click=1, long=1, like=1),
    row(1, 11, 0, 20),
    row(2, 10, 0, 30, click=1),
    row(1, 12, 1, 10, click=1, long=1),
    # Two impressions at one time do not see each other.
    row(1, 10, 1, 90, click=1),
    row(1, 11, 1, 90, long=1, tab=2),
    row(2, 10, 2, 600),
]


@pytest.fixture(scope="module")
def hand(tmp_path_factory):
    made = table(tmp_path_factory.mktemp("hand"), HAND)
    return {(r["user_id"], r["date"] - 20220425, r["video_id"]): r for r in made.iter_rows(named=True)}


def test_histories_by_hand(hand):
    assert hand[1, 0, 10]["watched_video_id"] == []
    assert hand[1, 0, 11]["watched_video_id"] == [10]
    assert hand[1, 1, 12]["watched_video_id"] == [10, 11]
    for video in (10, 11):
        assert hand[1, 1, video]["watched_video_id"] == [10, 11, 12]
        assert hand[1, 1, video]["watched_author_id"] == [100, 100, 101]
        assert hand[1, 1, video]["watched_tag"] == [7, 7, -1]
        assert hand[1, 1, video]["long_watched_video_id"] == [10, 12]
        assert hand[1, 1, video]["liked_video_id"] == [10]
    assert hand[2, 2, 10]["watched_video_id"] == [10]
    assert hand[2, 2, 10]["long_watched_video_id"] == []


def test_counts_over_the_history_by_hand(hand):
    seen = hand[1, 1, 10]
    assert (seen["user_event_count"], seen["user_long_watch_count"], seen["user_like_count"]) == (3, 2, 1)
    assert (seen["video_in_watched"], seen["author_in_watched"], seen["tag_in_watched"]) == (1, 2, 2)
    assert (seen["video_in_long_watched"], seen["author_in_long_watched"]) == (1, 1)
    assert seen["user_click_ratio"] == pytest.approx(2 / 3)
    assert seen["user_long_watch_ratio"] == pytest.approx(2 / 3)
    assert seen["user_tag_click_ratio"] == pytest.approx(1 / 2)
    assert seen["user_tab_long_watch_ratio"] == pytest.approx(2 / 3)
    assert math.isnan(hand[1, 1, 11]["user_tab_click_ratio"])  # never on that tab before
    assert math.isnan(hand[1, 1, 12]["user_tag_click_ratio"])  # a video without tags
    assert (seen["tab_in_watched"], hand[1, 1, 11]["tab_in_watched"]) == (3, 0)
    assert (seen["user_click_ratio_last"], hand[1, 1, 12]["user_click_ratio_last"]) == (1, 0)
    assert math.isnan(seen["user_click_ratio_last_hour"])  # the last event was 80 minutes ago
    assert hand[1, 0, 11]["user_long_watch_ratio_last_hour"] == 1
    assert seen["minutes_since_last"] == pytest.approx(80)
    assert (seen["user_events_last_hour"], hand[1, 0, 11]["user_events_last_hour"]) == (0, 1)
    assert seen["user_events_last_day"] == 1  # 80 minutes ago, not the two of 25 hours ago


def test_rates_of_earlier_days_by_hand(hand):
    first = hand[1, 0, 11]
    assert all(math.isnan(first[f"{e}_click_rate"]) for e in ("video", "author", "tag", "tab", "user"))
    assert math.isnan(first["video_share"])
    # On 25 April: 3 impressions, 2 clicks; video 10 had 2 of them and both clicks.
    second = hand[1, 1, 10]
    assert second["video_click_rate"] == pytest.approx((2 + 20 * 2 / 3) / (2 + 20))
    assert second["author_click_rate"] == pytest.approx((2 + 20 * 2 / 3) / (3 + 20))
    assert second["user_long_view_rate"] == pytest.approx((1 + 5 * 1 / 3) / (2 + 5))
    assert second["video_share"] == pytest.approx(10_000 * 2 / 3)
    assert math.isnan(hand[1, 1, 12]["video_click_rate"]) and hand[1, 1, 12]["video_share"] == 0
    assert math.isnan(hand[1, 1, 12]["tag_click_rate"])
    # By 27 April: 6 impressions, 4 clicks; user 2 had one impression, clicked.
    assert hand[2, 2, 10]["user_click_rate"] == pytest.approx((1 + 5 * 4 / 6) / (1 + 5))


def test_columns_of_one_row(hand):
    a = hand[1, 1, 10]
    assert a["tag"] == [7, 8] and a["hour"] == 1 and a["video_age_days"] == 16
    assert a["is_live_streamer"] == -124 and a["onehot_feat4"] == 5 and a["music_type"] == 9
    assert a["video_duration"] == 20 and a["video_aspect"] == pytest.approx(720 / 1280)
    b = hand[2, 0, 10]
    assert b["user_active_degree"] == "" and b["onehot_feat4"] == -1 and math.isnan(b["follow_user_num"])
    assert math.isnan(hand[1, 0, 11]["video_duration"])  # 0
    c = hand[1, 1, 12]
    assert c["tag"] == [] and c["music_type"] == -1
    assert math.isnan(c["video_duration"]) and math.isnan(c["video_aspect"])


def test_video_and_user_without_features(tmp_path):
    made = table(tmp_path, [row(3, 99, 0, 1), row(3, 10, 0, 2)]).sort("time_ms").row(0, named=True)
    assert (made["user_id"], made["video_id"], made["author_id"]) == (3, 99, -1)
    assert made["tag"] == [] and made["upload_type"] == "" and math.isnan(made["video_age_days"])
    assert made["onehot_feat0"] == -1 and math.isnan(made["register_days"])
    assert table(tmp_path, [row(3, 99, 0, 1), row(3, 10, 0, 2)])["watched_author_id"].to_list() == [[], [-1]]


def test_repeated_rows_are_one_impression(tmp_path):
    rows = [row(1, 10, 0, 70, hourmin=100, click=1), row(1, 10, 0, 70, hourmin=200), row(1, 11, 0, 99)]
    for order in (rows, rows[::-1]):
        made = table(tmp_path, order)
        assert made["is_click"].to_list() == [1, 0]
        assert made["watched_video_id"].to_list() == [[], [10]]


def test_histories_keep_the_last_50(tmp_path):
    made = table(tmp_path, [row(1, i, 0, i) for i in range(70)])
    assert made["watched_video_id"].list.len().to_list() == [min(i, 50) for i in range(70)]
    assert made["watched_video_id"].to_list()[-1] == list(range(19, 69))
    assert made["user_event_count"].to_list() == list(range(70))


SEEDS = [(1, 60, MIDNIGHT - 1000, [11, 10, 10, 12], [9, 10, 12], [11]), (2, 1, MIDNIGHT + DAY, [11], [], [])]


def test_table_of_earlier_histories_begins_the_histories(tmp_path):
    made = table(tmp_path, HAND, SEEDS)
    first = made.row(0, named=True)
    assert (first["user_id"], first["watched_video_id"]) == (1, [11, 10, 10, 12])
    assert first["long_watched_video_id"] == [9, 10, 12] and first["liked_video_id"] == [11]
    assert first["user_event_count"] == 60
    assert first["user_long_watch_ratio"] == 0.5 and first["user_like_ratio"] == 0.25
    assert math.isnan(first["user_click_ratio"])  # clicks are not in that table
    # Of its 5 events 2 are long views; both of video 10's events are earlier days', one of them long.
    assert first["video_long_view_rate"] == pytest.approx((1 + 20 * 2 / 5) / (2 + 20))
    assert math.isnan(first["video_click_rate"])
    # User 2's earlier events end on 26 April: the impression of the 25th does not see them.
    second = made.filter(user_id=2)
    assert second["watched_video_id"].to_list() == [[], [10, 11]]
    assert second["user_event_count"].to_list() == [0, 2]


def test_rows_of_the_earlier_days_replace_that_table(tmp_path, caplog):
    early = row(1, 12, 0, 0, date=20220424, time_ms=MIDNIGHT - 5000, click=1)
    with caplog.at_level(logging.INFO):
        made = build_table(read_tables(find_folder(write(tmp_path, [early, *HAND], SEEDS))), first_date=20220425)
    assert "is not needed and is ignored" in caplog.text
    assert made["date"].min() == 20220425
    assert made["watched_video_id"].to_list()[0] == [12]
    assert made["user_click_rate"].to_list()[0] == pytest.approx(1.0)


# The configuration `raw`

MIXED = [
    row(1, 10, 0, 0, play_time_ms=0),
    row(1, 10, 0, 10, click=1, play_time_ms=400, tab=2),  # 2 % of 20 seconds
    row(1, 10, 0, 20, click=1, long=1, play_time_ms=20_000),  # all of it
    row(1, 10, 0, 30, click=1, long=1, like=1, play_time_ms=90_000),  # 90 seconds of 20
    row(1, 11, 0, 31, play_time_ms=500),  # the one before is still played; this one's duration is not known
    row(1, 12, 0, 32, like=1),
    row(1, 12, 2, 32),
]


def test_events_say_what_became_of_them(tmp_path):
    rows = {r["time_ms"]: r for r in table(tmp_path, MIXED, features="raw").iter_rows(named=True)}
    made = {(r["date"] - 20220425, (time - MIDNIGHT) // 60_000 % 1440): r for time, r in rows.items()}
    assert made[0, 0]["watched_video_id"] == made[0, 0]["watched_outcome"] == made[0, 0]["watched_age"] == []
    last = made[2, 32]
    assert last["watched_video_id"] == [10, 10, 10, 10, 11, 12]
    assert last["watched_author_id"] == [100, 100, 100, 100, 100, 101]
    assert last["watched_tag"] == [7, 7, 7, 7, 7, -1]
    assert last["watched_tab"] == [1, 2, 1, 1, 1, 1]
    assert last["watched_outcome"] == [1, 2, 3, 4, 1, 4]
    assert last["watched_watched"] == [1, 2, 8, 9, 0, 0]
    # 600, 1,200, 1,800, 1,860, 1,920 seconds more than two days; all within 2^17 and 2^18 of them.
    assert last["watched_age"] == [18] * 6
    assert made[0, 32]["watched_age"] == [11, 11, 10, 7, 6]  # 1,920, 1,320, 720, 120, 60


def test_what_is_still_played_is_not_known_yet(tmp_path):
    made = table(tmp_path, MIXED, features="raw").sort("time_ms")
    # A minute after it began, 90 seconds of playing are not over; after two minutes they are.
    assert made["watched_outcome"].to_list()[4:6] == [[1, 2, 3, 0], [1, 2, 3, 4, 1]]
    assert made["watched_watched"].to_list()[4:6] == [[1, 2, 8, 0], [1, 2, 8, 9, 0]]
    assert made["watched_video_id"].to_list()[4] == [10, 10, 10, 10]


def test_events_of_the_table_of_earlier_histories(tmp_path):
    made = table(tmp_path, HAND, SEEDS, features="raw")
    first = made.row(0, named=True)
    assert first["watched_video_id"] == [11, 10, 10, 12]
    # The later view of video 10 and that of 12 were long, 11 was liked; of the other it is only known that it was not.
    assert first["watched_outcome"] == [4, 5, 3, 3]
    assert first["watched_watched"] == [0, 0, 0, 0] and first["watched_tab"] == [-1] * 4
    # Ten minutes and a second after the last one; the others have no time of their own.
    assert first["watched_age"] == [0, 0, 0, 10]
    assert made.filter(user_id=2)["watched_age"].to_list() == [[], [18, 17]]


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0, 1), (0.999, 1), (1, 2), (2.999, 2), (3, 3), (1022, 10), (1023, 11), (2**40 - 1, 41)]
)
def test_buckets_of_ages(seconds, bucket):
    assert age_buckets(np.array([int(seconds * 1000)])).tolist() == [bucket]


def test_shares_of_a_video(tmp_path):
    # Of 20 seconds: nothing, then up to 2, 5, 10, 25, 50, 80, 100 percent, then more than all.
    times = [0, 1, 400, 401, 1000, 1001, 2000, 5000, 10_000, 16_000, 16_001, 20_000, 20_001]
    rows = [row(1, 10, 0, i, play_time_ms=time) for i, time in enumerate(times)]
    made = table(tmp_path, [*rows, row(1, 10, 1, 0)], features="raw")
    assert made["watched_watched"].to_list()[-1] == [1, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8, 8, 9]


def test_raw_features_are_of_the_same_impressions(tmp_path):
    rows, videos = made_up_log(), made_up_videos()
    kinds = ("made", "raw", "both")
    made, raw, both = (table(tmp_path, rows, SEEDS, videos=videos, features=kind) for kind in kinds)
    shared = [c for c in made.columns if c in raw.columns]
    assert raw.select(shared).equals(made.select(shared))
    assert {"watched_video_id", "watched_tag", "is_click", "time_ms", "register_days"} < set(shared)
    counted = ("_rate", "_ratio", "_share", "_count", "_in_watched", "_recent", "_last", "_hour", "_day")
    assert not [c for c in raw.columns if c.endswith(counted)]
    assert both.select(raw.columns).equals(raw)
    numbers = [feature.name for feature in schema().numerics]
    assert both.select(numbers).equals(made.select(numbers)) and len(numbers) == 46


def made_up_log(count=400, users=6, videos=15):
    rng = random.Random(0)
    spans = [(rng.randrange(14), rng.randrange(1440)) for _ in range(count)]
    return [
        row(
            rng.randrange(users),
            rng.randrange(videos),
            *span,
            click=rng.randrange(2),
            long=rng.randrange(2),
            like=rng.randrange(2),
            tab=rng.randrange(3),
            play_time_ms=rng.choice([0, 3_000, 30_000, 3_000_000]),
        )
        for span in spans
    ]


def made_up_videos(videos=12):
    lines = [f"{i},{i // 3},NORMAL,2022-04-10,Web,0.0,9000.0,720.0,1280.0,1,9.0,{i % 4}" for i in range(videos)]
    return "\n".join([VIDEO_COLUMNS, *lines]) + "\n"


@pytest.mark.parametrize("kind", ["made", "both"])
def test_order_of_the_rows_does_not_matter(tmp_path, kind):
    rows = made_up_log()
    expected = table(tmp_path, rows, videos=made_up_videos(), features=kind)
    random.Random(1).shuffle(rows)
    assert table(tmp_path, rows, videos=made_up_videos(), features=kind).equals(expected)


@pytest.mark.parametrize("kind", ["made", "both"])
def test_nothing_looks_ahead(tmp_path, kind):
    def features(rows):
        made = table(tmp_path, rows, videos=made_up_videos(), features=kind)
        return made.drop(OUTCOMES)

    rows = made_up_log()
    before = features(rows)
    for place in (40, 150, 333):
        moment = before["time_ms"][place]
        changed = {name: lambda value: 1 - value for name in OUTCOMES} | {"play_time_ms": lambda value: value + 7_000}
        flipped = [
            r if r["time_ms"] < moment else {k: changed[k](v) if k in changed else v for k, v in r.items()}
            for r in rows
        ]
        after = features(flipped)
        assert not after.equals(before)  # later impressions do see the change
        until = pl.col("time_ms") <= moment
        assert after.filter(until).equals(before.filter(until))
        # Nor does what comes later have to be there at all.
        assert features([r for r in rows if r["time_ms"] <= moment]).equals(before.filter(until))


def test_nothing_that_is_still_played_looks_ahead(tmp_path):
    rows = made_up_log()

    def features(rows):
        return table(tmp_path, rows, videos=made_up_videos(), features="raw").drop(OUTCOMES)

    before = features(rows)
    for place in (40, 150, 333):
        moment = before["time_ms"][place]
        # What is over by then stays; of the rest it is not known how it ends.
        open_ended = [
            r
            if r["time_ms"] + r["play_time_ms"] <= moment
            else {k: 1 - v if k in OUTCOMES else v for k, v in r.items()} | {"play_time_ms": 4_000_000}
            for r in rows
        ]
        now = pl.col("time_ms") == moment
        assert features(open_ended).filter(now).equals(before.filter(now))


def test_rates_do_not_see_the_same_day(tmp_path):
    rows = made_up_log()
    day = 20220501
    rates = pl.selectors.ends_with("_rate", "_share")
    before = table(tmp_path, rows, videos=made_up_videos()).filter(date=day).select(rates)
    flipped = [r if r["date"] < day else r | {"is_click": 1 - r["is_click"]} for r in rows]
    assert table(tmp_path, flipped, videos=made_up_videos()).filter(date=day).select(rates).equals(before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"videos": VIDEOS.replace('"7,8"', '"7,x"')}, "column `tag` must hold numbers separated by commas"),
        ({"videos": VIDEOS.replace("2022-04-10", "10/04/22")}, "column `upload_dt` must hold a day"),
        ({"videos": VIDEOS.replace("11,100", "10,100")}, "must hold every id once. Received twice: 10"),
        ({"users": USERS.replace("onehot_feat3", "renamed")}, "must have the column 'onehot_feat3'"),
        ({"users": USERS.replace("5.0", "five")}, "line 2: column `onehot_feat4` must hold Int64. Received: 'five'"),
        ({"rows": [row(1, 10, 0, 1, click=2)]}, "column `is_click` must hold 0 or 1. Received: 2"),
        ({"rows": [row(1, 10, 0, 1, date=20220431)]}, "column `date` must hold a day"),
    ],
)
def test_broken_files(tmp_path, change, message):
    with pytest.raises(DataError, match=message):
        read_tables(find_folder(write(tmp_path, **{"rows": HAND, **change})))


def test_missing_files(tmp_path):
    with pytest.raises(DataError, match=r"There is no log of KuaiRand-Pure. Looked for: .*data/log_standard"):
        find_folder(tmp_path)
    folder = find_folder(write(tmp_path, HAND))
    assert find_folder(folder) == find_folder(folder.parent) == folder
    (folder / "video_features_basic_pure.csv").unlink()
    with pytest.raises(DataError, match=r"There is no file .*video_features_basic_pure.csv"):
        read_tables(folder)


def test_both_published_logs_are_read(tmp_path):
    folder = find_folder(write(tmp_path, HAND))
    early = row(1, 12, 0, 0, date=20220408, time_ms=MIDNIGHT - 17 * DAY)
    pl.DataFrame([early]).write_csv(folder / "log_standard_4_08_to_4_21_pure.csv")
    made = build_table(read_tables(folder), first_date=20220425)
    assert made.height == len(HAND)
    assert made["watched_video_id"].to_list()[0] == [12]


# The builder


def prepare(folder: Path, manual_dir: Path, **options) -> KuairandPure:
    builder = KuairandPure(data_dir=folder / "prepared", **options)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
    return builder


@pytest.mark.parametrize("config", ["by_date", "raw", "both"])
def test_builder_writes_the_table(tmp_path, config):
    manual = write(tmp_path / "manual", made_up_log(), videos=made_up_videos())
    builder = prepare(tmp_path, manual, config=config)
    made = build_table(read_tables(find_folder(manual)), features="made" if config == "by_date" else config)
    days = {"train": (0, 20220429), "validation": (20220430, 20220430), "test": (20220501, 20220508)}
    assert {name: info.num_examples for name, info in builder.info.splits.items()} == {
        name: made.filter(pl.col("date").is_between(*span)).height for name, span in days.items()
    }
    written = list(tfds.as_numpy(builder.as_dataset(split="train+validation+test")))
    by_key = {(r["user_id"], r["time_ms"], r["video_id"]): r for r in made.iter_rows(named=True)}
    assert len(written) == len(by_key)
    for example in written:
        expected = by_key[example["user_id"], example["time_ms"], example["video_id"]]
        assert set(example) == set(expected)
        for name, value in expected.items():
            read = example[name]
            np.testing.assert_array_equal(read.decode() if isinstance(read, bytes) else read, value, err_msg=name)


def test_all_kinds_of_features_are_read_in_one_order(tmp_path, monkeypatch):
    manual = write(tmp_path / "manual", made_up_log(), videos=made_up_videos())
    monkeypatch.setattr(KuairandPure, "EXAMPLES_PER_FILE", 90)
    read = []
    for config in ("by_date", "raw", "both"):
        prepare(tmp_path, manual, config=config)
        source = open_source(DatasetConfig(name="kuairand_pure", builder_config=config), None, tmp_path / "prepared")
        assert len(source.files["test"]) == 3
        batches = list(source.raw_batches("test", 50).as_numpy_iterator())
        shared = ("user_id", "video_id", "hour", "is_click", "watched_video_id")
        read.append({name: np.concatenate([batch[name].ravel() for batch in batches]) for name in shared})
        assert ("watched_outcome" in batches[0]) == (config != "by_date")
    for name, values in read[0].items():
        for other in read[1:]:
            np.testing.assert_array_equal(other[name], values, err_msg=name)


def test_examples_parse_by_batch(tmp_path):
    builder = prepare(tmp_path, write(tmp_path / "manual", made_up_log(), videos=made_up_videos()))
    declared = schema(labels=None)
    files = [str(path) for path in builder.info.splits["test"].filepaths]
    for serialized in tf.data.TFRecordDataset(files).batch(1000):
        batch = declared.parse_examples(serialized)
    count = builder.info.splits["test"].num_examples
    assert batch["tag"].shape == (count, 3)
    assert batch["watched_video_id"].shape == (count, 50)
    assert set(batch) == set(declared.signature(labels=True))
    learned = declared.learn([{name: value.numpy() for name, value in batch.items()}])
    assert learned["video_id"].vocabulary


def test_other_days(tmp_path):
    manual = write(tmp_path / "manual", made_up_log(), videos=made_up_videos())
    days = {"train": (20220427, 20220427), "validation": (20220428, 20220429), "test": (20220430, 20220501)}
    config = KuairandPureConfig(name="few_days", **days)
    builder = prepare(tmp_path, manual, config=config)
    found = {name: {int(e["date"]) for e in builder.as_dataset(split=name)} for name in days}
    assert found == {"train": {20220427}, "validation": {20220428, 20220429}, "test": {20220430, 20220501}}
    with pytest.raises(ValueError, match="Days must increase"):
        KuairandPureConfig(name="overlap", train=(20220425, 20220430))


def test_log_without_the_days_of_a_split(tmp_path):
    with pytest.raises(DataError, match="must hold impressions of 20220430 to 20220430 for the split `validation`"):
        prepare(tmp_path, write(tmp_path / "manual", HAND))


class _Downloads:
    """Stands for TFDS's download manager where there is no manual folder."""

    def __init__(self, archive: bytes | None, folder: Path) -> None:
        self.archive, self.folder = archive, folder

    @property
    def manual_dir(self):
        raise AssertionError("Manual directory does not exist or is empty.")

    def download_and_extract(self, url):
        assert url == URL
        if self.archive is None:
            raise ConnectionError("no network")
        with tarfile.open(fileobj=io.BytesIO(self.archive)) as archive:
            archive.extractall(self.folder, filter="data")
        return self.folder


def test_published_archive_is_downloaded_where_files_are_missing(tmp_path):
    write(tmp_path / "source" / "KuaiRand-Pure", HAND)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(tmp_path / "source" / "KuaiRand-Pure", "KuaiRand-Pure")
    folder = published_folder(_Downloads(packed.getvalue(), tmp_path / "extracted"))
    assert folder == tmp_path / "extracted" / "KuaiRand-Pure" / "data"
    assert read_tables(folder).log.height == len(HAND)
    with pytest.raises(DataError, match=r"neither in the manual folder nor .*(\n.*)*ConnectionError: no network"):
        published_folder(_Downloads(None, tmp_path))


def test_schema_labels():
    assert [label.name for label in schema().labels] == ["is_click"]
    assert len(schema(labels=None).labels) == 3
    with pytest.raises(ValueError, match=r"labels must be some of .* Received: \('is_hate',\)"):
        schema(labels=["is_hate"])


def test_schema_of_raw_features():
    made = schema(labels=None, features="raw")
    assert len(made.numerics) == 7 and [s.name for s in made.sequences] == ["watched"]
    assert {made.table_of(f"watched_{name}") for name in ("video_id", "tab")} == {"video_id", "tab"}
    assert "video_id" in made.candidate and not {"user_id", "tab", "hour"} & set(made.candidate)
    assert made.candidate == tuple(name for name in schema().candidate if name in {f.name for f in made.features})
    with pytest.raises(ValueError, match=r"features must be one of made, raw, both. Received: 'none'"):
        schema(features="none")
    both = schema(features="both")
    assert both.numerics == schema().numerics and both.sequences == made.sequences
    assert both.candidate == schema().candidate


# The published files


@pytest.fixture(scope="module")
def published():
    data = os.environ.get("TF_INTERFORMER_DATA")
    if not data:
        pytest.skip("TF_INTERFORMER_DATA does not name the folder with the data sets")
    raw = read_tables(find_folder(Path(data) / "KuaiRand-Pure"))
    if raw.sequences is None or raw.log["date"].min() != 20220425:
        pytest.skip("the counts below are of the log from 25 April and the table of earlier histories")
    return raw, build_table(raw)


def test_published_counts(published):
    raw, made = published
    assert raw.log.height == 228_329
    key = ("user_id", "video_id", "time_ms")
    assert made.height == raw.log.n_unique(key) == made.n_unique(key) == 222_444
    day = pl.col("date")
    counts = made.select(train=(day <= 20220429).sum(), validation=(day == 20220430).sum(), test=(day > 20220430).sum())
    assert counts.row(0) == (71_292, 20_513, 130_639)


def test_published_impressions_with_raw_features(published):
    raw, made = published
    found = build_table(raw, features="raw")
    same = ["user_id", "video_id", "time_ms", "date", "is_click", "watched_video_id", "watched_author_id"]
    assert found.select(same).equals(made.select(same)) and sum(found.null_count().row(0)) == 0
    events = found.select(pl.col("^watched_.*$")).explode(pl.all()).drop_nulls()
    assert events["watched_outcome"].unique().sort().to_list() == [0, 1, 2, 3, 4, 5]
    assert events["watched_watched"].unique().sort().to_list() == list(range(10))
    # Only the table of earlier histories knows neither tab nor, but of its last events, time.
    assert set(events.filter(watched_tab=-1)["watched_outcome"].unique()) == {3, 4, 5}
    assert events.filter(watched_age=0)["watched_tab"].unique().to_list() == [-1]
    assert (events["watched_outcome"] == 0).sum() < 100  # hardly anybody goes on while a video is still played


def test_published_columns(published):
    _, made = published
    assert sum(made.null_count().row(0)) == 0
    for name in ("user_id", "video_id", "author_id", "tab", "hour"):
        assert made[name].min() >= 0
    assert made["is_live_streamer"].unique().sort().to_list() == [-124, 1]
    assert {name for name in USER_CODES if made[name].min() == -1} == {"onehot_feat4"}
    for numeric in schema().numerics:
        assert not made[numeric.name].is_infinite().any(), numeric.name
        assert not made[numeric.name].is_nan().all(), numeric.name
    assert made["tag"].list.len().max() == 3


def test_published_histories(published):
    raw, made = published
    for name in ("watched", "long_watched", "liked"):
        lengths = [made[f"{name}_{field}"].list.len() for field in ("video_id", "author_id", "tag")]
        assert lengths[0].equals(lengths[1].alias(lengths[0].name)) and lengths[0].max() <= 50
        assert lengths[0].equals(lengths[2].alias(lengths[0].name))
    test = made.filter(pl.col("date") > 20220430)["watched_video_id"].list.len()
    assert (test == 0).mean() < 0.03 and (test == 50).mean() > 0.45
    # The first impression of a user sees the table of earlier histories and nothing else. Three of them are
    # that table's last event, logged again after midnight: these do not see it.
    first = made.sort("user_id", "time_ms").unique("user_id", keep="first").join(raw.sequences, on="user_id")
    assert first.filter(pl.col("time_ms") <= pl.col("last_time_ms"))["watched_video_id"].to_list() == [[]] * 3
    first = first.filter(pl.col("time_ms") > pl.col("last_time_ms"))
    assert first["watched_video_id"].equals(first["watch_seq"].alias("watched_video_id"))
    assert first["liked_video_id"].equals(first["like_seq"].alias("liked_video_id"))
    assert (first["user_event_count"] == first["history_len"]).all()
