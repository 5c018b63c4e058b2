"""From finished runs to the rows of the leaderboard."""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.compare.examples import segments
from pipelines.compare.significance import Difference, Parts, auc_parts, difference, gauc_parts, holm
from pipelines.config import ConfigError
from pipelines.jobs import markdown_table, mean_and_spread
from tf_interformer.metrics import auc
from tf_interformer.metrics.names import METRICS, REPORTED, SHOWN
from tf_interformer.run_directory import RunDirectory
from tf_interformer.whole import write_text

# By list only where the schema has a request column
_TESTED = ("auc", "gauc", "request_gauc")


@dataclass(frozen=True)
class Entry:
    """A model and its runs, one per seed.

    Attributes:
        name: Its name.
        settings: What makes it, the search's choice included.
        metrics: The `metrics.json` of each run.
        logits: The test logits of each run.
    """

    name: str
    settings: tuple[str, ...]
    metrics: tuple[dict[str, Any], ...]
    logits: tuple[np.ndarray, ...]

    @classmethod
    def read(cls, name: str, settings: Sequence[str], runs: Sequence[Path], labels: np.ndarray) -> "Entry":
        """Read finished runs.

        Raises:
            ConfigError: A run was made on other test examples.
        """
        logits = []
        for run in runs:
            with np.load(run / "predictions.npz") as found:
                if not np.array_equal(found["labels"], labels):
                    raise ConfigError(
                        f"{run} scored {len(found['labels'])} test examples that are not the {len(labels)} of "
                        f"{run.parents[2] / 'examples.npz'}: the data has changed. Give another --output"
                    )
                logits.append(found["logits"])
        metrics = tuple(RunDirectory(run).finished() for run in runs)
        return cls(name, tuple(settings), metrics, tuple(logits))

    @property
    def tests(self) -> list[dict[str, float]]:
        """The test metrics of the first label, by seed."""
        return [next(iter(made["test"].values())) for made in self.metrics]

    def values(self, metric: str) -> list[float]:
        """A test metric of the first label, by seed."""
        return [float(test[metric]) for test in self.tests]

    @property
    def mean_auc(self) -> float:
        """What the leaderboard is sorted by."""
        return float(np.mean(self.values("auc")))

    def probabilities(self) -> np.ndarray:
        """Click probabilities of all runs, one after another."""
        return 0.5 * (1.0 + np.tanh(0.5 * np.concatenate(self.logits).astype(np.float64)))


