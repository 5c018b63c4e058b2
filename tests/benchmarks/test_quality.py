"""Quality cannot fall unseen: small models of each family reach what they have reached."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality import FAMILIES, train
from tf_interformer._keras import LEGACY

STORED = json.loads((Path(__file__).parents[2] / "docs" / "results" / "quality.json").read_text(encoding="utf-8"))

pytestmark = [
    pytest.mark.skipif(LEGACY, reason="once is enough: both Kerases compute the same"),
    pytest.mark.usefixtures("graphs_optimised"),
]


def test_every_family_is_stored():
    assert set(STORED) == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_reaches_what_is_stored(family):
    found = train(family, seed=0)
    for metric, runs in STORED[family].items():
        # Other processors round otherwise, which is about what another seed does.
        slack = max(4 * np.std(runs, ddof=1), 0.01)
        assert found[metric] >= np.mean(runs) - slack, f"{family} {metric}: {found[metric]:.4f}, stored {runs}"
