"""What two rules reach on trivago, below which no model is worth its cost.

    python -m benchmarks.trivago_rules --data-dir DIR/trivago --output runs/trivago_rules.json

`position`: as the list was shown. `last touched`: what the user touched last stands first, what was touched before
that second, and so on; then what was not touched, by position. Both are scored as a model is, on the test split.

The same metrics are told apart for `first` click-outs and for `later` ones, whose history holds an earlier click-out on
an item of the list. With `--comparison` the models of a finished `pipelines.compare` stand beside the rules, mean and
standard deviation over its seeds.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import write
from pipelines.config import ConfigError, DatasetConfig
from pipelines.datasets.trivago.raw import CLICK_OUT
from pipelines.datasets.trivago.schema import NOT_SHOWN
from pipelines.input import Source, open_source
from pipelines.jobs import markdown_table, mean_and_spread
from tf_interformer.command import run_command
from tf_interformer.metrics import names as catalogue
from tf_interformer.metrics import ranking_metrics

RULES = ("position", "last touched")
METRICS = tuple(name for name in catalogue.SHOWN if name != "ne")


def scores(raw: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What each rule gives the rows of a raw batch, `[batch]`: more is better.

    Args:
        raw: dict of arrays. `item_id` and `position` `[batch]`, `history_item_id` `[batch, time]`, oldest first, and
            `history_length` `[batch]`.
    """
    events = raw["history_item_id"]
    steps = np.arange(events.shape[1])
    ours = (events == raw["item_id"][:, None]) & (steps < raw["history_length"][:, None])
    latest = np.where(ours, steps + 1, 0).max(axis=1, initial=0)
    position = raw["position"].astype(np.float64)
    # Counted from the end, so that histories of unequal lengths are alike.
    ago = np.where(latest > 0, raw["history_length"] - latest, 0)
    return {"position": -position, "last touched": np.where(latest > 0, 1000.0 - ago, -position)}


def is_later(raw: Mapping[str, np.ndarray]) -> np.ndarray:
    """Whether an item of the row's list was clicked out before, `[batch]`.

    Args:
        raw: dict of arrays. `history_action` and `history_position`, the place in the row's list of the event's item,
            both `[batch, time]`, and `history_length` `[batch]`.
    """
    real = np.arange(raw["history_action"].shape[1]) < raw["history_length"][:, None]
    clicked = (raw["history_action"] == CLICK_OUT.encode()) & (raw["history_position"] != NOT_SHOWN)
    later: np.ndarray = np.any(real & clicked, axis=1)
    return later


