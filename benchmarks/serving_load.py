"""What the server of `serving.serve` bears: requests a second, and how long they take.

`python -m benchmarks.serving_load --output serving_load.json` starts the server in a process of its own, on loopback,
and calls it with 1, 8 and 64 connections, over gRPC and REST, with and without batching, one row in a request. The
limit beside them is the same model called in a process without any server, with 1 and with 64 rows. `--overload
SECONDS` then sends more than the queue takes: every request must be answered or refused, and the server must recover.
Callers and server share the machine; read the ratios.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from benchmarks.results import write
from benchmarks.timing import side_by_side
from serving.onnx_version import write_files
from serving.server.engines import loader
from serving.server.model import LoadedModel
from serving.server.options import Engine
from tf_interformer import Categorical, FeatureSchema, Label, Numeric, Ranker, Sequence
from tf_interformer.export import export_saved_model
from tf_interformer.export.example_rows import example_rows
from tf_interformer.export.request import to_request

NAME = "load"
CONNECTIONS = (1, 8, 64)
OVERLOAD = {"callers": 128, "max_queue": 32, "max_batch": 8}
# The outcome of a request is "OK" or the name of a gRPC status.
_HTTP = {200: "OK", 429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}


def make_model(folder: Path, candidate: tuple[str, ...] = (), beside: Callable[..., object] | None = None) -> Path:
    """Exports an InterFormer of two layers, width 16, over 8 features and a history of 50 events.

    Args:
        folder: Where its folder is made.
        candidate: Features of the candidates. Defaults to none.
        beside: As of `export_saved_model`. Defaults to nothing.
    """
    item = Categorical(name="item", hash_buckets=10_000)
    fields = [Categorical(name=f"field_{place}", dtype="int64", hash_buckets=1000) for place in range(6)]
    event = Categorical(name="item", table="item")
    schema = FeatureSchema(
        features=(item, *fields, Numeric(name="price", mean=0.0, std=1.0)),
        sequences=(Sequence(name="viewed", fields=(event,), max_length=50),),
        labels=(Label(name="click", mean=0.1),),
        candidate=candidate,
    )
    ranker = Ranker(schema, backbone_config={"num_layers": 2}, embedding={"dim": 16})
    export_saved_model(ranker, folder / NAME, beside=beside)
    return folder / NAME


@contextlib.contextmanager
def server(base: Path, *arguments: str) -> Iterator[tuple[str, int]]:
    """Runs `serving.serve`; gives the addresses for gRPC and the port for REST."""
    command = [sys.executable, "-m", "serving.serve", str(base), "--name", NAME, "--port", "0", "--rest-port", "0"]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ports: dict[str, int] = {}
        while len(ports) < 2:
            line = process.stdout.readline()
            if not line:
                raise SystemExit("error: the server did not start; what it printed says why")
            if found := re.match(r"(gRPC|REST) on \S*?127\.0\.0\.1:(\d+)", line):
                ports[found[1]] = int(found[2])
        yield f"127.0.0.1:{ports['gRPC']}", ports["REST"]
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class GrpcConnection:
    """A connection that asks the same again and again."""

    def __init__(self, address: str, message: bytes) -> None:
        # A pool of its own, else all channels of a process share one connection.
        self._channel = grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        self._call = self._channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        self._message = message

    async def ask(self) -> str:
        """Returns the outcome of one request."""
        try:
            await self._call(self._message, timeout=20)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    async def close(self) -> None:
        """Close it."""
        await self._channel.close()


class RestConnection:
    """The same over HTTP: a plain stream, since a whole HTTP client would take longer than the server."""

    def __init__(self, port: int, body: bytes) -> None:
        self._port = port
        head = f"POST /v1/models/{NAME}:predict HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
        self._message = head.encode() + body
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> str:
        """Returns the outcome of one request."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(self._message)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert length is not None
        await reader.readexactly(int(length[1]))
        return _HTTP.get(int(head[9:12]), f"HTTP {int(head[9:12])}")

    async def close(self) -> None:
        """Close it."""
        if self._streams is not None:
            self._streams[1].close()
            await self._streams[1].wait_closed()


