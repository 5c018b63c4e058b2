"""Globo.com on small made logs, worked out by hand, and on the published one."""

import random
import shutil

import numpy as np
import polars as pl
import pytest

from pipelines.datasets.globo import Globo, GloboConfig, schema
from pipelines.datasets.globo.features import build_table
from pipelines.datasets.globo.raw import find_folder, read_tables
from pipelines.datasets.tables import DataError
from tests.pipelines.datasets.benchmark_case import examples, prepare, score_by_config

MIDNIGHT = 1_507_690_800_000  # of 11 October 2017 in Brasilia
MINUTE, DAY = 60_000, 86_400_000
COLUMNS = (
    *("user_id", "session_id", "session_start", "session_size", "click_article_id", "click_timestamp"),
    *("click_environment", "click_deviceGroup", "click_os", "click_country", "click_region", "click_referrer_type"),
)
ARTICLES = "article_id,category_id,created_at_ts,publisher_id,words_count\n" + "".join(
    f"{i},{i % 3},{MIDNIGHT - 7_200_000},0,{100 + i}\n" for i in range(8)
)


def click(user, article, minute, day=0, **other):
    values = dict.fromkeys(COLUMNS, 1)
    time = MIDNIGHT + day * DAY + minute * MINUTE
    return values | {"user_id": user, "click_article_id": article, "click_timestamp": time} | other


def write(folder, rows, articles=ARTICLES):
    """As published: one file per hour, of which one holds a header only."""
    (folder / "clicks").mkdir(parents=True, exist_ok=True)
    (folder / "articles_metadata.csv").write_text(articles)
    header = ",".join(COLUMNS) + "\n"
    for i in range(3):
        lines = ["{}\n".format(",".join(str(value) for value in row.values())) for row in rows[i % 2 :: 2]]
        (folder / "clicks" / f"clicks_hour_00{i}.csv").write_text(header + "".join(lines if i < 2 else []))
    return folder


def table(folder, rows, **options):
    return build_table(read_tables(find_folder(write(folder, rows))), **options)


def made_log(count=600, users=12, articles=9, days=6, seed=0):
    draw = random.Random(seed)
    rows = [
        click(draw.randrange(users), draw.randrange(articles), draw.randrange(0, 180), draw.randrange(days))
        for _ in range(count)
    ]
    return sorted(rows, key=lambda row: (row["click_timestamp"], row["user_id"], row["click_article_id"]))


HAND = [
    click(1, 0, 1),
    click(2, 1, 2),
    click(3, 2, 3),
    click(1, 3, 4),  # nobody has clicked 3 before: no request
    click(4, 3, 10),  # candidates: 0, 1, 2, 3
    click(1, 3, 11),  # a second click: no request
    click(1, 2, 20),  # candidates: 1, 2; it has clicked 0 and 3
    click(5, 1, 200),  # nothing was clicked in the hour before
    click(6, 7, 201),
    click(7, 7, 202),  # candidates: 1, 7
]


@pytest.fixture(scope="module")
def hand(tmp_path_factory):
    return table(tmp_path_factory.mktemp("hand"), HAND)


def test_requests_and_candidates_by_hand(hand):
    requests = {
        (part["user_id"][0], part.filter(is_click=1)["article_id"][0]): sorted(part.filter(is_click=0)["article_id"])
        for part in hand.partition_by("request_id")
    }
    assert requests == {(4, 3): [0, 1, 2], (1, 2): [1], (7, 7): [1]}
    assert hand.partition_by("request_id")[0]["is_click"].to_list() == [1, 0, 0, 0]


def test_features_by_hand(hand):
    made = {(r["user_id"], r["article_id"]): r for r in hand.iter_rows(named=True)}
    first, second = made[1, 2], made[1, 1]
    assert first["clicked_article_id"] == second["clicked_article_id"] == [0, 3, 3]
    assert first["clicked_category_id"] == [0, 0, 0] and first["user_click_count"] == 3
    assert (first["article_clicks_last_hour"], made[4, 3]["article_clicks_last_hour"]) == (1, 1)
    # 1,140, 960 and 540 seconds before.
    assert first["clicked_age"] == second["clicked_age"] == [11, 10, 10]
    assert (first["category_id"], first["article_words"], first["hour"]) == (2, 102, 0)
    assert first["article_age_hours"] == pytest.approx(2 + 1 / 3)
    assert made[4, 3]["clicked_article_id"] == [] and made[7, 7]["hour"] == 3
    assert (first["date"], first["time_ms"]) == (20171011, MIDNIGHT + 20 * MINUTE)


