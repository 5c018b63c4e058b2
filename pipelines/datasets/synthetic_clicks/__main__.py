"""Print the metrics of the true probabilities of the simulated log: the best that a model can expect.

tf-interformer best-possible --num-examples 130000 --seed 0
"""

import sys
from collections.abc import Sequence

from pipelines.datasets.synthetic_clicks.best_possible import best_possible
from pipelines.datasets.synthetic_clicks.simulate import LABELS, simulate
from tf_interformer.command import command_parser
from tf_interformer.metrics.names import METRICS

_SHOWN = ("auc", "gauc", "log_loss", "ne")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("best-possible", __doc__)
    parser.add_argument("--num-examples", type=int, default=130_000, help="size of the log (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the log (default: %(default)s)")
    given = parser.parse_args(arguments)
    if given.num_examples < 1:
        parser.error(f"--num-examples must be at least 1. Received: {given.num_examples}")
    log = simulate(given.num_examples, given.seed)
    print(
        f"{'label':<12} {'split':<11} {'examples':>9} {'rate':>7} "
        + " ".join(f"{METRICS[name].title:>8}" for name in _SHOWN)
    )
    for label in LABELS:
        for split, metrics in best_possible(log, label).items():
            rate = metrics["positives"] / metrics["examples"]
            values = " ".join(f"{metrics[name]:>8.4f}" for name in _SHOWN)
            print(f"{label:<12} {split:<11} {metrics['examples']:>9.0f} {rate:>7.4f} {values}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
