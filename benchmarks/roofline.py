"""Which share of the machine's matrix rate a training step reaches.

`python -m benchmarks.roofline --output roofline.json` counts the multiplications of InterFormer's matrix products,
times a training step, and times a large matrix product in the same turns. A step does the products three times over:
forward, and backward for the inputs and for the weights.
"""

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import tensorflow as tf

from benchmarks import standard_work
from benchmarks.results import write
from benchmarks.timing import side_by_side
from tf_interformer.diagnostics.multiplications import multiplications

_SIDE = 2048


def measure(width: int, rows: int, rounds: int) -> dict[str, Any]:
    """Returns FLOPs, seconds and the share.

    Args:
        width: int. Of the embeddings.
        rows: int. Rows of all embedding tables.
        rounds: int.
    """
    schema = standard_work.schema(rows)
    size = standard_work.BATCH_SIZE
    ranker = standard_work.interformer(schema, width=width)
    made = standard_work.batches(schema)
    specs = {name: tf.TensorSpec(column.shape, column.dtype) for name, column in made[0][0].items()}
    with ranker.without_xla():
        forward = multiplications(lambda columns: ranker(columns, training=True), specs)
    batches = itertools.cycle(made)
    a = tf.random.normal((_SIDE, _SIDE))
    product = tf.function(lambda: tf.matmul(a, a))
    seconds = side_by_side(
        {
            "step": lambda: ranker.train_on_batch(*next(batches)),
            "product": lambda: product().numpy()[0, 0],
        },
        rounds,
    )
    rate = 2 * _SIDE**3 / seconds["product"]
    flops = 3 * 2 * forward
    return {
        "width": width,
        "rows": rows,
        "batch_size": size,
        "step_gflop": flops / 1e9,
        "step_ms": 1000 * seconds["step"],
        "matrix_gflops_per_second": rate / 1e9,
        "share": flops / seconds["step"] / rate,
    }


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    rows = [measure(width, given.rows, given.rounds) for width in given.width]
    for row in rows:
        print(json.dumps(row))
    if given.output:
        write(given.output, {"rows": rows})


if __name__ == "__main__":
    main()