async def load(connections: list[Any], seconds: float, most: int) -> dict[str, Any]:
    """Every connection asks, one request after the other, until the time or the number of requests is over."""
    outcomes: Counter[str] = Counter()
    taken: list[float] = []
    sent = 0
    end = time.perf_counter() + seconds

    async def caller(connection: Any) -> None:
        nonlocal sent
        while time.perf_counter() < end and sent < most:
            sent += 1
            started = time.perf_counter()
            try:
                outcome = await connection.ask()
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                outcomes[f"lost: {type(error).__name__}"] += 1
                return
            outcomes[outcome] += 1
            if outcome == "OK":
                taken.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(caller(connection) for connection in connections))
    passed = time.perf_counter() - started
    result: dict[str, Any] = {"sent": sent, "outcomes": dict(outcomes), "requests_per_second": outcomes["OK"] / passed}
    if len(taken) > 1:
        cuts = statistics.quantiles(taken, n=100)
        result |= {"p50_ms": 1000 * cuts[49], "p99_ms": 1000 * cuts[98]}
    return result


def connect(protocol: str, count: int, addresses: tuple[str, int], requests: dict[str, bytes]) -> list[Any]:
    """Returns so many connections."""
    if protocol == "grpc":
        return [GrpcConnection(addresses[0], requests["grpc"]) for _ in range(count)]
    return [RestConnection(addresses[1], requests["rest"]) for _ in range(count)]


async def measured(
    protocol: str, count: int, addresses: tuple[str, int], requests: dict[str, bytes], seconds: float, most: int
) -> dict[str, Any]:
    """Returns the figures of one cell."""
    connections = connect(protocol, count, addresses, requests)
    try:
        await load(connections, 0.3, 10 * count)
        return await load(connections, seconds, most)
    finally:
        for connection in connections:
            await connection.close()


async def overloaded(
    protocol: str, addresses: tuple[str, int], requests: dict[str, bytes], seconds: float, most: int
) -> dict[str, Any]:
    """Returns what became of more requests than the queue takes, and of one afterwards."""
    connections = connect(protocol, OVERLOAD["callers"], addresses, requests)
    try:
        result = await load(connections, seconds, most)
        answered = sum(n for outcome, n in result["outcomes"].items() if outcome in _HTTP.values())
        result["lost"] = result["sent"] - answered
        result["afterwards"] = await connections[0].ask()
        return result
    finally:
        for connection in connections:
            await connection.close()


def requests_for(model: LoadedModel) -> dict[str, bytes]:
    """Returns a request of one row for each protocol."""
    assert model.schema is not None
    raw = example_rows(model.schema, 1)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = NAME
    request.model_spec.signature_name = "serving_default"
    for name, value in raw.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    body = json.dumps(json.loads(to_request(model.schema, raw)))
    return {"grpc": request.SerializeToString(), "rest": body.encode()}


def in_process(model: LoadedModel, rounds: int) -> list[dict[str, Any]]:
    """Returns the rows a second of the model itself."""
    assert model.schema is not None
    rows: dict[str, Any] = {str(count): example_rows(model.schema, count) for count in (1, 64)}
    calls = {count: (lambda raw=raw: model.run("serving_default", raw)) for count, raw in rows.items()}
    return [
        {"rows": int(count), "ms": 1000 * seconds, "rows_per_second": int(count) / seconds}
        for count, seconds in side_by_side(calls, rounds, warmup=5).items()
    ]


