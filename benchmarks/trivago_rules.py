"""What two rules reach on trivago, below which no model is worth its cost.

    python -m benchmarks.trivago_rules --data-dir DIR/trivago --output runs/trivago_rules.json

`position`: as the list was shown. `last touched`: what the user touched last stands first, what was touched before
that second, and so on; then what was not touched, by position. Both are scored as a model is, on the test split.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.results import write
from pipelines.command import run_command
from pipelines.config import DatasetConfig
from pipelines.input import open_source
from tf_interformer.metrics import ranking_metrics

METRICS = ("auc", "gauc", "request_gauc", "mrr", "ndcg_10")


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


def measure(data_dir: str | None, prepared_dir: str | None, builder_config: str | None) -> dict[str, dict[str, float]]:
    """Metrics of each rule on the test split."""
    source = open_source(DatasetConfig(name="trivago", builder_config=builder_config), data_dir, prepared_dir)
    schema = source.schema
    columns: dict[str, list[np.ndarray]] = {}
    for raw in source.raw_batches("test", 8192).as_numpy_iterator():
        keys = {role: raw[column] for role, (column, _) in schema.key_columns.items()}
        for name, values in {**scores(raw), **keys, "label": raw[schema.tasks[0]]}.items():
            columns.setdefault(name, []).append(values)
    whole = {name: np.concatenate(parts) for name, parts in columns.items()}
    found = {}
    for rule in ("position", "last touched"):
        metrics = ranking_metrics(
            whole["label"], whole[rule], whole["group"], from_logits=True, requests=whole["request"]
        )
        found[rule] = {name: metrics[name] for name in METRICS}
    return found


def table(rules: Mapping[str, Mapping[str, float]]) -> str:
    """The metrics as Markdown."""
    lines = ["| rule | AUC | gAUC | request gAUC | MRR | NDCG@10 |", "|---|---|---|---|---|---|"]
    lines += [f"| {rule} | {' | '.join(f'{row[name]:.4f}' for name in METRICS)} |" for rule, row in rules.items()]
    return "\n".join(lines)


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
    parser.add_argument("--output", required=True, metavar="FILE", help="JSON with the metrics")
    given = parser.parse_args(arguments)

    def run() -> None:
        found = measure(given.data_dir, given.prepared_dir, given.builder_config)
        write(Path(given.output), found)
        print(table(found))

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
