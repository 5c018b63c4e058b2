"""From finished runs to the files of a comparison."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.compare import leaderboard
from pipelines.compare.costs import measure_costs
from pipelines.compare.examples import Columns
from pipelines.compare.insides import draw_insides
from pipelines.compare.leaderboard import Entry
from pipelines.compare.page import write_page
from pipelines.compare.plan import Plan
from pipelines.input import Source


def write_results(
    folder: Path,
    plan: Plan,
    sources: Mapping[str, Source],
    columns: Columns,
    runs: Mapping[str, Sequence[Path]],
    settings: Mapping[str, Sequence[str]],
    skipped: Sequence[str],
    at_once: int,
) -> str:
    """Write the leaderboard and the report; return the leaderboard as Markdown.

    Args:
        folder: Where they go.
        plan: What was compared.
        sources: Model -> its data; the examples are the same.
        columns: The test examples, see `load_examples`.
        runs: Model -> folders of its runs, by seed.
        settings: Model -> what makes it, the search's choice included.
        skipped: What was asked for and left out, and why.
        at_once: How many runs trained side by side.

    Raises:
        ConfigError: A run was made on other test examples.
    """
    entries = [Entry.read(name, settings[name], of_seed, columns["labels"]) for name, of_seed in runs.items()]
    costs = measure_costs(folder / "costs.json", {name: of_seed[0] for name, of_seed in runs.items()}, sources)
    result = leaderboard.build(entries, columns, costs)
    if not plan.best_possible:
        result["best_possible"] = None
    elif result["best_possible"] is None:
        skipped = [*skipped, "best_possible, which the runs of networks tell where the log is simulated"]
    best_first = {row["model"]: runs[row["model"]][0] for row in result["rows"]}
    insides = draw_insides(best_first, sources)
    text = leaderboard.write(folder, result)
    write_page(folder / "report.html", plan, result, entries, columns["labels"], insides, skipped, at_once)
    return text
