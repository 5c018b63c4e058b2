"""Models that an earlier version saved load, and score as they did."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.golden.log import MODELS
from tests.golden.make import FOLDER, logits
from tf_interformer import Ranker

pytestmark = pytest.mark.usefixtures("graphs_optimised")


@pytest.mark.parametrize("name", MODELS)
def test_scores_are_what_they_were(name):
    stored = json.loads(Path(FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    ranker = Ranker.from_file(FOLDER / f"{name}.keras")
    raw = {column: np.array(values, object) if None in values else values for column, values in stored["rows"].items()}
    found = logits(ranker, raw)
    assert set(found) == set(stored["logits"])
    for task, expected in stored["logits"].items():
        assert np.std(expected) > 0.01
        np.testing.assert_allclose(found[task], expected, rtol=1e-4, atol=1e-4)


def test_every_kind_of_column_is_there():
    ranker = Ranker.from_file(FOLDER / "interformer.keras")
    schema = ranker.schema
    assert schema.numerics and schema.categoricals and schema.vectors and schema.comparisons and schema.group
    assert any(feature.buckets for feature in schema.numerics)
    assert any(sequence.number_columns for sequence in schema.sequences)
