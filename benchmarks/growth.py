"""What a training step costs as the embedding tables grow.

`python -m benchmarks.growth --output growth.json` trains the same InterFormer with an optimiser that touches the rows
of a batch and with Keras's Adam, over tables of several sizes, all measured in turns. Read the ratios to the smallest
tables, not the milliseconds.

A batch over a larger vocabulary reads more distinct rows, which are counted. With `--same-batches` all sizes are
trained on the batches of the smallest, so that nothing grows but the tables.
"""

import argparse
import itertools
import json
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks import standard_work
from benchmarks.timing import side_by_side
from tf_interformer._keras import LEGACY, keras

OPTIMIZERS = ("lazy_adam", "adam")


def measure(
    sizes: Sequence[int], optimizers: Sequence[str] = OPTIMIZERS, rounds: int = 15, same_batches: bool = False
) -> list[dict[str, Any]]:
    """Returns a row per optimiser and size of the tables."""
    calls, distinct = {}, {}
    for rows in sizes:
        drawn = standard_work.schema(min(sizes) if same_batches else rows)
        batches = standard_work.batches(drawn)
        distinct[rows] = standard_work.distinct_rows(drawn, batches[0])
        for optimizer in optimizers:
            print(f"building: {optimizer}, {rows:,} rows", flush=True)
            calls[f"{optimizer} {rows}"] = _training_step(rows, optimizer, batches)
    seconds = side_by_side(calls, rounds)
    return [
        {
            "optimizer": optimizer,
            "rows": rows,
            "distinct_rows_per_batch": distinct[rows],
            "train_step_ms": 1000 * seconds[f"{optimizer} {rows}"],
            "to_smallest": seconds[f"{optimizer} {rows}"] / seconds[f"{optimizer} {min(sizes)}"],
        }
        for optimizer in optimizers
        for rows in sizes
    ]


def _training_step(rows: int, optimizer: str, batches: Sequence[standard_work.Batch]) -> Callable[[], object]:
    keras.utils.set_random_seed(0)
    ranker = standard_work.interformer(standard_work.schema(rows), optimizer)
    stream = itertools.cycle(batches)
    return lambda: ranker.train_on_batch(*next(stream))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows as Markdown."""
    lines = ["| optimizer | rows | distinct in a batch | ms per step | to the smallest |", "|---|---|---|---|---|"]
    for row in rows:
        cells = [row["optimizer"], f"{row['rows']:,}", f"{row['distinct_rows_per_batch']:,}"]
        cells += [f"{row['train_step_ms']:.0f}", f"{row['to_smallest']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 5_000_000])
    parser.add_argument("--optimizers", nargs="+", default=list(OPTIMIZERS), help="names that training.optimizer takes")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--same-batches", action="store_true", help="the batches of the smallest tables for all")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    rows = measure(given.rows, given.optimizers, given.rounds, given.same_batches)
    print(table(rows))
    if given.output:
        result = {
            "settings": {
                "fields": standard_work.FIELDS,
                "events": standard_work.EVENTS,
                "width": standard_work.WIDTH,
                "layers": standard_work.LAYERS,
                "batch_size": standard_work.BATCH_SIZE,
                "rounds": given.rounds,
                "same_batches": given.same_batches,
            },
            "machine": {
                "processor": platform.machine(),
                "tensorflow": tf.__version__,
                "keras": "tf_keras" if LEGACY else "keras 3",
            },
            "rows": rows,
        }
        partial = given.output.with_name(f".{given.output.name}.partial")
        partial.write_text(json.dumps(result, indent=1) + "\n")
        partial.replace(given.output)


if __name__ == "__main__":
    main()
