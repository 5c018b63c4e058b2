"""Measure a finished run again, and compare with its `metrics.json`.

tf-interformer evaluate runs/demo
"""

import math
import sys
from collections.abc import Sequence
from typing import Any

from pipelines.config import load_config
from pipelines.options import add_data
from tf_interformer.command import add_run, command_parser, run_command
from tf_interformer.errors import UserError
from tf_interformer.run_directory import RunDirectory

# Metrics are sums of float32 scores over many threads: they agree to about so much.
TOLERANCE = 1e-6


def evaluate(run_path: str, data_dir: str | None = None, prepared_dir: str | None = None) -> None:
    """Measure the run's model on validation and test; see the module's text.

    Raises:
        UserError: The folder holds no finished run, or the metrics differ from `metrics.json`.
    """
    from pipelines import report
    from pipelines.best_column import remarks
    from pipelines.input import open_source
    from pipelines.read_errors import explained_read_errors

    run = RunDirectory(run_path)
    stored = run.finished()
    config = load_config(run.config)
    ranker = run.load_model()
    source = open_source(config.dataset, data_dir, prepared_dir)
    with explained_read_errors(source):
        metrics, _ = report.measure(ranker, source, config.training.rows_at_once)
    print(report.table(metrics, config))
    for remark in remarks(metrics, stored.get("best_column", {})):
        print(remark)
    different = list(_differences(metrics, stored))
    if different:
        raise UserError(f"measured again, these differ from {run.metrics}: " + "; ".join(different))
    print(f"equal to {run.metrics}")


def _differences(measured: dict[str, Any], stored: dict[str, Any], place: str = "") -> Any:
    for name, value in measured.items():
        here = f"{place}{name}"
        if isinstance(value, dict):
            yield from _differences(value, stored.get(name, {}), f"{here}/")
        elif not math.isclose(value, stored.get(name, math.inf), rel_tol=TOLERANCE, abs_tol=TOLERANCE) and not (
            math.isnan(value) and math.isnan(stored.get(name, math.inf))
        ):
            yield f"{here} {value} instead of {stored.get(name)}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("evaluate", __doc__)
    add_run(parser)
    add_data(parser)
    given = parser.parse_args(arguments)
    return run_command(lambda: evaluate(given.run, given.data_dir, given.prepared_dir))


if __name__ == "__main__":
    sys.exit(main())
