"""KuaiVideo_x1 on small made files in the published layout."""

import random

import h5py
import numpy as np
import pytest

from pipelines.datasets.kuaivideo import KuaiVideo, schema
from pipelines.datasets.kuaivideo.builder import VECTORS
from pipelines.datasets.tables import DataError
from tests.pipelines.datasets.benchmark_case import examples, prepare, score_by_config, write_csv

ITEMS = 20


def row(time, **other):
    draw = random.Random(time)
    values = {"timestamp": time, "user_id": draw.randrange(5), "item_id": draw.randrange(ITEMS)}
    values |= {"is_click": time % 2, "is_like": 0, "is_follow": 0}
    values |= {name: [draw.randrange(ITEMS) for _ in range(draw.randrange(4))] for name in ("pos_items", "neg_items")}
    return values | other


def write(folder, rows, keys=None, values=None):
    write_csv(folder / "train.csv", rows)
    write_csv(folder / "test.csv", [row(i) for i in range(200, 220)])
    keys = np.arange(ITEMS) if keys is None else keys
    values = np.tile(np.arange(ITEMS, dtype=np.float32)[:, None], (1, 64)) if values is None else values
    with h5py.File(folder / VECTORS, "w") as file:
        file.create_dataset("key", data=keys)
        file.create_dataset("value", data=values)
    return folder


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    rows = [row(i) for i in range(100)]
    rows[0] |= {"user_id": 77, "item_id": 999, "pos_items": [], "neg_items": []}
    rows[1] |= {"user_id": 78, "pos_items": [5, 17, 2], "neg_items": [3]}
    return write(tmp_path_factory.mktemp("manual") / "KuaiVideo_x1", rows).parent


@pytest.fixture(scope="module")
def built(manual, tmp_path_factory):
    return prepare(KuaiVideo, manual, tmp_path_factory.mktemp("prepared"))


def test_columns(built):
    counts = {name: info.num_examples for name, info in built.info.splits.items()}
    assert counts == {"train": 95, "validation": 5, "test": 20}
    made = {int(e["user_id"]): e for e in examples(built, "train")}
    unknown, known = made[77], made[78]
    assert np.isnan(unknown["item_visual"]).all() and unknown["clicked_item_id"].tolist() == []
    assert known["clicked_item_id"].tolist() == [5, 17, 2] and known["skipped_item_id"].tolist() == [3]
    assert known["is_click"] == 1
    for example in examples(built, "test"):
        np.testing.assert_array_equal(example["item_visual"], np.full(64, example["item_id"]))


def test_vectors_in_any_order(tmp_path):
    order = np.random.default_rng(0).permutation(ITEMS)
    values = np.tile(order.astype(np.float32)[:, None], (1, 64))
    builder = prepare(KuaiVideo, write(tmp_path, [row(i) for i in range(40)], order, values), tmp_path / "prepared")
    for example in examples(builder, "train"):
        np.testing.assert_array_equal(example["item_visual"], np.full(64, example["item_id"]))


@pytest.mark.parametrize(
    ("keys", "values", "message"),
    [
        (
            np.arange(ITEMS),
            np.zeros((ITEMS, 32), np.float32),
            r"64 numbers in `value` for each item. Received: \(20,\)",
        ),
        (np.arange(3), np.zeros((ITEMS, 64), np.float32), r"Received: \(3,\) and \(20, 64\)"),
        (np.array([b"a"] * ITEMS), np.zeros((ITEMS, 64), np.float32), "`key` must hold integers. Received: b'a'"),
    ],
)
def test_broken_vectors(tmp_path, keys, values, message):
    with pytest.raises(DataError, match=message):
        prepare(KuaiVideo, write(tmp_path, [row(1)], keys, values), tmp_path / "prepared")


def test_missing_or_unreadable_vectors(tmp_path):
    write(tmp_path, [row(1)])
    (tmp_path / VECTORS).write_text("<html>")
    with pytest.raises(DataError, match="must be an HDF5 file with `key` and `value`"):
        prepare(KuaiVideo, tmp_path, tmp_path / "prepared")
    (tmp_path / VECTORS).unlink()
    with pytest.raises(DataError, match=r"There is no file .*item_visual_emb_dim64.h5"):
        prepare(KuaiVideo, tmp_path, tmp_path / "prepared")


def test_schema_labels():
    assert schema().tasks == ("is_click",) and len(schema(labels=None).labels) == 3


def test_model_of_the_configuration_scores(manual, tmp_path):
    assert score_by_config("bench_kuaivideo.yaml", manual, tmp_path)["is_click"].shape == (3,)