def table(result: dict[str, Any]) -> str:
    """Returns a result as Markdown: requests a second as shares of what the process does alone, a row at a time."""
    alone = result["in_process"][0]["rows_per_second"]
    lines = ["| | connections | requests a second, share | p50 ms | p99 ms |", "|---|---|---|---|---|"]
    for row in result["served"]:
        how = f"{'gRPC' if row['protocol'] == 'grpc' else 'REST'}, {'batching' if row['batching'] else 'no batching'}"
        cells = [how, str(row["connections"]), f"{row['requests_per_second'] / alone:.2f}"]
        lines.append(f"| {' | '.join(cells)} | {row['p50_ms']:.1f} | {row['p99_ms']:.1f} |")
    for row in result["in_process"]:
        lines.append(f"| in process, {row['rows']} rows | | {row['rows_per_second'] / alone:.2f} | {row['ms']:.1f} | |")
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, help="folder of an exported model's versions (default: makes a small one)")
    engine_help = (
        "what computes the scores; a model of --base needs `export --onnx` for onnxruntime (default: tensorflow)"
    )
    parser.add_argument("--engine", choices=get_args(Engine), default="tensorflow", help=engine_help)
    parser.add_argument("--connections", type=int, nargs="+", default=list(CONNECTIONS))
    parser.add_argument("--seconds", type=float, default=5.0, help="for each figure, at most 60 (default: 5)")
    parser.add_argument("--overload", type=float, default=10.0, metavar="SECONDS", help="at most 60 (default: 10)")
    parser.add_argument("--most", type=int, default=200_000, help="requests for each figure (default: 200000)")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    tf.get_logger().setLevel("ERROR")
    seconds, overload = min(given.seconds, 60.0), min(given.overload, 60.0)
    with tempfile.TemporaryDirectory() as folder:
        base = given.base or make_model(Path(folder), beside=write_files if given.engine == "onnxruntime" else None)
        newest = max((path for path in base.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
        model = loader(given.engine)(newest)
        requests, limit = requests_for(model), in_process(model, 200)
        model.close()
        for row in limit:
            print(f"in process, {row['rows']} rows: {row['rows_per_second']:.0f} rows/s", flush=True)
        rows, engine = [], ["--engine", given.engine]
        for batching in (True, False):
            with server(base, *engine, *([] if batching else ["--no-batching"])) as addresses:
                for protocol in ("grpc", "rest"):
                    for count in given.connections:
                        figures = asyncio.run(measured(protocol, count, addresses, requests, seconds, given.most))
                        rows.append({"protocol": protocol, "batching": batching, "connections": count, **figures})
                        print(line(rows[-1]), flush=True)
        under_overload = []
        if overload > 0:
            queue = ["--max-queue", str(OVERLOAD["max_queue"]), "--max-batch", str(OVERLOAD["max_batch"])]
            with server(base, *engine, *queue) as addresses:
                for protocol in ("grpc", "rest"):
                    figures = asyncio.run(overloaded(protocol, addresses, requests, overload, given.most))
                    under_overload.append({"protocol": protocol, **OVERLOAD, "seconds": overload, **figures})
                    print(f"overload, {protocol}: {json.dumps(figures)}", flush=True)
    if given.output:
        machine = {"processor": platform.machine(), "cores": os.cpu_count(), "tensorflow": tf.__version__}
        result = {
            "machine": machine,
            "engine": given.engine,
            "in_process": limit,
            "served": rows,
            "overload": under_overload,
        }
        write(given.output, result)


def line(row: dict[str, Any]) -> str:
    """Returns a figure as text."""
    batching = "batching" if row["batching"] else "no batching"
    times = f"p50 {row.get('p50_ms', np.nan):.1f} ms, p99 {row.get('p99_ms', np.nan):.1f} ms"
    outcomes = ", ".join(f"{name} {count}" for name, count in row["outcomes"].items())
    per_second = f"{row['requests_per_second']:.0f} requests/s"
    return f"{row['protocol']}, {batching}, {row['connections']} connections: {per_second}, {times} ({outcomes})"


if __name__ == "__main__":
    main()
