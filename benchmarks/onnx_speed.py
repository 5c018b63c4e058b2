"""How fast every model of the package scores in onnxruntime, against TensorFlow without XLA, at 1, 100 and 1000 rows.

`python -m benchmarks.onnx_speed --output onnx_speed.json` converts untrained models of equal width over a synthetic
schema and scores the same random encoded batches in turns: by the ONNX file, and by the TensorFlow function from which
it was converted, as a SavedModel holds it. Looking ids up is in neither. Read the ratios, not the milliseconds.
"""

import argparse
import platform
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tensorflow as tf

from benchmarks.results import write
from benchmarks.timing import side_by_side
from serving.onnx import encoded_signature, export_onnx, numeric_core, open_session, random_batch
from tf_interformer import backbones
from tf_interformer._keras import LEGACY, keras
from tf_interformer.ranker import Ranker
from tf_interformer.schema import Categorical, Feature, FeatureSchema, Label, Numeric, Sequence

WIDTH = 16
HEADS = 4
LAYERS = 2
EVENTS = 50
IDS = 10_000
_INTERACTIONS = ("dot", "dcn_v2", "dhen", "hiformer", "heterogeneous_attention", "dual_enhanced_attention")
_SIZE = {"num_layers": LAYERS, "num_heads": HEADS}
OURS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"interformer, {name}": ("interformer", {"interaction": name, **_SIZE}) for name in _INTERACTIONS},
    "hiformer": ("hiformer", _SIZE),
    "dual_enhanced_attention": ("dual_enhanced_attention", _SIZE),
}
# The models of other papers, with their own defaults.
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    name: (name, {}) for name in backbones.names() if name not in ("interformer", *OURS)
}
MODELS = OURS | OTHERS


def schema(fields: int) -> FeatureSchema:
    """So many categorical features, two numbers, and a history of items and categories."""
    features: tuple[Feature, ...] = (
        *(Categorical(name=f"field_{i}", hash_buckets=IDS) for i in range(fields)),
        Numeric(name="price", mean=0.0, std=1.0),
        Numeric(name="age", mean=0.0, std=1.0),
    )
    events = (Categorical(name="item", table="field_0"), Categorical(name="category", hash_buckets=100))
    return FeatureSchema(
        name="onnx_speed",
        features=features,
        sequences=(Sequence(name="viewed", fields=events, max_length=EVENTS),),
        labels=(Label(name="click", mean=0.1),),
    )


def measure(name: str, fields: int, sizes: list[int], rounds: int) -> list[dict[str, Any]]:
    """Returns a row per batch size, for one model."""
    keras.utils.set_random_seed(0)
    backbone, config = MODELS[name]
    ranker = Ranker(
        schema(fields),
        backbone=backbone,
        backbone_config=config,
        embedding={"dim": WIDTH},
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        difference = export_onnx(ranker, path)
        session, size = open_session(path), path.stat().st_size
    function = tf.function(numeric_core(ranker), autograph=False, input_signature=[encoded_signature(ranker)])
    concrete = function.get_concrete_function()
    random = np.random.default_rng(0)
    rows = []
    for count in sizes:
        batch = random_batch(ranker, count, random)
        tensors = {key: tf.constant(value) for key, value in batch.items()}
        taken = side_by_side(
            {
                "onnxruntime": partial(session.run, ["probability"], batch),
                "tensorflow": partial(_waited, concrete, tensors),
            },
            rounds,
        )
        rows.append(
            {
                "model": name,
                "rows": count,
                **{f"{call}_ms": 1000 * seconds for call, seconds in taken.items()},
                "tensorflow_over_onnxruntime": taken["tensorflow"] / taken["onnxruntime"],
                "largest_difference": difference,
                "file_bytes": size,
            }
        )
    return rows


def _waited(function: Any, tensors: dict[str, tf.Tensor]) -> object:
    return function(tensors)["probability"].numpy()


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the rows as Markdown."""
    lines = [
        "| model | rows | onnxruntime ms | TensorFlow ms | TensorFlow / onnxruntime |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        times = f"{row['onnxruntime_ms']:.3f} | {row['tensorflow_ms']:.3f}"
        lines.append(f"| {row['model']} | {row['rows']} | {times} | {row['tensorflow_over_onnxruntime']:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS), metavar="MODEL")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument("--fields", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    rows = []
    for name in given.models:
        print(name, flush=True)
        rows += measure(name, given.fields, given.rows, given.rounds)
    print(table(rows))
    if given.output:
        result = {
            "settings": {
                "fields": given.fields,
                "ids": IDS,
                "events": EVENTS,
                "width": WIDTH,
                "heads": HEADS,
                "layers": LAYERS,
                "rounds": given.rounds,
            },
            "machine": {
                "processor": platform.machine(),
                "tensorflow": tf.__version__,
                "onnxruntime": onnxruntime.__version__,
                "keras": "tf_keras" if LEGACY else "keras 3",
            },
            "rows": rows,
        }
        write(given.output, result)


if __name__ == "__main__":
    main()
