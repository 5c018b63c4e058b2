"""Train variants of a configuration, each with several seeds, and compare.

    python -m pipelines.ablate --config pipelines/configs/synthetic.yaml --output runs/flows \\
        --vary model.backbone_config.information_flow=sole,sep,n2s,s2n,both --seeds 3

What is compared: the values of one key (`--vary`), named sets of settings from a YAML file (`--variants`, such as
pipelines/configs/ablations/hiformer.yaml), several configurations (`--config` with several files), or the seeds of one.
Every run is one `pipelines.train` in a folder of its own: killed at any time, the same command goes on, and
nothing that is done is done again. Writes `ablation.json`, `ablation.md` and `ablation.png`.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from pipelines import plots
from pipelines.command import run_command
from pipelines.config import ConfigError, load_config
from pipelines.run_directory import write_text

METRICS = ("auc", "gauc", "ne")


class Variant(NamedTuple):
    """One row of the comparison."""

    name: str
    config: str
    settings: tuple[str, ...]


def ablate(
    key: str,
    variants: Sequence[Variant],
    output: str,
    seeds: int,
    data_dir: str | None = None,
    prepared_dir: str | None = None,
) -> None:
    """Run, or go on with, an ablation; see the module's text."""
    for variant in variants:  # a wrong value is found before the first hour of training, not after it
        load_config(variant.config, variant.settings)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(variant, seed) for variant in variants for seed in range(seeds)]
    took: list[float] = []
    for number, (variant, seed) in enumerate(jobs):
        run = folder / f"{variant.name}-seed{seed}"
        if not (run / "metrics.json").is_file():
            left = f", about {np.mean(took) * (len(jobs) - number) / 60:.0f} min left" if took else ""
            print(f"[{number + 1}/{len(jobs)}] {key}={variant.name} seed {seed}{left}", flush=True)
            started = time.monotonic()
            _train(variant.config, run, [*variant.settings, f"training.seed={seed}"], data_dir, prepared_dir)
            took.append(time.monotonic() - started)
    _write(folder, key, [variant.name for variant in variants], seeds)


def variants_of(
    configs: Sequence[str], vary: str | None, variants: str | None, overrides: Sequence[str]
) -> tuple[str, list[Variant]]:
    """What is compared, by the options of the command line: the name of the column, and its rows."""
    if (len(configs) > 1 and (vary or variants)) or (vary and variants):
        raise ConfigError("give one of: several files after --config, --vary, --variants")
    common = tuple(overrides)
    if vary:
        key, values = _varied(vary)
        return key, [Variant(value, configs[0], (*common, f"{key}={value}")) for value in values]
    if variants:
        named = _named(variants)
        return "variant", [Variant(name, configs[0], (*common, *settings)) for name, settings in named.items()]
    if len({Path(config).stem for config in configs}) < len(configs):
        raise ConfigError(f"the files after --config must have different names. Received: {' '.join(configs)}")
    return "configuration", [Variant(Path(config).stem, config, common) for config in configs]


def _varied(vary: str) -> tuple[str, list[str]]:
    key, equals, text = vary.partition("=")
    values = [value for value in text.split(",") if value]
    if not equals or not key or len(values) != len(set(values)) or not values:
        raise ConfigError(f"--vary takes KEY=VALUE,VALUE,... with different values. Received: {vary!r}")
    return key, values


def _named(path: str) -> dict[str, list[str]]:
    try:
        found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the variants {path}: {error}") from None
    fits = isinstance(found, dict) and all(isinstance(settings, dict | None) for settings in found.values())
    if not found or not fits:
        raise ConfigError(f"{path} must map names of variants to their settings, as in `full: {{training.epochs: 2}}`")
    return {
        str(name): [f"{key}={json.dumps(value)}" for key, value in (settings or {}).items()]
        for name, settings in found.items()
    }


def _train(config: str, run: Path, settings: list[str], data_dir: str | None, prepared_dir: str | None) -> None:
    command = [sys.executable, "-m", "pipelines.train", "--config", config, "--output", str(run)]
    command += ["--data-dir", data_dir] if data_dir else []
    command += ["--prepared-dir", prepared_dir] if prepared_dir else []
    for setting in settings:
        command += ["--set", setting]
    log = run.with_suffix(".log")
    with log.open("a") as stream:
        status = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, check=False)
    if status.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
        raise ConfigError(f"the run {run} failed with status {status.returncode}; its output is in {log}:\n{tail}")


def _write(folder: Path, key: str, values: list[str], seeds: int) -> None:
    rows: list[dict[str, Any]] = []
    best: dict[str, float] = {}
    for value in values:
        runs = [json.loads((folder / f"{value}-seed{s}" / "metrics.json").read_text()) for s in range(seeds)]
        for task in runs[0]["test"]:
            measured = {name: [run["test"][task][name] for run in runs] for name in METRICS}
            rows.append({"value": value, "task": task, "parameters": runs[0]["parameters"], **measured})
        if "best_possible" in runs[0]:
            best = {name: runs[0]["best_possible"]["test"][rows[0]["task"]][name] for name in METRICS}
    task = rows[0]["task"]
    result = {"key": key, "task": task, "split": "test", "seeds": seeds, "rows": rows, "best_possible": best}
    write_text(folder / "ablation.json", json.dumps(result, indent=1))
    text = table(result) + f"\n\nTask {task}, mean ± standard deviation over {seeds} seeds.\n"
    write_text(folder / "ablation.md", text)
    first = {row["value"]: row["auc"] for row in rows if row["task"] == task}
    plots.spread(first, folder / "ablation.png", f"test AUC of {task}", key)
    print(text)


def table(result: dict[str, Any]) -> str:
    """The rows of an `ablation.json` as Markdown; with several labels, each has a row."""
    several = len({row.get("task") for row in result["rows"]}) > 1
    head = [result["key"].split(".")[-1], *(["label"] if several else []), *(f"test {name}" for name in METRICS)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in result["rows"]:
        cells = [row["value"], *([row["task"]] if several else []), *(_mean_and_spread(row[name]) for name in METRICS)]
        lines.append(f"| {' | '.join(cells)} |")
    if result["best_possible"]:
        cells = [f"{result['best_possible'][name]:.4f}" for name in METRICS]
        lines.append("| best possible | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean_and_spread(values: list[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.ablate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config", required=True, nargs="+", metavar="FILE", help="YAML configurations; see pipelines/configs"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the runs and the comparison")
    parser.add_argument("--vary", metavar="KEY=A,B,...", help="key of the configuration and its values")
    parser.add_argument("--variants", metavar="FILE", help="YAML: name -> {key: value, ...}")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="runs per value (default: 3)")
    parser.add_argument("--data-dir", metavar="DIR", help="as for pipelines.train")
    parser.add_argument("--prepared-dir", metavar="DIR", help="as for pipelines.train")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    given = parser.parse_args(arguments)

    def run() -> None:
        key, variants = variants_of(given.config, given.vary, given.variants, given.overrides)
        ablate(key, variants, given.output, given.seeds, given.data_dir, given.prepared_dir)

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
