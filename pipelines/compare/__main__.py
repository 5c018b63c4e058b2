"""Compare models under one protocol: same data, same training, several seeds, a test against the best.

    tf-interformer compare --config synthetic --output runs/compare

Every run has a folder of its own under `runs`. Killed at any time, the same command with --resume goes on, and nothing
that is done is done again; more models and more seeds may be asked for then. Writes `leaderboard.csv`,
`leaderboard.md`, `leaderboard.json` and `report.html`, which needs nothing beside it.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from pipelines.compare.plan import Model, Plan, read_plan
from pipelines.config import ConfigError
from pipelines.jobs import Job, check_counts, run_jobs, training_job
from pipelines.monitor import Monitor
from pipelines.options import add_config, add_data, add_output, add_repetitions
from tf_interformer.command import Interrupted, command_parser, run_command
from tf_interformer.run_directory import RunDirectory


def compare(
    config: str,
    output: str,
    data_dir: str | None = None,
    prepared_dir: str | None = None,
    models: Sequence[str] = (),
    seeds: int = 5,
    jobs: int | None = None,
    resume: bool = False,
) -> None:
    """Run, or go on with, a comparison; see the module's text."""
    from pipelines.compare.examples import load_examples
    from pipelines.input import open_source
    from pipelines.read_errors import explained_read_errors

    for package in ("jinja2", "scipy", "matplotlib"):
        if find_spec(package) is None:
            raise ConfigError(f"the report needs {package}: pip install 'tf_interformer[pipelines,report]'")
    at_once = jobs or max(1, (os.cpu_count() or 1) // 2)
    check_counts(seeds, at_once)
    plan, skipped = _installed(read_plan(config, models))
    folder = Path(output)
    if folder.exists() and any(folder.iterdir()) and not resume:
        raise ConfigError(f"{folder} is not empty: give --resume to go on with it, or another --output")
    _check_runs(folder, plan, seeds)
    configs = {model.name: plan.config(model, 0, 0) for model in plan.models}
    opened = {
        dataset: open_source(dataset, data_dir, prepared_dir)
        for dataset in dict.fromkeys([plan.dataset, *(config.dataset for config in configs.values())])
    }
    sources = {name: opened[config.dataset] for name, config in configs.items()}
    source = opened[plan.dataset]  # a model of its own data may lack what is told of the examples
    Monitor.of_schema(configs[plan.models[0].name].training.monitor, source.schema)  # LightGBM alone would not ask
    with explained_read_errors(source):
        columns = load_examples(folder / "examples.npz", source)

    def job(model: Model, candidate: int, seed: int) -> Job:
        tried = (
            f" setting {candidate + 1} of {len(plan.candidates_of(model))}"
            if len(plan.candidates_of(model)) > 1
            else ""
        )
        return training_job(
            f"{model.name} seed {seed}{tried}",
            plan.base,
            _run(folder, model, candidate, seed),
            plan.settings(model, candidate, seed),
            data_dir,
            prepared_dir,
        )

    searched = [model for model in plan.models if len(plan.candidates_of(model)) > 1]
    if searched:
        run_jobs([job(m, c, 0) for m in searched for c in range(len(plan.candidates_of(m)))], at_once)
    chosen = {model: _choice(folder, plan, model) if model in searched else 0 for model in plan.models}
    run_jobs([job(m, chosen[m], seed) for m in plan.models for seed in range(seeds)], at_once)

    from pipelines.compare.results import write_results  # needs the packages that were looked for above

    runs = {m.name: [_run(folder, m, chosen[m], seed) for seed in range(seeds)] for m in plan.models}
    settings = {m.name: [*m.settings, *plan.candidates_of(m)[chosen[m]]] for m in plan.models}
    print("measuring what the models cost", flush=True)
    with explained_read_errors(source):
        print(write_results(folder, plan, sources, columns, runs, settings, skipped, at_once))
    print(f"{folder / 'report.html'} shows it, leaderboard.csv, .md and .json hold it")


def _installed(plan: Plan) -> tuple[Plan, list[str]]:
    from pipelines.compare import boosting

    skipped = []
    models = plan.models
    if any(model.is_boosted for model in models) and not boosting.is_installed():
        skipped.append("lightgbm, which is not installed (pip install lightgbm)")
        models = tuple(model for model in models if not model.is_boosted)
        print(f"left out: {skipped[-1]}", flush=True)
    if not models:
        raise ConfigError("no model is left to compare: install lightgbm, or name others after --models")
    return replace(plan, models=models), skipped


def _run(folder: Path, model: Model, candidate: int, seed: int) -> Path:
    return folder / "runs" / model.name / f"setting{candidate}-seed{seed}"


def _check_runs(folder: Path, plan: Plan, seeds: int) -> None:
    """What is there must be of this comparison, whatever became of the file since."""
    from pipelines.training_run import TrainingRun

    for model in plan.models:
        for candidate in range(len(plan.candidates_of(model))):
            for seed in range(seeds):
                TrainingRun(_run(folder, model, candidate, seed)).check(plan.config(model, candidate, seed))


def _choice(folder: Path, plan: Plan, model: Model) -> int:
    """The setting that is best on validation at seed 0."""
    monitor = plan.config(model, 0, 0).training.monitor
    values = []
    for candidate in range(len(plan.candidates_of(model))):
        validated = RunDirectory(_run(folder, model, candidate, 0)).finished()["validation"]
        chosen = Monitor.parse(monitor, list(validated))
        values.append(chosen.signed(chosen.of(validated)))
    return max(range(len(values)), key=values.__getitem__)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("compare", __doc__)
    add_config(parser, "comparison")
    add_output(parser, "folder of the runs and the report")
    add_data(parser)
    parser.add_argument("--models", default="", metavar="A,B", help="some of the file's models (default: all)")
    add_repetitions(parser, seeds=5, jobs=None)
    parser.add_argument("--resume", action="store_true", help="go on with what the output folder holds")
    given = parser.parse_args(arguments)
    models = [name for name in given.models.split(",") if name]

    def run() -> None:
        try:
            compare(given.config, given.output, given.data_dir, given.prepared_dir, models, given.seeds, given.jobs,
                    given.resume)  # fmt: skip
        except Interrupted as stop:
            raise Interrupted(f"{stop}; add --resume") from None

    return run_command(run)


if __name__ == "__main__":
    sys.exit(main())
