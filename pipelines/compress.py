"""Compress the Hiformer of a finished run to low rank, without training, and measure what that costs.

    tf-interformer compress runs/hiformer --rank 16 --output runs/hiformer-rank16

Writes a folder that `pipelines.evaluate` and `serving` take like any run: model, SavedModel, metrics, and
`compression.txt` with `plots/spectra.png`: what became of each projection.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.config import load_config
from pipelines.options import add_data, add_output
from tf_interformer.command import add_run, command_parser, run_command
from tf_interformer.errors import UserError
from tf_interformer.run_directory import RunDirectory
from tf_interformer.whole import whole_folder, write_text


def compress(
    run_path: str,
    output: str,
    rank: int | None = None,
    energy: float = 0.99,
    data_dir: str | None = None,
    prepared_dir: str | None = None,
) -> None:
    """Compress the run's model; see the module's text.

    Raises:
        UserError: The folder holds no finished run, its model has nothing to compress, or the output exists.
    """
    from pipelines import report
    from pipelines.input import evaluation_dataset, open_source
    from pipelines.read_errors import explained_read_errors
    from pipelines.training_run import TrainingRun
    from tf_interformer.compression import low_rank
    from tf_interformer.export import export_saved_model

    run, target = RunDirectory(run_path), Path(output)
    before = run.finished()
    if target.exists():
        raise UserError(f"{target} exists: give another --output, or remove that folder")
    config = load_config(run.config)
    ranker = run.load_model()
    source = open_source(config.dataset, data_dir, prepared_dir)
    with explained_read_errors(source):
        batch = next(iter(evaluation_dataset(source, ranker.preprocessor, "validation", config.training.rows_at_once)))
        try:
            smaller, compression = low_rank(ranker, rank=rank, energy=energy, batch=batch[0])
        except ValueError as error:
            raise UserError(f"{run.model}: {error}") from None
        print(compression.table())
        metrics, _ = report.measure(smaller, source, config.training.rows_at_once)
    for split in ("validation", "test"):
        for task, now in metrics[split].items():
            then = before[split][task]
            changes = ", ".join(f"{name} {then[name]:.4f} -> {now[name]:.4f}" for name in ("auc", "gauc", "ne"))
            print(f"{split} {task}: {changes}")

    with whole_folder(target) as folder:
        made = TrainingRun(folder)
        made.plots.mkdir(parents=True)
        write_text(made.config, config.to_yaml())
        write_text(made.path / "compression.txt", compression.table() + "\n")
        compression.plot(made.plots / "spectra.png")
        smaller.schema.to_json(made.schema)
        shutil.copy(run.example_request, made.example_request)
        if run.example_ranking.exists():
            shutil.copy(run.example_ranking, made.example_ranking)
        made.save_model(smaller, made.model)
        export_saved_model(smaller, made.saved_model)
        made.save_metrics(before | metrics)
    print(f"{target} holds metrics.json, model.keras, saved_model/1, compression.txt, plots/spectra.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("compress", __doc__)
    add_run(parser, "folder of a finished run whose model has composite projections")
    add_output(parser, "folder to write; must not exist")
    parser.add_argument("--rank", type=int, metavar="N", help="rank of every projection")
    parser.add_argument(
        "--energy", type=float, default=0.99, help="without --rank: share of the squared singular values to keep"
    )
    add_data(parser)
    given = parser.parse_args(arguments)
    return run_command(
        lambda: compress(given.run, given.output, given.rank, given.energy, given.data_dir, given.prepared_dir)
    )


if __name__ == "__main__":
    sys.exit(main())
