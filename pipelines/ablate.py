"""Train variants of a configuration, each with several seeds, and compare.

    tf-interformer ablate --config synthetic --output runs/flows \\
        --vary model.backbone_config.information_flow=sole,sep,n2s,s2n,both --seeds 3

What is compared: the values of one key (`--vary`), named sets of settings from a YAML file (`--variants`, such as
pipelines/configs/ablations/hiformer.yaml), several configurations (`--config` with several files), or the seeds of one.
Every run has a folder of its own and trains as `pipelines.train` does, without export and plots: killed at any time,
the same command goes on, and nothing that is done is done again. Writes `ablation.json`, `ablation.md` and
`ablation.png`.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from pipelines import configs, plots
from pipelines.config import ConfigError, load_config, read_yaml
from pipelines.jobs import check_counts, markdown_table, mean_and_spread, run_jobs, training_job
from pipelines.options import add_config, add_data, add_output, add_repetitions, add_settings
from tf_interformer.command import command_parser, run_command
from tf_interformer.metrics.names import SHOWN
from tf_interformer.run_directory import RunDirectory
from tf_interformer.whole import write_text


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
    at_once: int = 1,
) -> None:
    """Run, or go on with, an ablation; see the module's text."""
    check_counts(seeds, at_once)
    for variant in variants:  # a wrong value is found before the first hour of training, not after it
        load_config(variant.config, variant.settings)
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        training_job(
            f"{key}={variant.name} seed {seed}",
            variant.config,
            folder / f"{variant.name}-seed{seed}",
            [*variant.settings, f"training.seed={seed}"],
            data_dir,
            prepared_dir,
        )
        for variant in variants
        for seed in range(seeds)
    ]
    run_jobs(jobs, at_once)
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
        found = read_yaml(configs.find(path, "ablations").read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the variants {path}: {error.strerror}") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the variants {path}: {error}") from None
    fits = isinstance(found, dict) and all(isinstance(settings, dict | None) for settings in found.values())
    if not found or not fits:
        raise ConfigError(f"{path} must map names of variants to their settings, as in `full: {{training.epochs: 2}}`")
    return {
        str(name): [f"{key}={json.dumps(value)}" for key, value in (settings or {}).items()]
        for name, settings in found.items()
    }


def _write(folder: Path, key: str, values: list[str], seeds: int) -> None:
    rows: list[dict[str, Any]] = []
    best: dict[str, float] = {}
    for value in values:
        runs = [RunDirectory(folder / f"{value}-seed{s}").finished() for s in range(seeds)]
        for task in runs[0]["test"]:
            names = [name for name in SHOWN if name in runs[0]["test"][task]]
            measured = {name: [run["test"][task][name] for run in runs] for name in names}
            rows.append({"value": value, "task": task, "parameters": runs[0]["parameters"], **measured})
        if "best_possible" in runs[0]:
            known = runs[0]["best_possible"]["test"][rows[0]["task"]]
            best = {name: known[name] for name in SHOWN if name in known}
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
    names = [name for name in SHOWN if name in result["rows"][0]]
    head = [result["key"].split(".")[-1], *(["label"] if several else []), *(f"test {name}" for name in names)]
    rows = [
        [row["value"], *([row["task"]] if several else []), *(mean_and_spread(row[name]) for name in names)]
        for row in result["rows"]
    ]
    if result["best_possible"]:
        rows.append(["best possible", *(f"{result['best_possible'][name]:.4f}" for name in names)])
    return markdown_table(head, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("ablate", __doc__)
    add_config(parser, several=True)
    add_output(parser, "folder of the runs and the comparison")
    add_data(parser)
    add_settings(parser)
    parser.add_argument("--vary", metavar="KEY=A,B,...", help="key of the configuration and its values")
    parser.add_argument(
        "--variants",
        metavar="FILE",
        help="YAML: name -> {key: value, ...}, or the name of one in pipelines/configs/ablations",
    )
    add_repetitions(parser, seeds=3, jobs=1)
    given = parser.parse_args(arguments)

    def run() -> None:
        key, variants = variants_of(given.config, given.vary, given.variants, given.overrides)
        ablate(key, variants, given.output, given.seeds, given.data_dir, given.prepared_dir, given.jobs)

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
