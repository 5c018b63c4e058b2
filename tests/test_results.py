"""The figures that the README quotes are those of the committed results, which the named commands write."""

import json
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = sorted((ROOT / "docs" / "results").glob("*.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_readme_quotes_the_results(path):
    readme = (ROOT / "README.md").read_text()
    result = json.loads(path.read_text())
    for row in result["rows"]:
        cells = [f"{statistics.mean(row[m]):.4f} ± {statistics.stdev(row[m]):.4f}" for m in ("auc", "gauc", "ne")]
        assert f"| {row['value']} | {' | '.join(cells)} |" in readme
    if result["best_possible"]:
        cells = [f"{result['best_possible'][m]:.4f}" for m in ("auc", "gauc", "ne")]
        assert f"| best possible | {' | '.join(cells)} |" in readme


def test_both_directions_of_information_flow_show_on_the_simulated_log():
    rows = {row["value"]: row["auc"] for row in json.loads((ROOT / "docs/results/flows.json").read_text())["rows"]}
    # every seed of one beats every seed of the other, not just their means
    order = [("sep", "sole"), ("n2s", "sep"), ("s2n", "sep"), ("both", "n2s"), ("both", "s2n")]
    for better, worse in order:
        assert min(rows[better]) > max(rows[worse]), (better, worse)
