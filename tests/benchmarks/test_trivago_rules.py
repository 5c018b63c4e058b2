"""The rules that models on trivago are held against."""

import json

import numpy as np
import pytest

from benchmarks.trivago_rules import (
    METRICS,
    is_later,
    measure,
    measure_models,
    parts_of,
    scores,
    table,
    table_of_parts,
)
from pipelines.config import ConfigError
from tf_interformer.metrics import gauc, mrr, ranking_metrics


def test_the_order_of_each_rule():
    raw = {
        "item_id": np.array([10, 11, 12, 13, 14]),
        "position": np.array([1, 2, 3, 4, 5]),
        # 12 was touched last, before it 14; 11 stands in the padding only, 99 is not in the list.
        "history_item_id": np.array([[12, 14, 12, 99, 11]] * 5),
        "history_length": np.array([4] * 5),
    }
    found = scores(raw)
    assert raw["item_id"][np.argsort(-found["position"])].tolist() == [10, 11, 12, 13, 14]
    assert raw["item_id"][np.argsort(-found["last touched"])].tolist() == [12, 14, 10, 11, 13]


def test_without_a_history_it_is_the_position():
    raw = {
        "item_id": np.array([10, 11]),
        "position": np.array([2, 1]),
        "history_item_id": np.zeros((2, 0), np.int64),
        "history_length": np.array([0, 0]),
    }
    found = scores(raw)
    assert found["last touched"].tolist() == found["position"].tolist() == [-2, -1]


def test_lists_of_other_lengths_do_not_matter():
    """What was touched last is above what never was, in every list, and as high in a long history as in a short one."""
    raw = {
        "item_id": np.array([10, 10]),
        "position": np.array([25, 1]),
        "history_item_id": np.array([[10, 0, 0], [1, 2, 10]]),
        "history_length": np.array([1, 3]),
    }
    assert scores(raw)["last touched"].tolist() == [1000, 1000]


def test_a_click_out_on_an_item_of_the_list_makes_the_next_one_a_later_one():
    click, image = b"clickout item", b"interaction item image"
    raw = {
        # Clicked in the list, clicked outside, looked at in the list, clicked in the padding only.
        "history_action": np.array([[click, image], [click, image], [image, b""], [image, click]], object),
        "history_position": np.array([[3, -1], [-1, 3], [1, -1], [-1, 1]]),
        "history_length": np.array([2, 2, 1, 1]),
    }
    assert is_later(raw).tolist() == [True, False, False, False]
    none = {"history_action": np.zeros((2, 0), object), "history_position": np.zeros((2, 0), int)}
    assert is_later({**none, "history_length": np.zeros(2, int)}).tolist() == [False, False]


@pytest.fixture
def columns():
    """Eight lists of five of four users, one click in each; the last three click-outs are later ones."""
    random = np.random.default_rng(0)
    request = np.repeat(np.arange(8), 5)
    clicked = random.integers(0, 5, 8)[request]
    return {
        "label": (np.arange(40) % 5 == clicked).astype(np.float32),
        "group": request // 2,
        "request": request,
        "later": request >= 5,
        "history_length": request,
    }


def test_parts_are_measured_on_their_own_rows(columns):
    values = np.random.default_rng(1).normal(size=40)
    found = measure(columns, values)
    label, request = columns["label"], columns["request"]
    whole = ranking_metrics(label, values, columns["group"], from_logits=True, requests=request)
    assert {name: found[name] for name in METRICS} == {name: whole[name] for name in METRICS}
    for part, rows in (("first", request < 5), ("later", request >= 5)):
        assert found[part]["mrr"] == mrr(label[rows], values[rows], request[rows])
        assert found[part]["gauc"] == gauc(label[rows], values[rows], columns["group"][rows])
    assert list(measure({**columns, "later": np.zeros(40, bool)}, values)) == [*METRICS, "first"]
    assert sum(rows.sum() for rows in parts_of(columns).values()) == 40


def write_comparison(folder, columns):
    """A comparison whose search chose the second setting; returns the scores of its two seeds."""
    random = np.random.default_rng(2)
    folder.mkdir()
    board = {"seeds": 2, "rows": [{"model": "fm", "settings": []}]}
    (folder / "leaderboard.json").write_text(json.dumps(board))
    (folder / "costs.json").write_text(json.dumps({"runs": {"fm": "runs/fm/setting1-seed0"}}))
    lengths = np.minimum(columns["history_length"], 6)  # dataset.max_length: 6
    np.savez(folder / "examples.npz", labels=columns["label"].astype(np.int8), history_length=lengths)
    logits = {}
    for name in ("setting0-seed0", "setting1-seed0", "setting1-seed1"):
        run = folder / "runs" / "fm" / name
        run.mkdir(parents=True)
        logits[name] = random.normal(size=40).astype(np.float32)
        np.savez(run / "predictions.npz", logits=logits[name], labels=columns["label"].astype(np.int8))
        (run / "metrics.json").write_text("{}")
    return logits["setting1-seed0"], logits["setting1-seed1"]


def test_models_of_a_comparison_stand_beside_the_rules(columns, tmp_path):
    each = [measure(columns, logits) for logits in write_comparison(tmp_path / "out", columns)]
    found = measure_models(columns, tmp_path / "out")
    assert found["fm"]["auc"] == [one["auc"] for one in each]
    assert found["fm"]["later"]["mrr"] == [one["later"]["mrr"] for one in each]
    rules = {rule: measure(columns, np.arange(40.0)) for rule in ("position", "last touched")}
    head, _, *rows = table_of_parts({**rules, "lists": {"first": 5, "later": 3}, "models": found}).splitlines()
    assert head.startswith("| rule or model | click-outs | AUC |")
    starts = [" | ".join(row.strip("| ").split(" | ")[:2]) for row in rows]
    assert starts == ["fm | all (8)", *(f"{name} | {part}" for part in ("first (5)", "later (3)")
                                        for name in ("position", "last touched", "fm"))]  # fmt: skip
    values = found["fm"]["later"]["ndcg_10"]
    assert rows[-1].endswith(f"| {np.mean(values):.4f} ± {np.std(values, ddof=1):.4f} |")


@pytest.mark.parametrize("change", ["label", "history_length", "nothing"])
def test_a_comparison_of_other_examples_is_told(columns, tmp_path, change):
    write_comparison(tmp_path / "out", columns)
    if change == "nothing":
        with pytest.raises(ConfigError, match=r"--comparison must be the output folder .* Received: .*none"):
            measure_models(columns, tmp_path / "none")
        return
    with pytest.raises(ConfigError, match="was made on other examples, or histories, than these"):
        measure_models({**columns, change: columns[change][::-1]}, tmp_path / "out")


def test_the_table():
    row = dict.fromkeys(METRICS, 0.5)
    text = table({"position": row, "last touched": row, "lists": {}})
    assert text.splitlines()[2] == "| position | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 0.5000 |"
