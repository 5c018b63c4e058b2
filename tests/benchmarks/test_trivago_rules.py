"""The rules that models on trivago are held against."""

import numpy as np

from benchmarks.trivago_rules import METRICS, scores, table


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


def test_the_table():
    row = dict.fromkeys(METRICS, 0.5)
    assert table({"position": row}).splitlines()[2] == "| position | 0.5000 | 0.5000 | 0.5000 | 0.5000 | 0.5000 |"
