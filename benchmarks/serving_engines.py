"""The engines of `serving.serve` side by side: how long a request takes, of rows and of one user's candidates.

`python -m benchmarks.serving_engines --output serving_engines.json` starts a server of each engine on loopback, over
one exported model, and asks both in turns over gRPC, one request at a time, by `serving_default` and
`score_candidates`. Caller and servers share the machine; read the ratios. `--base` takes a model of your own:
`tf-interformer export RUN --output BASE --onnx` writes it.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, get_args

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from tqdm import tqdm

from benchmarks.results import write
from benchmarks.serving_load import NAME, make_model, server
from serving.onnx_version import write_files
from serving.server.options import Engine
from tf_interformer import FeatureSchema
from tf_interformer.export.example_rows import candidate_rows, example_rows

ENGINES: tuple[str, ...] = get_args(Engine)
SIGNATURES = {"serving_default": example_rows, "score_candidates": candidate_rows}
_WARMUP = 5


def measure(base: Path, sizes: list[int], requests: int) -> list[dict[str, Any]]:
    """Returns a row for each signature and size, with the times of each engine.

    Args:
        base: Folder of a model whose newest version has ONNX files.
        sizes: Rows, or candidates, of a request.
        requests: Requests of each size to each engine.
    """
    newest = max((path for path in base.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    schema = FeatureSchema.from_json(newest / "assets.extra" / "schema.json")
    rows = []
    with ExitStack() as stack:
        stubs = {}
        for engine in ENGINES:
            address, _ = stack.enter_context(server(base, "--engine", engine))
            channel = stack.enter_context(grpc.insecure_channel(address, [("grpc.max_receive_message_length", -1)]))
            stubs[engine] = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        for signature, make in SIGNATURES.items():
            if signature == "score_candidates" and not schema.served_candidate:
                continue
            for size in sizes:
                request = predict_pb2.PredictRequest()
                request.model_spec.name, request.model_spec.signature_name = NAME, signature
                for name, value in make(schema, size).items():
                    request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
                rows.append({"signature": signature, "size": size, **timed(stubs, request, requests)})
                print(line(rows[-1]), flush=True)
    return rows


def timed(stubs: dict[str, Any], request: Any, requests: int) -> dict[str, Any]:
    """Returns p50 and p99 of each engine, asked in turns, and how far their answers lie apart."""
    taken: dict[str, list[float]] = {engine: [] for engine in stubs}
    answers = {}
    for count in tqdm(range(_WARMUP + requests), desc="requests", leave=False, disable=None):
        for engine, stub in stubs.items():
            started = time.perf_counter()
            answers[engine] = stub.Predict(request, timeout=60)
            if count >= _WARMUP:
                taken[engine].append(1000 * (time.perf_counter() - started))
    first, *others = answers.values()
    apart = max(
        float(np.abs(tf.make_ndarray(answer.outputs[name]) - tf.make_ndarray(tensor)).max())
        for answer in others
        for name, tensor in first.outputs.items()
    )
    cuts = {engine: statistics.quantiles(times, n=100) for engine, times in taken.items()}
    return {engine: {"p50_ms": cut[49], "p99_ms": cut[98]} for engine, cut in cuts.items()} | {"apart": apart}


def line(row: dict[str, Any]) -> str:
    """Returns a row as text."""
    times = ", ".join(f"{e} p50 {row[e]['p50_ms']:.2f} ms, p99 {row[e]['p99_ms']:.2f} ms" for e in ENGINES)
    return f"{row['signature']}, {row['size']}: {times}; apart {row['apart']:.1e}"


def table(rows: list[dict[str, Any]]) -> str:
    """Returns rows as Markdown."""
    heads = ["signature", "rows", *(f"{engine} {cut} ms" for engine in ENGINES for cut in ("p50", "p99"))]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        times = [f"{row[engine][cut]:.2f}" for engine in ENGINES for cut in ("p50_ms", "p99_ms")]
        lines.append(f"| {' | '.join(['`' + row['signature'] + '`', str(row['size']), *times])} |")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="folder of an exported model's versions (default: makes a small one)")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[1, 100, 1000], help="rows, or candidates, of a request"
    )
    parser.add_argument("--requests", type=int, default=200, help="of each size to each engine (default: 200)")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    tf.get_logger().setLevel("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        base = given.base or make_model(Path(folder), ("item", "price"), write_files)
        rows = measure(base, given.sizes, given.requests)
    print(table(rows))
    if given.output:
        machine = {"processor": platform.machine(), "cores": os.cpu_count(), "tensorflow": tf.__version__}
        write(given.output, {"machine": machine, "requests": given.requests, "engines": rows})


if __name__ == "__main__":
    main()
