"""TaobaoAd_x1 on small made files in the published layout, and on published rows where they are at hand."""

import csv
import functools
import random

import numpy as np
import pytest

from pipelines.datasets import benchmark_builder
from pipelines.datasets.tables import DataError
from pipelines.datasets.taobao_ad import TaobaoAd, schema
from pipelines.datasets.taobao_ad.schema import AD, USER
from tests.pipelines.datasets.benchmark_case import examples, prepare, score_by_config, write_csv


def row(number, **other):
    draw = random.Random(number)
    events = draw.randrange(6)
    values = {"clk": number % 2}
    values |= {name: [draw.randrange(1, 5) for _ in range(events)] for name in ("btag_his", "cate_his", "brand_his")}
    values |= {name: draw.randrange(9) for name in (*USER, *AD)} | {"price": number / 4, "pid": number % 2, "btag": 1}
    return values | other


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    folder = tmp_path_factory.mktemp("manual")
    rows = [row(i, userid=i) for i in range(100)]
    rows[0] |= {"cate_his": [11, 12, 13], "brand_his": [23], "btag_his": [1, 2, 3], "brand": ""}
    rows[1] |= {"cate_his": [], "brand_his": [], "btag_his": [], "price": ""}
    rows[2] |= {name: list(range(60)) for name in ("cate_his", "brand_his", "btag_his")}
    write_csv(folder / "train.csv", rows)
    write_csv(folder / "test.csv", [row(i) for i in range(20)])
    return folder


@pytest.fixture(scope="module")
def train(manual, tmp_path_factory):
    builder = prepare(TaobaoAd, manual, tmp_path_factory.mktemp("prepared"))
    counts = {name: info.num_examples for name, info in builder.info.splits.items()}
    assert counts == {"train": 95, "validation": 5, "test": 20}
    assert {int(e["userid"]) for e in examples(builder, "validation")} == set(range(95, 100))  # the last ones
    return {int(e["userid"]): e for e in examples(builder, "train")}


def test_lists_of_other_lengths_are_aligned_at_the_latest_event(train):
    made = train[0]
    assert made["behaviour_cate"].tolist() == [11, 12, 13]
    assert made["behaviour_brand"].tolist() == [-1, -1, 23]
    assert made["behaviour_btag"].tolist() == [1, 2, 3]


def test_empty_and_long_histories_and_empty_cells(train):
    assert train[0]["brand"] == -1 and train[1]["clk"] == 1
    assert all(train[1][f"behaviour_{name}"].tolist() == [] for name in ("cate", "brand", "btag"))
    assert np.isnan(train[1]["price"]) and train[4]["price"] == 1
    assert train[2]["behaviour_cate"].tolist() == list(range(10, 60))


def test_blocks_that_hold_nothing_of_a_split(manual, tmp_path, monkeypatch):
    small = functools.partial(benchmark_builder.read_blocks, block_bytes=200)
    monkeypatch.setattr(benchmark_builder, "read_blocks", small)
    made = examples(prepare(TaobaoAd, manual, tmp_path), "validation")
    assert {int(e["userid"]) for e in made} == set(range(95, 100))


def test_schema_is_that_of_the_benchmark():
    declared = schema()
    assert len(declared.categoricals) == 16 and len(declared.numerics) == 1 and declared.group == "userid"
    assert {c.min_count for c in declared.categoricals} == {10}
    assert {declared.table_of(f"behaviour_{name}") for name in ("cate", "brand", "btag")} == {
        "cate_id",
        "brand",
        "btag",
    }


def test_broken_files(tmp_path):
    write_csv(tmp_path / "train.csv", [row(1, brand_his="4|5")])
    write_csv(tmp_path / "test.csv", [row(1)])
    with pytest.raises(
        DataError, match=r"line 2: column `brand_his` must hold integers joined by '\^'. Received: '4|5'"
    ):
        prepare(TaobaoAd, tmp_path, tmp_path / "prepared")
    write_csv(tmp_path / "train.csv", [{name: value for name, value in row(1).items() if name != "customer"}])
    with pytest.raises(DataError, match="must have the column 'customer'"):
        prepare(TaobaoAd, tmp_path, tmp_path / "prepared")


def test_model_of_the_configuration_scores(manual, tmp_path):
    assert score_by_config("bench_taobao_ad.yaml", manual, tmp_path)["clk"].shape == (3,)


def test_published_rows(data_dir, tmp_path):
    """The benchmark's files are made of rows with 267 numbers: convert some of these in its way, then read them."""
    path = data_dir / "taobao_ad_sample" / "alimama_sampled_train.txt"
    if not path.is_file():
        pytest.skip("needs taobao_ad_sample/alimama_sampled_train.txt in TF_INTERFORMER_DATA")
    rows = []
    for cells in csv.reader(path.read_text().splitlines()):
        lists = {
            name: [x for x in cells[start : start + 50] if x != "0"]
            for name, start in (("btag_his", 0), ("cate_his", 50), ("brand_his", 100))
        }
        others = dict(zip((*USER, *AD, "price", "pid"), cells[250:266], strict=True))
        rows.append({"clk": cells[266], **lists, **others, "btag": 1})
    write_csv(tmp_path / "train.csv", rows)
    write_csv(tmp_path / "test.csv", rows)
    made = examples(prepare(TaobaoAd, tmp_path, tmp_path / "prepared", "as_benchmark"), "test")
    assert len(made) == 500 and sum(int(e["clk"]) for e in made) == 210
    assert len({int(e["userid"]) for e in made}) == 230
    assert max(len(e["behaviour_cate"]) for e in made) == 50