def read_test(source: Source) -> dict[str, np.ndarray]:
    """Of each row of the test split: `label`, `group`, `request`, `later`, `history_length`, and the rules' scores."""
    columns: dict[str, list[np.ndarray]] = {}
    for raw in source.raw_batches("test", 8192).as_numpy_iterator():
        keys = {role: raw[column] for role, (column, _) in source.schema.key_columns.items()}
        row = {"label": raw[source.schema.tasks[0]], "later": is_later(raw), "history_length": raw["history_length"]}
        for name, values in {**scores(raw), **keys, **row}.items():
            columns.setdefault(name, []).append(values)
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def parts_of(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Which rows are of `first` click-outs, and which of `later` ones."""
    parts = {"first": ~columns["later"], "later": columns["later"]}
    return {part: rows for part, rows in parts.items() if rows.any()}


def measure(columns: Mapping[str, np.ndarray], values: np.ndarray) -> dict[str, Any]:
    """Metrics of some scores over all rows and, below the name of each part, over its rows."""

    def of(rows: np.ndarray) -> dict[str, float]:
        label, group, request = (columns[name][rows] for name in ("label", "group", "request"))
        found = ranking_metrics(label, values[rows], group, from_logits=True, requests=request)
        return {name: found[name] for name in METRICS}

    return of(np.ones(len(values), bool)) | {part: of(rows) for part, rows in parts_of(columns).items()}


def measure_models(columns: Mapping[str, np.ndarray], comparison: Path) -> dict[str, dict[str, Any]]:
    """Model -> what `measure` tells of it, each number a list over seeds; the best by AUC first.

    Args:
        columns: As `read_test` returns them.
        comparison: The output folder of a finished `pipelines.compare`.

    Raises:
        ConfigError: The folder is none, or is of other examples.
    """
    from pipelines.compare.leaderboard import Entry  # needs what only reports need

    try:
        board = json.loads((comparison / "leaderboard.json").read_text(encoding="utf-8"))
        # Of each model the run of seed 0, with what the search chose.
        first = json.loads((comparison / "costs.json").read_text(encoding="utf-8"))["runs"]
        with np.load(comparison / "examples.npz") as kept:
            labels, lengths = kept["labels"], kept["history_length"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"--comparison must be the output folder of a finished pipelines.compare on trivago. Received: "
            f"{comparison}: {error}"
        ) from None
    whole = np.minimum(columns["history_length"], lengths.max())  # as `dataset.max_length` may have cut them
    if not (np.array_equal(labels, columns["label"]) and np.array_equal(lengths, whole)):
        raise ConfigError(
            f"--comparison {comparison} was made on other examples, or histories, than these: give the "
            "--builder-config and the data of its runs"
        )
    found = {}
    for row in board["rows"]:
        run = comparison / first[row["model"]]
        runs = [run.with_name(f"{run.name.removesuffix('0')}{seed}") for seed in range(board["seeds"])]
        entry = Entry.read(row["model"], row["settings"], runs, labels)
        found[row["model"]] = _by_seed([measure(columns, logits) for logits in entry.logits])
    return found


def _by_seed(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of dicts alike, one whose numbers are lists."""
    return {
        name: _by_seed([run[name] for run in runs]) if isinstance(value, dict) else [run[name] for run in runs]
        for name, value in runs[0].items()
    }


def table(rules: Mapping[str, Any]) -> str:
    """The metrics of the rules over all click-outs as Markdown."""
    return markdown_table(
        ["rule", *(catalogue.METRICS[name].title for name in METRICS)], [[rule, *_cells(rules[rule])] for rule in RULES]
    )


def table_of_parts(found: Mapping[str, Any]) -> str:
    """The metrics of rules and models, over all click-outs and over the parts, as Markdown."""
    models = found.get("models", {})
    rows = [[name, f"all ({sum(found['lists'].values()):,})", *_cells(row)] for name, row in models.items()]
    for part, lists in found["lists"].items():
        for name, row in {**{rule: found[rule] for rule in RULES}, **models}.items():
            rows.append([name, f"{part} ({lists:,})", *_cells(row[part])])
    return markdown_table(
        ["rule or model" if models else "rule", "click-outs", *(catalogue.METRICS[name].title for name in METRICS)],
        rows,
    )


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [mean_and_spread(np.atleast_1d(row[name]).tolist()) for name in METRICS]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.trivago_rules",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data-dir", metavar="DIR", help="the folder with trivago's file")
    parser.add_argument("--prepared-dir", metavar="DIR", help="where TensorFlow Datasets keeps what it has built")
    parser.add_argument("--builder-config", metavar="NAME", help="`strict`: what was known when the list was asked for")
    parser.add_argument("--comparison", metavar="OUT", help="output folder of pipelines.compare on the same examples")
    parser.add_argument("--output", required=True, metavar="FILE", help="JSON with the metrics")
    given = parser.parse_args(arguments)

    def run() -> None:
        dataset = DatasetConfig(name="trivago", builder_config=given.builder_config)
        columns = read_test(open_source(dataset, given.data_dir, given.prepared_dir))
        found: dict[str, Any] = {rule: measure(columns, columns[rule]) for rule in RULES}
        parts = parts_of(columns)
        found["lists"] = {part: len(np.unique(columns["request"][rows])) for part, rows in parts.items()}
        if given.comparison:
            found["models"] = measure_models(columns, Path(given.comparison))
        write(Path(given.output), found)
        print(f"{table(found)}\n\n{table_of_parts(found)}")

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
