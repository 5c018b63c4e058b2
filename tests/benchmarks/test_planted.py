"""A quick run of `benchmarks.planted`: one seed, little data, wide margins."""

import json

import pytest

from benchmarks import planted

pytestmark = pytest.mark.usefixtures("graphs_optimised")


def test_combo_ids_learn_pairs_that_inner_products_do_not():
    found = planted.pairs(0, count=16_000, epochs=4, values=30)
    assert found["combo_id"] > found["inner_products"] + 0.08


def test_the_filter_masks_the_collapsed_field():
    found = planted.collapse(0, count=8_000, epochs=3, binary=1, layers=1)
    assert found["filter"]["mask_on_binary"] < 0.2 < 0.5 < found["filter"]["mask_between_large"]
    assert found["no_filter"]["mask_on_binary"] == pytest.approx(1.0)
    assert found["filter"]["attention_to_binary"] < 0.5 * found["no_filter"]["attention_to_binary"]
    assert 2 * found["filter"]["abundance_of_binary_table"] < found["filter"]["abundance_of_large_tables"]


def test_the_program_writes_what_it_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(planted, "pairs", lambda seed: {"combo_id": 0.9, "inner_products": 0.6})
    monkeypatch.setattr(planted, "collapse", lambda seed: {"filter": {"auc": 0.5}, "no_filter": {"auc": 0.6}})
    planted.main(["--output", str(tmp_path / "out.json"), "--seeds", "2"])
    assert "0.900 ± 0.000" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "out.json").read_text())["collapse"]) == 2
