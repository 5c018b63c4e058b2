"""One training run of a comparison: as `pipelines.train`, with the test predictions kept and nothing exported.

`tf-interformer compare` starts it; it takes the arguments of `pipelines.train`.
"""

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.compare.plan import LIGHTGBM, LINEAR
from pipelines.config import TrainConfig, load_config
from pipelines.options import add_config, add_data, add_output, add_settings
from tf_interformer.command import command_parser, run_command
from tf_interformer.whole import whole_file

if TYPE_CHECKING:
    from pipelines.input import Source
    from pipelines.training_run import TrainingRun
    from tf_interformer.evaluation import Predictions


def run_job(
    config_file: str,
    output: str,
    data_dir: str | None = None,
    prepared_dir: str | None = None,
    overrides: Sequence[str] = (),
) -> None:
    """Run, or go on with, one job; see the module's text."""
    from pipelines.compare import boosting
    from pipelines.fingerprint import fingerprint
    from pipelines.input import open_source
    from pipelines.read_errors import explained_read_errors
    from pipelines.training_run import TrainingRun

    config = load_config(config_file, overrides)
    run = TrainingRun(output)
    # After a kill, what is left of the old process ends before the new one begins.
    with run.owned(config, wait=True):
        if run.metrics.is_file():
            return
        source = open_source(config.dataset, data_dir, prepared_dir)
        run.check_data(fingerprint(source))
        with explained_read_errors(source):
            made = boosting.fit if config.model.backbone == LIGHTGBM else _train
            facts, predictions = made(config, source, run)
        _save_predictions(run.path / "predictions.npz", predictions)
        # metrics.json comes last: where it is, the run is whole.
        run.save_metrics(facts)
        shutil.rmtree(run.path / "checkpoints", ignore_errors=True)


def _train(config: TrainConfig, source: "Source", run: "TrainingRun") -> "tuple[dict[str, Any], Predictions]":
    from pipelines import report
    from pipelines.compare.logistic_regression import linear_backbone
    from pipelines.training import Trainer

    trained = config
    if config.model.backbone == LINEAR:
        backbone = {"backbone": linear_backbone(source.schema.tasks), "backbone_config": None}
        trained = config.model_copy(update={"model": config.model.model_copy(update=backbone)})
    trainer = Trainer(trained, source, run)
    ranker = trainer.train()
    metrics, predictions = report.measure(ranker, source, config.training.rows_at_once)
    run.save_model(ranker, run.model)
    facts = report.describe(ranker, trainer.state) | {"history": trainer.state.history}
    return metrics | facts, predictions["test"]


def _save_predictions(path: Path, predictions: "Predictions") -> None:
    task = next(iter(predictions.logits))
    with whole_file(path) as temporary:
        np.savez_compressed(
            temporary,
            logits=np.asarray(predictions.logits[task], np.float32),
            labels=np.asarray(predictions.labels[task], np.int8),
        )


def _end_with_parent() -> None:
    """Asks this process to stop, state saved, once the one that started it is gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("compare", __doc__)
    parser.prog = "python -m pipelines.compare.job"  # it is no program of its own
    add_config(parser)
    add_output(parser, "folder of the run")
    add_data(parser)
    add_settings(parser)
    given = parser.parse_args(arguments)
    return run_command(lambda: run_job(given.config, given.output, given.data_dir, given.prepared_dir, given.overrides))


if __name__ == "__main__":
    _end_with_parent()
    sys.exit(main())
