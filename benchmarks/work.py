"""What a training step and a score are made of, counted and not timed: the same on every machine.

`python -m benchmarks.work --output work.json`: operations of the graphs, multiplications of their matrix products and
the largest tensor, on the standard work. A test holds them against docs/results/work.json, so that a change that makes
a step or a score dearer is seen, on whatever machine.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import standard_work
from benchmarks.requests import CANDIDATE, as_rows, by_request
from benchmarks.results import write
from tf_interformer import Ranker
from tf_interformer._keras import keras
from tf_interformer._tensorflow import tf
from tf_interformer.diagnostics.multiplications import multiplications, needed
from tf_interformer.schema import FeatureSchema

ROWS, EXAMPLES, CANDIDATES = 20_000, 160, 20
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "interformer": ("interformer", {"num_layers": standard_work.LAYERS}),
    "interformer, request form": ("interformer", {"num_layers": standard_work.LAYERS, "candidate_flow": "request"}),
    "hiformer": ("hiformer", {}),
    "dual_enhanced_attention": ("dual_enhanced_attention", {}),
}
# Nothing is done for them when a graph runs.
_FREE = {"Const", "Identity", "NoOp", "Placeholder", "StopGradient", "VarHandleOp"}


def measure(name: str) -> list[dict[str, Any]]:
    """Returns a row for a training step, and one for the scores of one user's items.

    Args:
        name: Key of `MODELS`.
    """
    schema = standard_work.schema(ROWS).replace(candidate=CANDIDATE)
    backbone, config = MODELS[name]
    keras.utils.set_random_seed(0)
    ranker = Ranker(
        schema, backbone, config, embedding={"dim": standard_work.WIDTH}, tower_units=(256, 64), name="work"
    )
    ranker.compile(jit_compile=False)
    requests = by_request(schema, standard_work.batches(schema, 1, EXAMPLES)[0], CANDIDATES)
    batch = requests if "request" in name else as_rows(schema, requests)
    ranker.train_on_batch(*batch)  # makes all weights

    def step(columns: Any, labels: Any) -> Any:
        return ranker.train_step((columns, labels))

    request = _request(schema)
    calls = {"training step": (step, batch), "scores of a request": (ranker.served.candidate_logits, (request,))}
    return [{"model": name, "what": what, **_counted(call, given)} for what, (call, given) in calls.items()]


def _request(schema: FeatureSchema) -> dict[str, Any]:
    raw = standard_work.raw_columns(schema, EXAMPLES)
    return {name: tf.constant(value if name in CANDIDATE else value[:1]) for name, value in raw.items()}


def _counted(call: Any, given: Any) -> dict[str, int]:
    specs = tf.nest.map_structure(tf.TensorSpec.from_tensor, given)
    graph = tf.function(call, autograph=False).get_concrete_function(*specs).graph
    run = list(needed(graph))
    made = [tensor for operation in run if operation.type != "ReadVariableOp" for tensor in operation.outputs]
    made = [tensor for tensor in made if tensor.dtype.is_numpy_compatible and tensor.shape.is_fully_defined()]
    return {
        "operations": sum(operation.type not in _FREE for operation in run),
        "multiplications": multiplications(call, *specs),
        "largest_bytes": max(tensor.dtype.size * int(np.prod(tensor.shape.as_list())) for tensor in made),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows as Markdown."""
    lines = ["| model | what | operations | multiplications, M | largest tensor, MB |", "|---|---|---|---|---|"]
    for row in rows:
        millions, size = row["multiplications"] / 1e6, row["largest_bytes"] / 1e6
        lines.append(f"| {row['model']} | {row['what']} | {row['operations']:,} | {millions:,.1f} | {size:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    rows = [row for name in MODELS for row in measure(name)]
    print(table(rows))
    if given.output:
        settings = {"rows": ROWS, "examples": EXAMPLES, "candidates": CANDIDATES}
        write(given.output, {"settings": settings, "counts": rows})


if __name__ == "__main__":
    main()