def build(
    entries: Sequence[Entry], columns: Mapping[str, np.ndarray], costs: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The leaderboard: rows sorted by test AUC, each tested against the best, and what segments say.

    Args:
        entries: The models.
        columns: The test examples, see `examples.load_examples`.
        costs: As `costs.measure_costs` returns it.
    """
    ordered = sorted(entries, key=lambda entry: -entry.mean_auc)
    parts = {entry.name: _parts(entry, columns) for entry in ordered}
    best = parts[ordered[0].name]
    metrics = [name for name in REPORTED if all(name in test for entry in entries for test in entry.tests)]
    tests = {
        metric: {entry.name: difference(best[metric], parts[entry.name][metric]) for entry in ordered[1:]}
        for metric in best
    }
    rows = []
    for entry in ordered:
        row = {"model": entry.name, "settings": list(entry.settings), **_sizes(entry), **costs[entry.name]}
        for metric in metrics:
            row[metric] = entry.values(metric)
        rows.append(row)
    for metric, found in tests.items():
        corrected = dict(zip(found, holm([test.p for test in found.values()]), strict=True))
        for row in rows:
            test = found.get(row["model"])
            row[f"{metric}_difference"] = _described(test, corrected[row["model"]]) if test else None
    return {
        "best": ordered[0].name,
        "seeds": len(ordered[0].metrics),
        "examples": len(columns["labels"]),
        "positives": int(columns["labels"].sum()),
        "users": int(columns["groups"].max()) + 1,
        **({"requests": int(columns["requests"].max()) + 1} if "requests" in columns else {}),
        "rows": rows,
        "best_possible": _best_possible(entries, metrics),
        "segments": _by_segment(ordered, columns),
    }


def _parts(entry: Entry, columns: Mapping[str, np.ndarray]) -> dict[str, list[Parts]]:
    labels, users, lists = columns["labels"], columns["groups"], columns.get("requests")
    parts = {
        "auc": [auc_parts(labels, logits, users) for logits in entry.logits],
        "gauc": [gauc_parts(labels, logits, users) for logits in entry.logits],
    }
    if lists is not None:
        parts["request_gauc"] = [gauc_parts(labels, logits, users, lists) for logits in entry.logits]
    return parts


def _described(test: Difference, corrected: float) -> dict[str, float]:
    return {**test._asdict(), "p_holm": corrected}


def _sizes(entry: Entry) -> dict[str, Any]:
    first = entry.metrics[0]
    sizes = first["parameters"] or {"embedding": None, "dense": None}
    # LightGBM's rounds all pass over the whole split, and it trains in one piece.
    epochs = 1 if first["parameters"] is None else None
    seconds = [
        1000 * made["training_seconds"] / (made["training_examples"] * (epochs or made["epochs"]))
        for made in entry.metrics
    ]
    return {
        "parameters": sizes["dense"],
        "embedding_parameters": sizes["embedding"],
        # The least disturbed run: whatever else the machine does only adds to it.
        "training_seconds": min(made["training_seconds"] for made in entry.metrics),
        "seconds_per_1000": min(seconds),
        "best_epochs": [made["best_epoch"] for made in entry.metrics],
    }


def _best_possible(entries: Sequence[Entry], metrics: Sequence[str]) -> dict[str, float] | None:
    for entry in entries:
        if "best_possible" in entry.metrics[0]:
            known = next(iter(entry.metrics[0]["best_possible"]["test"].values()))
            return {metric: known[metric] for metric in metrics}
    return None


def _by_segment(entries: Sequence[Entry], columns: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    labels = columns["labels"]
    made = []
    for title, parts in segments(dict(columns)).items():
        rows = {
            entry.name: [
                float(np.mean([auc(labels[inside], logits[inside]) for logits in entry.logits]))
                for inside in parts.values()
            ]
            for entry in entries
        }
        counts = [int(inside.sum()) for inside in parts.values()]
        made.append({"title": title, "parts": list(parts), "examples": counts, "auc": rows})
    return made


def write(folder: Path, result: dict[str, Any]) -> str:
    """Write `leaderboard.json`, `.csv` and `.md`; return the last."""
    write_text(folder / "leaderboard.json", json.dumps(_without_nan(result), indent=1))
    write_text(folder / "leaderboard.csv", _csv(result))
    text = markdown(result)
    write_text(folder / "leaderboard.md", text + "\n")
    return text


def shown(result: dict[str, Any]) -> dict[str, str]:
    """The metrics that a leaderboard shows, and what it calls them."""
    names = {name: METRICS[name].title for name in SHOWN if name in result["rows"][0]}
    return names | {name: f"test {names[name]}" for name in ("auc", "gauc")}


def tested(result: dict[str, Any]) -> dict[str, str]:
    """The metrics in which a leaderboard's models are tested against the best, and what it calls them."""
    return {name: METRICS[name].title for name in _TESTED if f"{name}_difference" in result["rows"][0]}


def markdown(result: dict[str, Any]) -> str:
    """The leaderboard as Markdown."""
    metrics = shown(result)
    head = ["model", *metrics.values(), "AUC to best", "p (Holm)", "dense parameters", "kFLOPs"]
    head += ["training s / 1000", f"ms / {result['rows'][0]['rows']} rows"]
    rows = [
        [
            row["model"],
            *(_or_dash(row[metric], mean_and_spread) for metric in metrics),
            "best" if row["auc_difference"] is None else f"{row['auc_difference']['value']:+.4f}",
            "" if row["auc_difference"] is None else p_text(row["auc_difference"]["p_holm"]),
            "-" if row["parameters"] is None else f"{row['parameters']:,}",
            "-" if row["flops"] is None else f"{row['flops'] / 1e3:,.1f}",
            f"{row['seconds_per_1000']:.3f}",
            f"{row['milliseconds']:.2f}",
        ]
        for row in result["rows"]
    ]
    if result["best_possible"]:
        known = result["best_possible"]
        rows.insert(0, ["best possible", *(f"{known[name]:.4f}" for name in metrics), *[""] * 6])
    seeds = f"Mean ± standard deviation over {result['seeds']} seeds" if result["seeds"] > 1 else "One seed"
    counts = f"{result['examples']:,} test examples of {result['users']:,} users"
    counts += f" in {result['requests']:,} lists" if "requests" in result else ""
    return markdown_table(head, rows) + f"\n\n{seeds}, {counts}."


def p_text(p: float | None) -> str:
    """A p as text."""
    return "-" if p is None or math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _or_dash(values: Sequence[float | None], form: Callable[[list[float]], str]) -> str:
    known = [value for value in values if value is not None and not math.isnan(value)]
    return form(known) if len(known) == len(values) else "-"


def _csv(result: dict[str, Any]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    facts = ("parameters", "embedding_parameters", "flops", "seconds_per_1000", "milliseconds")
    metrics = [metric for metric in REPORTED if metric in result["rows"][0]]
    tests = [(metric, name) for metric in tested(result) for name in ("value", "low", "high", "p", "p_holm")]
    writer.writerow(
        ["model", "seeds", *(f"{metric}_{part}" for metric in metrics for part in ("mean", "sd")),
         *facts, *(f"{metric}_difference_{name}" for metric, name in tests)]
    )  # fmt: skip
    for row in result["rows"]:
        cells: list[Any] = [row["model"], len(row["auc"])]
        for metric in metrics:
            values = row[metric]
            cells += [np.mean(values), np.std(values, ddof=1) if len(values) > 1 else ""]
        cells += [row[fact] if row[fact] is not None else "" for fact in facts]
        cells += [(row[f"{metric}_difference"] or {}).get(name, "") for metric, name in tests]
        writer.writerow(cells)
    return stream.getvalue()


def _without_nan(value: Any) -> Any:
    """NaN is no JSON."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
