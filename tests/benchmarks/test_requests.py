"""What the benchmark of requests compares is the same work."""

import numpy as np

from benchmarks import standard_work
from benchmarks.requests import CANDIDATE, as_rows, by_request, scoring, table
from tf_interformer.preprocessing import ROW_COLUMN


def test_both_forms_of_a_batch_are_the_same_examples():
    schema = standard_work.schema(2000).replace(candidate=CANDIDATE)
    batch = standard_work.batches(schema, count=1, size=20)[0]
    columns, labels = by_request(schema, batch, candidates=8)
    assert columns[ROW_COLUMN].numpy().tolist() == [0] * 8 + [1] * 8 + [2] * 4
    assert columns["clicked_item"].shape == (3, 50) and columns["item"].shape == (20,) == labels["click"].shape[:1]
    rows, same = as_rows(schema, (columns, labels))
    assert same is labels and ROW_COLUMN not in rows
    for name, value in rows.items():
        of = batch[0][name].numpy()
        np.testing.assert_array_equal(value.numpy(), of if name in CANDIDATE else of[np.arange(20) // 8 * 8])


def test_it_scores_by_rows_by_request_and_from_a_state(monkeypatch):
    monkeypatch.setattr(standard_work, "LAYERS", 1)
    found = scoring(2000, items=3, rounds=1)
    forms = ["printed, rows", "printed, request", "request, rows", "request, request", "request, known user"]
    assert [row["what"] for row in found] == forms and found[0]["time"] == 1.0
    assert table("scoring", found).count("\n") == 6
