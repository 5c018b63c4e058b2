"""What composite projections, low rank and last-layer pruning cost and save, at 16, 40 and 100 fields and as published.

`python -m benchmarks.hiformer_cost --output hiformer_cost.json` builds a Hiformer of three layers over random tokens
in every form, and measures all forms of one size in turns: a training step (SGD, so that no moments are counted) and
the scoring of 1 and of 256 rows, both compiled by XLA. Then it scores 1024 rows with the models of the paper's tables,
at the paper's sizes. Read the ratios, not the milliseconds.
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
RANKS = {"rank_k": 16, "rank_v": 128}  # to each other as in the paper
ROWS = 256
FULL = "composite full, unpruned"
FORMS: dict[str, dict[str, Any]] = {
    "heterogeneous, unpruned": {"attention": "heterogeneous", "prune_last_layer": False},
    "heterogeneous, pruned": {"attention": "heterogeneous"},
    FULL: {"prune_last_layer": False},
    "composite full, pruned": {},
    "composite low rank, unpruned": {**RANKS, "prune_last_layer": False},
    "composite low rank, pruned": RANKS,
}

FEATURES = 37
WIDE = 128
PUBLISHED_ROWS = 1024
HETEROGENEOUS: dict[str, Any] = {"attention": "heterogeneous", "rank_k": None, "rank_v": None}
# Model of the paper -> what makes it here from `prune_last_layer`, parameters in millions, latency. The paper's counts
# are of whole models without their embedding tables.
PUBLISHED: dict[str, tuple[Callable[[bool], Any], float, float]] = {
    "Transformer, 1 layer": (lambda prune: Transformer(1, prune), 0.74, 1.0),
    "Transformer, 2 layers": (lambda prune: Transformer(2, prune), 0.84, 3.03),
    "HeteroAtt, 1 layer": (lambda prune: Hiformer.published(prune_last_layer=prune, **HETEROGENEOUS), 2.36, 1.01),
    "HeteroAtt, 2 layers": (
        lambda prune: Hiformer.published(num_layers=2, prune_last_layer=prune, **HETEROGENEOUS),
        10.5,
        3.11,
    ),
    "Hiformer, low rank": (lambda prune: Hiformer.published(prune_last_layer=prune), 16.68, 1.52),
    "Hiformer, full": (
        lambda prune: Hiformer.published(rank_k=None, rank_v=None, prune_last_layer=prune),
        59.95,
        3.35,
    ),
}


class Transformer(keras.layers.Layer):
    """Layers of a Transformer over the features and a task token, in the sizes of `Hiformer.published`."""

    def __init__(self, num_layers: int, prune_last_layer: bool) -> None:
        super().__init__()
        self.num_layers = num_layers
        self.prune_last_layer = prune_last_layer

    def build(self, input_shape: Any) -> None:
        dense = keras.layers.Dense
        self.task_token = self.add_weight(name="task_token", shape=(1, 1, WIDE))
        self.attentions = [[dense(4 * n, use_bias=False) for n in (16, 16, 64)] for _ in range(self.num_layers)]
        self.outputs = [dense(WIDE, use_bias=False) for _ in range(self.num_layers)]
        self.first = [dense(512, activation="gelu") for _ in range(self.num_layers)]
        self.second = [dense(WIDE) for _ in range(self.num_layers)]
        self.norms = [keras.layers.LayerNormalization() for _ in range(2 * self.num_layers + 1)]
        super().build(input_shape)

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> dict[str, Any]:
        features = inputs["features"]
        task = tf.broadcast_to(tf.convert_to_tensor(self.task_token), (features.shape[0], 1, WIDE))
        x = self.norms[0](tf.concat([features, task], axis=1))
        for i in range(self.num_layers):
            pruned = self.prune_last_layer and i == self.num_layers - 1
            own = x[:, -1:] if pruned else x
            queries, keys, values = (_heads(layer(y)) for layer, y in zip(self.attentions[i], (own, x, x), strict=True))
            weights = tf.nn.softmax(tf.matmul(queries, keys, transpose_b=True) / 4.0)
            attended = tf.transpose(tf.matmul(weights, values), (0, 2, 1, 3))
            x = self.norms[2 * i + 1](own + self.outputs[i](tf.reshape(attended, (*own.shape[:2], -1))))
            x = self.norms[2 * i + 2](x + self.second[i](self.first[i](x)))
        return {"label": x[:, -1]}


def _heads(x: tf.Tensor) -> tf.Tensor:
    """`[B, L, 4 E] -> [B, 4, L, E]`."""
    return tf.transpose(tf.reshape(x, (*x.shape[:2], 4, -1)), (0, 2, 1, 3))


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


def measure_published(rounds: int) -> list[dict[str, Any]]:
    """Returns a row per model of the paper: parameters, multiplications and latency, pruned and not."""
    rng = np.random.default_rng(0)
    tokens = tf.constant(rng.normal(size=(PUBLISHED_ROWS, FEATURES, WIDE)).astype("float32"))
    calls: dict[str, Callable[[], object]] = {}
    rows = []
    for name, (make, parameters, latency) in PUBLISHED.items():
        row = {"model": name, "published_parameters": parameters, "published_latency": latency}
        for form, prune in (("pruned", True), ("unpruned", False)):
            keras.utils.set_random_seed(0)
            model = make(prune)
            model(_tokens(tokens[:1]))
            row[f"{form}_parameters"] = int(model.count_params())
            row[f"{form}_multiplications"] = multiplications(
                lambda x, model=model: model(_tokens(x)), tf.TensorSpec((1, FEATURES, WIDE))
            )
            calls[f"{name}: {form}"] = _scoring(model, tokens)
        rows.append(row)
    for name, seconds in side_by_side(calls, rounds).items():
        model_name, form = name.split(": ")
        next(row for row in rows if row["model"] == model_name)[f"{form}_ms"] = 1000 * seconds
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


def published_table(rows: list[dict[str, Any]]) -> str:
    """Returns the rows as Markdown, latencies as multiples of that of one pruned Transformer layer."""
    lines = [
        "| model | parameters, M | published | multiplications, M | latency | published | without pruning |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        latencies = [row[key] / rows[0]["pruned_ms"] for key in ("pruned_ms", "unpruned_ms")]
        cells = [
            row["model"],
            f"{row['pruned_parameters'] / 1e6:.2f}",
            f"{row['published_parameters']:.2f}",
            f"{row['pruned_multiplications'] / 1e6:.2f}",
            f"{latencies[0]:.2f}",
            f"{row['published_latency']:.2f}",
            f"{latencies[1]:.2f}",
        ]
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
    print("the models of the paper", flush=True)
    published = measure_published(given.rounds)
    print(published_table(published))
    if given.output:
        result = {
            "settings": {"width": WIDTH, "heads": HEADS, "layers": LAYERS, **RANKS, "rows": ROWS},
            "machine": {"processor": platform.machine(), "tensorflow": tf.__version__},
            "rows": rows,
            "published": {"features": FEATURES, "width": WIDE, "rows": PUBLISHED_ROWS, "models": published},
        }
        write(given.output, result)


if __name__ == "__main__":
    main()
