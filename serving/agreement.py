"""Score the same rows on every way there is to serve a run, and say how far the scores lie apart.

    tf-interformer agreement runs/demo --rows 10000

In process, reloaded from a `.keras` file, the SavedModel in Python and in TensorFlow's C++ session, over gRPC and
REST from `serving.serve`, by either engine, and ONNX. Ends with 1 where a probability differs by more than 1e-5: the
graphs are optimised differently, and how far float32 then rounds apart depends on the processor.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import numpy as np
from tqdm import tqdm

from pipelines.config import load_config
from pipelines.options import add_data
from serving.encoder import Encoder
from serving.onnx import open_session
from serving.onnx_version import ROWS_FILE, write_files
from serving.server.options import Options
from tf_interformer._output_names import output_name
from tf_interformer._tensorflow import tf
from tf_interformer.command import add_run, command_parser, run_command
from tf_interformer.run_directory import RunDirectory

if TYPE_CHECKING:
    from tf_interformer.ranker import Ranker

TOLERANCE = 1e-5
_BATCH = 500

Raw = dict[str, np.ndarray]
Scores = dict[str, np.ndarray]


def agreement(
    run_path: str,
    rows: int = 10_000,
    data_dir: str | None = None,
    prepared_dir: str | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, float]:
    """The largest difference in probability to the model in process, by way of serving.

    Args:
        run_path: Folder of a finished run.
        rows: The first so many rows of its test split. Defaults to 10,000.
        data_dir: As for `pipelines.train`.
        prepared_dir: As for `pipelines.train`.
        say: Where progress goes. Defaults to `print`.

    Raises:
        UserError: The folder holds no finished run.
    """
    from pipelines.input import open_source
    from pipelines.read_errors import explained_read_errors
    from tf_interformer.export.float32 import for_serving

    run = RunDirectory(run_path)
    run.finished()
    source = open_source(load_config(run.config).dataset, data_dir, prepared_dir)
    ranker = for_serving(run.load_model())
    with explained_read_errors(source):
        raw = source.raw_batches("test", _BATCH, schema=ranker.schema).take(-(-rows // _BATCH))
        batches = [_first(batch, rows - i * _BATCH) for i, batch in enumerate(raw.as_numpy_iterator())]
    served = ranker.schema.signature()
    batches = [{name: batch[name] for name in served} for batch in batches]
    say(f"{sum(len(next(iter(b.values()))) for b in batches):,} rows of the test split of {ranker.schema.name}")
    expected = [ranker.score(batch) for batch in batches]
    worst = {}
    with tempfile.TemporaryDirectory() as folder, _ways(ranker, Path(folder)) as ways:
        for name, way in ways.items():
            differences = [
                np.abs(found[task] - scores[task]).max()
                for batch, scores in zip(tqdm(batches, desc=name, leave=False, disable=None), expected, strict=True)
                for found in [way(batch)]
                for task in scores
            ]
            worst[name] = float(np.max(differences))
            say(f"{name}: {worst[name]:.1e}")
    return worst


def _first(batch: Raw, count: int) -> Raw:
    return {name: values[:count] for name, values in batch.items()}


@contextmanager
def _ways(ranker: "Ranker", folder: Path) -> Iterator[dict[str, Callable[[Raw], Scores]]]:
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    from serving.graph_session import GraphSession
    from serving.server.in_thread import in_thread
    from tf_interformer.export import export_saved_model
    from tf_interformer.export.request import to_request

    schema, tasks = ranker.schema, ranker.schema.tasks
    name = {task: output_name("probability", task, len(tasks)) for task in tasks}

    def by_task(outputs: Any) -> Scores:
        return {task: np.asarray(outputs[name[task]]).reshape(-1) for task in tasks}

    ranker.save(str(folder / "model.keras"))
    reloaded = type(ranker).from_file(folder / "model.keras")
    version = export_saved_model(ranker, folder / "model", 1, beside=write_files)
    signature = tf.saved_model.load(str(version)).signatures["serving_default"]
    extra = version / "assets.extra"
    encoder, session = Encoder(extra / "schema.json"), open_session(extra / ROWS_FILE)
    wanted = [output.name for output in session.get_outputs()]
    asked = [column.name for column in session.get_inputs()]

    def in_python(batch: Raw) -> Scores:
        return by_task(
            signature(**{asked.name: tf.constant(batch[name]) for name, asked in schema.signature().items()})
        )

    def in_onnx(batch: Raw) -> Scores:
        encoded = encoder.encode(batch)
        outputs = session.run(wanted, {name: encoded[name] for name in asked})
        return by_task(dict(zip(wanted, outputs, strict=True)))

    options = Options(folder / "model", name="model", port=0, rest_port=0, grace=2)
    with (
        GraphSession(version) as graph,
        in_thread(options) as (server, _),
        in_thread(replace(options, engine="onnxruntime")) as (other, _),
    ):
        url = f"http://127.0.0.1:{server.rest_port}/v1/models/model:predict"

        def over_grpc(port: int, batch: Raw) -> Scores:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "model"
            for name, value in batch.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_receive_message_length", -1)]) as channel:
                answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=60)
            return by_task({name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()})

        def over_rest(batch: Raw) -> Scores:
            answer = httpx.post(url, content=to_request(schema, batch), timeout=60)
            if answer.is_error:
                raise RuntimeError(f"the server refused a batch: {answer.text}")
            rows = answer.json()["predictions"]
            return by_task({name: [row[name] for row in rows] for name in rows[0]})

        yield {
            "reloaded from .keras": reloaded.score,
            "SavedModel in Python": in_python,
            "SavedModel in the C++ session": lambda batch: by_task(graph.run("serving_default", batch)),
            "gRPC": partial(over_grpc, server.port),
            "REST": over_rest,
            "gRPC, by onnxruntime": partial(over_grpc, other.port),
            "ONNX": in_onnx,
        }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = command_parser("agreement", __doc__)
    add_run(parser)
    parser.add_argument("--rows", type=int, default=10_000, metavar="N", help="of the test split (default: 10000)")
    add_data(parser)
    given = parser.parse_args(arguments)
    apart: list[str] = []

    def run() -> None:
        worst = agreement(given.run, given.rows, given.data_dir, given.prepared_dir)
        apart.extend(name for name, difference in worst.items() if not difference <= TOLERANCE)
        print(f"too far apart: {', '.join(apart)}" if apart else "all agree")

    return run_command(run) or int(bool(apart))


if __name__ == "__main__":
    sys.exit(main())
