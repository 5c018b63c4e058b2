"""What a step and a score are made of is what docs/results/work.json says."""

import json
from pathlib import Path

import pytest

from benchmarks.work import MODELS, measure, table

STORED = json.loads((Path(__file__).parents[2] / "docs/results/work.json").read_text())["counts"]


@pytest.mark.parametrize("name", MODELS)
def test_no_step_and_no_score_has_become_dearer(name):
    """If it is dearer for a good reason, or cheaper: `python -m benchmarks.work --output docs/results/work.json`."""
    stored = [row for row in STORED if row["model"] == name]
    found = measure(name)
    assert [row["what"] for row in found] == [row["what"] for row in stored]
    for row, before in zip(found, stored, strict=True):
        # Another version of Keras or TensorFlow writes some things with more operations, or fewer.
        assert row["operations"] == pytest.approx(before["operations"], rel=0.03), row
        assert row["multiplications"] == pytest.approx(before["multiplications"], rel=0.01), row
        assert row["largest_bytes"] == pytest.approx(before["largest_bytes"], rel=0.01), row
    assert table(found).count("\n") == 3