def test_clicks_of_the_hour_and_the_day(tmp_path):
    rows = [click(1, 0, 0), click(2, 0, 90), click(3, 0, 1439), click(4, 1, 1440), click(5, 1, 1441)]
    made = table(tmp_path, rows).filter(user_id=5, article_id=0).row(0, named=True)
    assert (made["article_clicks_last_hour"], made["article_clicks_last_day"]) == (1, 2)  # 24 hours and a minute ago


def test_a_share_of_the_users(tmp_path):
    rows = made_log(2000, users=60)
    everybody, some = table(tmp_path, rows), table(tmp_path, rows, users=30)
    chosen = some["user_id"].unique().to_list()
    assert 5 < len(chosen) < 35
    # The same examples: others' clicks are candidates and count as before.
    assert everybody.filter(pl.col("user_id").is_in(chosen)).equals(some)
    more = table(tmp_path, rows, users=31)["user_id"].unique().to_list()
    assert set(chosen) <= set(more)


def test_articles_that_are_not_described(tmp_path):
    rows = [click(1, 50, 0), click(2, 51, 1), click(3, 50, 2)]
    made = table(tmp_path, rows).row(0, named=True)
    assert made["category_id"] == -1 and np.isnan(made["article_age_hours"]) and np.isnan(made["article_words"])


def test_neither_popularity_nor_history_is_a_condition_of_the_label(tmp_path):
    made = table(tmp_path, made_log(2000, users=60))
    assert made["article_clicks_last_hour"].min() >= 1
    assert not made.filter(pl.col("clicked_article_id").list.contains(pl.col("article_id"))).height
    assert made["is_click"].sum() == made["request_id"].n_unique()
    assert made.select(pl.struct("request_id", "article_id").is_duplicated().any()).item() is False
    assert made.group_by("request_id").len()["len"].max() == 5
    assert table(tmp_path, made_log(2000, users=60), negatives=1).group_by("request_id").len()["len"].max() == 2


def test_nothing_looks_ahead(tmp_path):
    rows = made_log()
    before = table(tmp_path, rows)
    for place in (80, 300, 500):
        moment = rows[place]["click_timestamp"]
        until = before.filter(pl.col("time_ms") <= moment)
        cut = table(tmp_path, [row for row in rows if row["click_timestamp"] <= moment])
        assert cut.equals(until)
        draw = random.Random(place)
        later = [
            row if row["click_timestamp"] <= moment else row | {"click_article_id": draw.randrange(9, 20)}
            for row in rows
        ]
        assert table(tmp_path, later).filter(pl.col("time_ms") <= moment).equals(until)


def test_order_of_the_rows_and_repeats_do_not_matter(tmp_path):
    rows = made_log()
    expected = table(tmp_path, rows)
    random.Random(1).shuffle(rows)
    assert table(tmp_path, [*rows, *rows[:50]]).equals(expected)


def test_negatives_are_drawn_by_their_clicks_in_the_hour(tmp_path):
    # Article 0 has nine clicks, article 1 three; 2 is what is clicked later on.
    rows = [click(100 + i, 0 if i < 9 else 1, i) for i in range(12)] + [click(200, 2, 13)]
    rows += [click(1000 + i, 2, 20, click_os=i) for i in range(1500)]
    made = table(tmp_path, rows, negatives=1).filter(is_click=0)
    assert made.height > 1400
    share = (made["article_id"] == 0).mean()
    assert abs(share - 9 / 12) < 0.04  # three deviations


# The builder


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    return write(tmp_path_factory.mktemp("manual") / "globo", made_log(1500, users=60)).parent


def test_builder_splits_by_day(manual, tmp_path):
    builder = prepare(Globo, manual, tmp_path)
    dates = {split: {int(e["date"]) for e in examples(builder, split)} for split in ("train", "validation", "test")}
    assert dates == {"train": {20171011, 20171012, 20171013, 20171014}, "validation": {20171015}, "test": {20171016}}
    expected = build_table(read_tables(manual / "globo"), 20171016, 20171016)
    by_key = {(r["request_id"], r["article_id"]): r for r in expected.iter_rows(named=True)}
    written = examples(builder, "test")
    assert len(written) == len(by_key)
    for example in written:
        made = by_key[example["request_id"], example["article_id"]]
        assert set(made) == set(example)
        for name, value in made.items():
            np.testing.assert_allclose(example[name], value, rtol=1e-6, err_msg=name)


