"""AmazonElectronics_x1 on small made files in the published layout."""

import random

import pytest

from pipelines.config import ConfigError
from pipelines.datasets import build
from pipelines.datasets.amazon_electronics import AmazonElectronics, schema
from pipelines.datasets.tables import DataError
from tests.pipelines.datasets.benchmark_case import examples, prepare, score_by_config, write_csv


def row(user, item, label, history):
    return {
        "label": label,
        "user_id": user,
        "item_id": item,
        "cate_id": item % 5,
        "item_history": history,
        "cate_history": [i % 5 for i in history],
    }


def made_rows(users, seed=0):
    draw = random.Random(seed)
    rows = []
    for user in users:
        history = [draw.randrange(30) for _ in range(draw.randrange(1, 6))]
        rows += [row(user, draw.randrange(30), label, history) for label in (1, 0)]
    return rows


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    folder = tmp_path_factory.mktemp("manual")
    long = list(range(130))
    write_csv(folder / "AmazonElectronics_x1" / "train.csv", [*made_rows(range(1, 61)), row(7, 1, 1, long)])
    write_csv(folder / "AmazonElectronics_x1" / "test.csv", made_rows(range(1, 31), seed=1))
    return folder


@pytest.fixture(scope="module")
def built(manual, tmp_path_factory):
    return prepare(AmazonElectronics, manual, tmp_path_factory.mktemp("prepared"))


def test_validation_is_every_twentieth_user_and_nothing_of_them_is_trained_on(built):
    users = {split: {int(e["user_id"]) for e in examples(built, split)} for split in ("train", "validation", "test")}
    assert users["validation"] == {20, 40, 60}
    assert users["train"] == set(range(1, 61)) - users["validation"] and users["test"] == set(range(1, 31))
    counts = {name: info.num_examples for name, info in built.info.splits.items()}
    assert counts == {"train": 115, "validation": 6, "test": 60}


def test_histories_are_the_latest_hundred_and_aligned(built):
    longest = max(examples(built, "train"), key=lambda e: len(e["reviewed_item_id"]))
    assert longest["reviewed_item_id"].tolist() == list(range(30, 130))
    assert longest["reviewed_cate_id"].tolist() == [i % 5 for i in range(30, 130)]
    assert (longest["item_id"], longest["cate_id"], longest["label"], longest["user_id"]) == (1, 1, 1, 7)


def test_own_validation_file_and_the_benchmark_s_way(manual, tmp_path):
    way = prepare(AmazonElectronics, manual, tmp_path / "a", "as_benchmark").info.splits
    assert {name: split.num_examples for name, split in way.items()} == {"train": 121, "validation": 60, "test": 60}
    write_csv(tmp_path / "b" / "valid.csv", made_rows(range(3)))
    for name in ("train.csv", "test.csv"):
        (tmp_path / "b" / name).symlink_to(manual / "AmazonElectronics_x1" / name)
    own = prepare(AmazonElectronics, tmp_path / "b", tmp_path / "c").info.splits
    assert {name: split.num_examples for name, split in own.items()} == {"train": 121, "validation": 6, "test": 60}


def test_user_is_the_group_alone():
    assert schema().group == "user_id" and "user_id" not in [f.name for f in schema().features]
    assert schema(labels=["label"]) == schema()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"cate_history": [1]},
            r"train.csv`, line 2: `item_history` and `cate_history` must hold as many events. Received: 2 and",
        ),
        ({"label": 2}, "train.csv`, line 2: column `label` must hold 0 or 1. Received: 2"),
        ({"item_id": "B00"}, "line 2: column `item_id` must hold Int64. Received: 'B00'"),
    ],
)
def test_broken_files(tmp_path, change, message):
    write_csv(tmp_path / "train.csv", [row(1, 2, 1, [3, 4]) | change])
    write_csv(tmp_path / "test.csv", [row(1, 2, 1, [3, 4])])
    with pytest.raises(DataError, match=message):
        prepare(AmazonElectronics, tmp_path, tmp_path / "prepared", "as_benchmark")


def test_missing_files(tmp_path):
    with pytest.raises(DataError, match="There is no folder with the files of AmazonElectronics_x1"):
        build("amazon_electronics", None, tmp_path / "nowhere", tmp_path)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "note.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"must hold train.csv and test.csv .* Received: neither. Download the files"):
        build("amazon_electronics", None, tmp_path / "m", tmp_path)
    write_csv(tmp_path / "m" / "train.csv", [row(1, 2, 1, [3])])
    with pytest.raises(DataError, match=r"Received: no test.csv"):
        build("amazon_electronics", None, tmp_path / "m", tmp_path)
    write_csv(tmp_path / "m" / "test.csv", [row(1, 2, 1, [3])])
    with pytest.raises(DataError, match="has too few rows to hold a twentieth of them out"):
        build("amazon_electronics", None, tmp_path / "m", tmp_path)
    with pytest.raises(ConfigError, match=r"must be one of \['as_benchmark', 'held_out'\]"):
        build("amazon_electronics", "other", tmp_path / "m", tmp_path)


def test_model_of_the_configuration_scores(manual, tmp_path):
    assert score_by_config("bench_amazon_electronics.yaml", manual, tmp_path)["label"].shape == (3,)
