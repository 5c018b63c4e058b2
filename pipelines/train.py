"""Train a ranker on a click log, judge it and export it.

    tf-interformer train --config synthetic --output runs/demo

writes to the output folder: `metrics.json`, `model.keras`, `saved_model/1`, `example_request.json`,
`example_ranking.json`, `plots/`, `tensorboard/`, `schema.json` and `config.yaml`. Killed at any time, the same
command goes on where it stopped.
"""

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.config import TrainConfig, load_config
from pipelines.options import add_config, add_data, add_output, add_settings
from tf_interformer.command import command_parser, run_command
from tf_interformer.whole import write_text

if TYPE_CHECKING:
    from pipelines.input import Source
    from pipelines.training_run import TrainingRun

# Of the example ranking.
_CANDIDATES = 8


def train(
    config_file: str,
    output: str,
    data_dir: str | None = None,
    prepared_dir: str | None = None,
    overrides: Sequence[str] = (),
) -> None:
    """Run, or go on with, one training run; see the module's text."""
    from pipelines.fingerprint import fingerprint
    from pipelines.input import open_source
    from pipelines.training_run import TrainingRun

    started = time.monotonic()
    config = load_config(config_file, overrides)
    run = TrainingRun(output)
    with run.owned(config):
        if run.metrics.is_file():
            print(f"{run.path} is finished: {run.metrics}")
            return
        source = open_source(config.dataset, data_dir, prepared_dir)
        run.check_data(fingerprint(source))
        _train(config, run, source)
        print(f"{time.monotonic() - started:.0f} s in all; {run.path} holds metrics.json, model.keras, "
              "saved_model/1, plots")  # fmt: skip


def _train(config: TrainConfig, run: "TrainingRun", source: "Source") -> None:
    from pipelines import report
    from pipelines.best_column import best_columns, remarks
    from pipelines.read_errors import explained_read_errors
    from pipelines.training import Trainer
    from tf_interformer.export import export_saved_model
    from tf_interformer.export.request import to_ranking, to_request

    trainer = Trainer(config, source, run)
    with explained_read_errors(source):
        ranker = trainer.train()
        metrics, predictions = report.measure(ranker, source, config.training.rows_at_once)
        validated = len(next(iter(predictions["validation"].labels.values())))
        rows = {"train": trainer.state.examples, "validation": validated}
        best = best_columns(source, ranker.preprocessor, rows)
    run.save_model(ranker, run.model)
    if not (run.saved_model / "1").exists():
        export_saved_model(ranker, run.saved_model)
    examples = next(source.raw_batches("test", _CANDIDATES, schema=ranker.schema).as_numpy_iterator())
    write_text(run.example_request, to_request(ranker.schema, {name: rows[:1] for name, rows in examples.items()}))
    if ranker.schema.served_candidate:
        write_text(run.example_ranking, to_ranking(ranker.schema, examples))
    report.draw(run, trainer.state, predictions["test"], metrics)
    # metrics.json comes last: where it is, the run is whole.
    run.save_metrics(metrics | report.describe(ranker, trainer.state) | {"best_column": best})
    print(report.table(metrics, config))
    for remark in remarks(metrics, best):
        print(remark)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("train", __doc__)
    add_config(parser)
    add_output(parser, "folder of the run")
    add_data(parser)
    add_settings(parser)
    given = parser.parse_args(arguments)
    return run_command(lambda: train(given.config, given.output, given.data_dir, given.prepared_dir, given.overrides))


if __name__ == "__main__":
    sys.exit(main())