def test_model_of_the_configuration_scores(manual, tmp_path):
    assert score_by_config("globo.yaml", manual, tmp_path)["is_click"].shape == (3,)


def test_configuration_and_schema():
    with pytest.raises(ValueError, match="Days must increase"):
        GloboConfig(name="overlap", train=(20171011, 20171015))
    with pytest.raises(ValueError, match=r"`negatives` must be at least 1. Received: 0"):
        GloboConfig(name="none", negatives=0)
    with pytest.raises(ValueError, match=r"`users` must be a percentage from 1 to 100. Received: 0"):
        GloboConfig(name="none", users=0)
    assert (schema(labels=["is_click"]).group, schema().request) == ("user_id", "request_id")


def test_one_table_of_clicks(tmp_path):
    rows = made_log(200)
    expected = table(tmp_path, rows)
    shutil.rmtree(tmp_path / "clicks")
    pl.DataFrame(rows).write_parquet(tmp_path / "clicks.parquet")
    assert build_table(read_tables(tmp_path)).equals(expected)


def test_broken_and_missing_files(tmp_path):
    with pytest.raises(DataError, match=r"Received: no articles_metadata.csv. Download https://www.kaggle.com"):
        find_folder(tmp_path)
    folder = write(tmp_path, made_log(20), "article_id,category_id,created_at_ts,words_count\n1,1,1,1\n1,2,2,2\n")
    with pytest.raises(DataError, match=r"must hold every id once. Received twice: 1"):
        read_tables(folder)
    write(tmp_path, [click(1, 1, 0, click_timestamp=-5), click(1, 2, 0)])
    with pytest.raises(DataError, match=r"`click_timestamp` must hold milliseconds since 1970. Received: -5"):
        read_tables(folder)
    write(tmp_path, [])
    with pytest.raises(DataError, match=r"Received: clicks with a header only. Unpack clicks.zip"):
        read_tables(folder)
    shutil.rmtree(tmp_path / "clicks")
    with pytest.raises(DataError, match="Received: no clicks"):
        read_tables(folder)
    with pytest.raises(DataError, match=r"There is no folder with the files of Globo.com"):
        prepare(Globo, tmp_path / "nowhere", tmp_path / "prepared")
    write(tmp_path, made_log(200, days=2))
    with pytest.raises(DataError, match=r"examples of 20171015 to 20171015 for the split `validation`. Received: none"):
        prepare(Globo, tmp_path, tmp_path / "prepared")


def test_bad_files_of_real_life(data_dir, tmp_path):
    bad = data_dir / "bad_inputs"
    if not bad.is_dir():
        pytest.skip("needs bad_inputs in TF_INTERFORMER_DATA")
    folder = write(tmp_path, made_log(20))
    shutil.copy(bad / "clicks_header_only.csv", folder / "clicks" / "clicks_hour_300.csv")
    assert read_tables(folder).clicks.height == 20
    shutil.copy(bad / "articles_metadata_is_lfs_pointer.csv", folder / "articles_metadata.csv")
    with pytest.raises(DataError, match=r"articles_metadata.csv` is a git LFS pointer"):
        read_tables(folder)


def test_published_log(data_dir):
    """Reads all of it, and works out the first hour of one day."""
    if not (data_dir / "globo" / "clicks.parquet").is_file():
        pytest.skip("needs the log of Globo.com in TF_INTERFORMER_DATA/globo")
    raw = read_tables(data_dir / "globo")
    assert raw.clicks.height == 2_988_181 and raw.articles.height == 46_033
    assert raw.clicks["user_id"].n_unique() == 322_897
    start = MIDNIGHT + 5 * DAY
    hours = pl.col("click_timestamp").is_between(start - 2 * 3_600_000, start + 3_600_000)
    part = raw.clicks.filter(hours)
    made = build_table(type(raw)(part, raw.articles), 20171016, 20171016)
    assert made.height > 10_000 and sum(made.null_count().row(0)) == 0
    assert made["is_click"].mean() == pytest.approx(0.2, abs=0.001)
    tenth = build_table(type(raw)(part, raw.articles), 20171016, 20171016, users=10)
    assert made.filter(pl.col("request_id").is_in(tenth["request_id"].unique().to_list())).equals(tenth)
    assert 0.09 < tenth.height / made.height < 0.11
    assert made["article_clicks_last_hour"].min() >= 1
