"""What composite projections, low rank and last-layer pruning cost and save, at 16, 40 and 100 fields.

`python -m benchmarks.hiformer_cost --output hiformer_cost.json` builds a Hiformer of three layers over random tokens
in every form, and measures all forms of one size in turns: a training step (SGD, so that no moments are counted) and
the scoring of 1 and of 256 rows, both compiled by XLA. Read the ratios, not the milliseconds.
"""

import argparse
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.results import write
from benchmarks.timing import side_by_side
from tf_interformer._keras import keras
from tf_interformer.backbones import Hiformer
from tf_interformer.diagnostics import multiplications

WIDTH = 32
HEADS = 4
LAYERS = 3
RANK = 16
ROWS = 256
FULL = "composite full, unpruned"
FORMS: dict[str, dict[str, Any]] = {
    "heterogeneous, unpruned": {"attention": "heterogeneous", "prune_last_layer": False},
    "heterogeneous, pruned": {"attention": "heterogeneous"},
    FULL: {"prune_last_layer": False},
    "composite full, pruned": {},
    "composite low rank, unpruned": {"rank_k": RANK, "rank_v": RANK, "prune_last_layer": False},
    "composite low rank, pruned": {"rank_k": RANK, "rank_v": RANK},
}


def measure(fields: int, rounds: int) -> list[dict[str, Any]]:
    """Returns a row per form, for so many fields."""
    rng = np.random.default_rng(0)
    tokens = tf.constant(rng.normal(size=(ROWS, fields, WIDTH)).astype("float32"))
    train, score, score_one, rows = {}, {}, {}, []
    for form, arguments in FORMS.items():
        keras.utils.set_random_seed(0)
        model = Hiformer(num_layers=LAYERS, num_heads=HEADS, **arguments)
        model(_tokens(tokens))
        train[form] = _training_step(model, tokens)
        score[form] = _scoring(model, tokens)
        score_one[form] = _scoring(model, tokens[:1])
        rows.append(
            {
                "fields": fields,
                "form": form,
                "parameters": int(model.count_params()),
                "multiplications": multiplications(
                    lambda x, model=model: model(_tokens(x)), tf.TensorSpec((1, fields, WIDTH))
                ),
            }
        )
    for name, calls in (("train_step", train), ("score_256", score), ("score_1", score_one)):
        for form, seconds in side_by_side(calls, rounds).items():
            next(row for row in rows if row["form"] == form)[f"{name}_ms"] = 1000 * seconds
    return rows


def _tokens(features: tf.Tensor) -> dict[str, Any]:
    return {"features": features, "sequences": {}, "lengths": {}}


def _training_step(model: Hiformer, tokens: tf.Tensor) -> Callable[[], object]:
    variables = [weight.value if hasattr(weight, "path") else weight for weight in model.trainable_weights]

    @tf.function(jit_compile=True, autograph=False)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(_tokens(tokens), training=True)["label"] - 1.0))
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            if gradient is not None:  # the unpruned form has weights that only serve tokens nobody reads
                variable.assign_sub(1e-6 * gradient)
        return loss

    return lambda: step().numpy()


def _scoring(model: Hiformer, tokens: tf.Tensor) -> Callable[[], object]:
    score = tf.function(lambda: model(_tokens(tokens), training=False)["label"], jit_compile=True, autograph=False)
    return lambda: score().numpy()


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the rows as Markdown, times and multiplications as shares of the full, unpruned form."""
    lines = [
        "| fields | form | parameters | multiplications | training step | 256 rows | 1 row |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        full = next(r for r in rows if r["fields"] == row["fields"] and r["form"] == FULL)
        shares = [row[key] / full[key] for key in ("multiplications", "train_step_ms", "score_256_ms", "score_1_ms")]
        cells = [str(row["fields"]), row["form"], f"{row['parameters']:,}", *(f"{share:.2f}" for share in shares)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fields", type=int, nargs="+", default=[16, 40, 100])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    rows = []
    for fields in given.fields:
        print(f"{fields} fields", flush=True)
        rows += measure(fields, given.rounds)
    print(table(rows))
    if given.output:
        result = {
            "settings": {"width": WIDTH, "heads": HEADS, "layers": LAYERS, "rank": RANK, "rows": ROWS},
            "machine": {"processor": platform.machine(), "tensorflow": tf.__version__},
            "rows": rows,
        }
        write(given.output, result)


if __name__ == "__main__":
    main()
