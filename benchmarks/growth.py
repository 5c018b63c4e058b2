"""What a training step of InterFormer costs as one thing grows, beside how much the arithmetic grows.

`python -m benchmarks.growth rows --output growth.json --plot growth.png` trains the same InterFormer over tables of
several sizes, all measured in turns; `events`, `fields`, `layers` and `batch_size` are the other things that can grow.
With `rows`, Keras's Adam is measured too, which walks whole tables. Read the ratios to the smallest, not the
milliseconds.

A batch over a larger vocabulary reads more distinct rows, which are counted. With `--same-batches` all sizes are
trained on the batches of the smallest, so that nothing grows but the tables.
"""

import argparse
import itertools
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks import standard_work
from benchmarks.results import write
from benchmarks.timing import side_by_side
from tf_interformer._keras import LEGACY, keras
from tf_interformer.diagnostics.multiplications import multiplications
from tf_interformer.figures import MUTED, new_figure, save_figure, style

SIZES = {
    "rows": (10_000, 100_000, 1_000_000, 5_000_000),
    "events": (50, 200, 1000),
    "fields": (16, 40, 100),
    "layers": (1, 2, 3, 4, 6),
    "batch_size": (256, 1024, 4096, 8192),
}
_AXES = {
    "rows": "rows of the embedding tables",
    "events": "events in each of two histories",
    "fields": "features beside item and category",
    "layers": "layers",
    "batch_size": "examples in a batch",
}
ROWS = 100_000
# The attention weights of a thousand events are a million numbers for each example and head.
BATCH_OF_EVENTS = 32


def measure(
    thing: str, sizes: Sequence[int], optimizers: Sequence[str], rounds: int = 15, same_batches: bool = False
) -> list[dict[str, Any]]:
    """Returns a row per optimiser and size.

    Args:
        thing: What grows, a key of `SIZES`.
        sizes: Its sizes.
        optimizers: Names that `training.optimizer` takes.
        rounds: int. Measurements of each. Defaults to 15.
        same_batches: bool. With `rows`: the ids of the smallest tables for all. Defaults to `False`.
    """
    calls: dict[str, Callable[[], object]] = {}
    facts: dict[int, dict[str, Any]] = {}
    for size in sizes:
        rows = size if thing == "rows" else ROWS
        shape = {thing: size} if thing in ("fields", "events") else {}
        schema = standard_work.schema(rows, **shape)
        drawn = standard_work.schema(min(sizes)) if same_batches else schema
        batch_size = size if thing == "batch_size" else BATCH_OF_EVENTS if thing == "events" else 1024
        batches = standard_work.batches(drawn, size=batch_size)
        layers = size if thing == "layers" else standard_work.LAYERS
        facts[size] = {"distinct_rows_per_batch": standard_work.distinct_rows(drawn, batches[0])}
        for optimizer in optimizers:
            print(f"building: {optimizer}, {thing} {size:,}", flush=True)
            keras.utils.set_random_seed(0)
            ranker = standard_work.interformer(schema, optimizer, layers=layers)
            if "multiplications" not in facts[size]:
                facts[size]["multiplications"] = _multiplications(ranker, batches[0])
            calls[f"{optimizer} {size}"] = _step(ranker, batches)
    seconds = side_by_side(calls, rounds)
    smallest = sizes[0]
    return [
        {
            "optimizer": optimizer,
            thing: size,
            **facts[size],
            "train_step_ms": 1000 * seconds[f"{optimizer} {size}"],
            "to_smallest": seconds[f"{optimizer} {size}"] / seconds[f"{optimizer} {smallest}"],
            "arithmetic_to_smallest": facts[size]["multiplications"] / facts[smallest]["multiplications"],
        }
        for optimizer in optimizers
        for size in sizes
    ]


def _multiplications(ranker: Any, batch: standard_work.Batch) -> int:
    specs = {name: tf.TensorSpec(column.shape, column.dtype) for name, column in batch[0].items()}
    with ranker.without_xla():
        return multiplications(lambda columns: ranker(columns, training=True), specs)


def _step(ranker: Any, batches: Sequence[standard_work.Batch]) -> Callable[[], object]:
    stream = itertools.cycle(batches)
    return lambda: ranker.train_on_batch(*next(stream))


def table(thing: str, rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows as Markdown."""
    lines = [
        f"| optimizer | {thing} | distinct rows in a batch | time to the smallest | arithmetic to the smallest |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [row["optimizer"], f"{row[thing]:,}", f"{row['distinct_rows_per_batch']:,}"]
        cells += [f"{row['to_smallest']:.2f}", f"{row['arithmetic_to_smallest']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(thing: str, rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw time and arithmetic against what grows, both relative to the smallest."""
    figure = new_figure(5.2, 3.6)
    axes = figure.add_subplot(xscale="log")
    style(axes, "A training step of InterFormer", _AXES[thing], "to the smallest")
    for optimizer in dict.fromkeys(row["optimizer"] for row in rows):
        mine = [row for row in rows if row["optimizer"] == optimizer]
        axes.plot([row[thing] for row in mine], [row["to_smallest"] for row in mine], "o-", label=f"time, {optimizer}")
    mine = [row for row in rows if row["optimizer"] == rows[0]["optimizer"]]
    arithmetic = [row["arithmetic_to_smallest"] for row in mine]
    axes.plot([row[thing] for row in mine], arithmetic, "--", color=MUTED, label="multiplications")
    sizes = [row[thing] for row in mine]
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    if max(arithmetic) > 10:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    save_figure(figure, path)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("thing", choices=SIZES, nargs="?", default="rows", help="what grows")
    parser.add_argument("--sizes", type=int, nargs="+", help="default: see SIZES in this file")
    parser.add_argument("--optimizers", nargs="+", help="names that training.optimizer takes")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--same-batches", action="store_true", help="the batches of the smallest tables for all")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    parser.add_argument("--plot", type=Path, help="picture to write")
    given = parser.parse_args()
    if given.same_batches and given.thing != "rows":
        parser.error("--same-batches goes with rows")
    sizes = sorted(given.sizes or SIZES[given.thing])
    optimizers = given.optimizers or (["lazy_adam", "adam"] if given.thing == "rows" else ["lazy_adam"])
    rows = measure(given.thing, sizes, optimizers, given.rounds, given.same_batches)
    print(table(given.thing, rows))
    if given.plot:
        plot(given.thing, rows, given.plot)
    if given.output:
        settings = {
            "fields": standard_work.FIELDS,
            "events": standard_work.EVENTS,
            "width": standard_work.WIDTH,
            "layers": standard_work.LAYERS,
            "batch_size": BATCH_OF_EVENTS if given.thing == "events" else standard_work.BATCH_SIZE,
            "rows": ROWS,
            "rounds": given.rounds,
            "same_batches": given.same_batches,
        }
        machine = {
            "processor": platform.machine(),
            "tensorflow": tf.__version__,
            "keras": "tf_keras" if LEGACY else "keras 3",
        }
        write(given.output, {"thing": given.thing, "settings": settings, "machine": machine, "rows": rows})


if __name__ == "__main__":
    main()
