import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.client import InvalidRequest, Ranker, ServerError
from tests.small_log import learned_schema
from tf_interformer._keras import keras
from tf_interformer.ranker import Ranker as Model
from tf_interformer.schema import FeatureSchema

TASKS = ("click", "buy")
CANDIDATE = ("item", "tags", "price")
USER = {"user": 3, "country": "NL", "age": None}
HISTORY = {
    "viewed": [{"item": "item_1", "tag": 101}, {"item": "item_5", "tag": 104}],
    "bought": ["item_7"],
}
CANDIDATES = [
    {"item": "item_2", "tags": [100, 101], "price": 3.5},
    {"item": "never seen", "tags": [], "price": None},
    {"item": "item_9", "tags": None, "price": np.float32(20)},
]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(5)
    schema = FeatureSchema.from_config(learned_schema(TASKS).get_config() | {"candidate": CANDIDATE})
    config = {"num_layers": 1, "information_flow": "both", "interaction": "dot", "num_heads": 2}
    return Model(schema, backbone_config=config, embedding={"dim": 8}, tower_units=(8,))


@pytest.fixture(scope="module")
def expected(model):
    """The probabilities of the candidates, from rows written by hand."""
    rows = {
        "user": np.array([3, 3, 3]),
        "country": np.array(["NL"] * 3),
        "age": np.full(3, np.nan, np.float32),
        "viewed_item": np.array([["item_1", "item_5"]] * 3),
        "viewed_tag": np.array([[101, 104]] * 3),
        "viewed_length": np.array([2] * 3, np.int32),
        "bought_item": np.array([["item_7"]] * 3),
        "bought_length": np.array([1] * 3, np.int32),
        "item": np.array(["item_2", "never seen", "item_9"]),
        "tags": np.array([[100, 101, -1], [-1, -1, -1], [-1, -1, -1]]),
        "price": np.array([3.5, np.nan, 20], np.float32),
    }
    return model.score(rows)


class Backend:
    """What both servers do: score as the signatures would, after the failures that a test asked for."""

    def __init__(self, model):
        self.model = model
        self.failures, self.requests = [], []

    def score(self, signature, inputs):
        schema = self.model.schema
        specs = schema.candidate_signature() if signature == "score_candidates" else schema.signature()
        assert set(inputs) == set(specs)
        for name, spec in specs.items():
            assert spec.is_compatible_with(tf.constant(inputs[name])), name
        count = len(inputs["item"])
        rows = {name: np.repeat(value, count // len(value), axis=0) for name, value in inputs.items()}
        return {f"{task}_probability": values[:, None] for task, values in self.model.score(rows).items()}

    def typed(self, columns):
        specs = self.model.schema.signature()
        return {name: np.array(value, specs[name].dtype.as_numpy_dtype) for name, value in columns.items()}


class GrpcService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, backend):
        self.backend = backend

    def Predict(self, request, context):
        self.backend.requests.append(request)
        if self.backend.failures:
            context.abort(*self.backend.failures.pop(0))
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        answer = predict_pb2.PredictResponse()
        for name, value in self.backend.score(request.model_spec.signature_name, inputs).items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return answer


def rest_handler(backend):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            backend.requests.append((self.path, body))
            if backend.failures:
                status, message = backend.failures.pop(0)
                self.answer(status, {"error": message})
                return
            outputs = backend.score(body["signature_name"], backend.typed(body["inputs"]))
            self.answer(200, {"outputs": {name: value.tolist() for name, value in outputs.items()}})

        def answer(self, status, content):
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *arguments):
            pass

    return Handler


@pytest.fixture(scope="module")
def backend(model):
    return Backend(model)


@pytest.fixture(scope="module")
def grpc_address(backend):
    server = grpc.server(ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(GrpcService(backend), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture(scope="module")
def rest_address(backend):
    server = ThreadingHTTPServer(("127.0.0.1", 0), rest_handler(backend))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(params=["grpc", "rest"])
def address(request, backend):
    backend.failures.clear()
    backend.requests.clear()
    return request.getfixturevalue(f"{request.param}_address")


def schema_of(model, **changes):
    return model.schema.get_config() | changes


def test_ranks_by_the_models_probabilities(address, model, expected):
    with Ranker(address, schema=schema_of(model), name="small") as ranker:
        ranked = ranker.rank(USER, HISTORY, CANDIDATES)
        by_purchase = Ranker(address, schema=schema_of(model), name="small", task="buy")
        bought = by_purchase.rank(USER, HISTORY, CANDIDATES)
        by_purchase.close()
    assert [each.place for each in ranked] == np.argsort(-expected["click"]).tolist()
    assert [each.place for each in bought] == np.argsort(-expected["buy"]).tolist()
    for place, candidate, probability, probabilities in ranked:
        assert candidate is CANDIDATES[place]
        assert probability == probabilities["click"]
        for task in TASKS:
            assert probabilities[task] == pytest.approx(expected[task][place], abs=1e-5)


@pytest.mark.parametrize("repeat_user", [False, True])
def test_without_candidate_features_rows_are_repeated(address, model, backend, expected, tmp_path, repeat_user):
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(schema_of(model, candidate=CANDIDATE if repeat_user else ())))
    with Ranker(address, schema=file, name="small", version=7, repeat_user=repeat_user) as ranker:
        ranked = ranker.rank(USER, HISTORY, CANDIDATES)
    assert {each.place: each.probability for each in ranked} == pytest.approx(
        dict(enumerate(expected["click"])), abs=1e-5
    )
    sent = backend.requests[-1]
    if isinstance(sent, tuple):
        assert sent[0] == "/v1/models/small/versions/7:predict" and sent[1]["signature_name"] == "serving_default"
    else:
        spec = sent.model_spec
        assert (spec.name, spec.version.value, spec.signature_name) == ("small", 7, "serving_default")


def test_no_candidates_and_empty_histories(address, model, backend):
    with Ranker(address, schema=schema_of(model), name="small") as ranker:
        assert ranker.rank(USER, HISTORY, []) == [] and not backend.requests
        assert len(ranker.rank(USER, {"viewed": [], "bought": []}, CANDIDATES)) == 3


def failures_of(address):
    if address.startswith("http"):
        return [(503, "starting"), (429, "full")], (400, "'price' must be finite")
    busy = [(grpc.StatusCode.UNAVAILABLE, "starting"), (grpc.StatusCode.RESOURCE_EXHAUSTED, "full")]
    return busy, (grpc.StatusCode.INVALID_ARGUMENT, "'price' must be finite")


def test_tries_again_while_the_server_is_busy(address, model, backend):
    busy, _ = failures_of(address)
    backend.failures += busy
    with Ranker(address, schema=schema_of(model), name="small") as ranker:
        assert len(ranker.rank(USER, HISTORY, CANDIDATES)) == 3
    assert len(backend.requests) == 3


def test_gives_up_at_the_deadline_and_says_why(address, model, backend):
    busy, _ = failures_of(address)
    backend.failures += busy[1:] * 50
    with (
        Ranker(address, schema=schema_of(model), name="small", timeout=0.3) as ranker,
        pytest.raises(ServerError, match=r"no answer within 0.3 s, \d+ attempts\. The last: .*full"),
    ):
        ranker.rank(USER, HISTORY, CANDIDATES)
    assert 1 < len(backend.requests) < 50


def test_a_refusal_is_not_tried_again(address, model, backend):
    backend.failures.append(failures_of(address)[1])
    with (
        Ranker(address, schema=schema_of(model), name="small") as ranker,
        pytest.raises(ServerError, match="'price' must be finite"),
    ):
        ranker.rank(USER, HISTORY, CANDIDATES)
    assert len(backend.requests) == 1


def test_a_schema_of_another_model_is_told(address, model):
    schema = schema_of(model, labels=[{"name": "share"}])
    with (
        Ranker(address, schema=schema, name="small") as ranker,
        pytest.raises(ServerError, match=r"must return 'probability' for 3 candidates: is this its schema\.json"),
    ):
        ranker.rank(USER, HISTORY, CANDIDATES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"user": {"country": "NL", "age": 4}}, r"user_features: missing \['user'\], unknown \[\]"),
        ({"user": USER | {"item": "a"}}, r"user_features: missing \[\], unknown \['item'\]"),
        ({"user": USER | {"user": "ann"}}, r"user_features: 'user' must be an integer\. Received: 'ann'"),
        ({"user": USER | {"user": 2**63}}, r"user_features: 'user' must be an integer"),
        ({"user": USER | {"age": float("inf")}}, r"user_features: 'age' must be finite .* Received: inf"),
        ({"user": USER | {"age": True}}, r"user_features: 'age' must be a number\. Received: True"),
        ({"history": {"viewed": []}}, r"history: missing \['bought'\]"),
        ({"history": HISTORY | {"bought": "item_1"}}, r"history: 'bought' must be a list of events"),
        ({"history": HISTORY | {"bought": ["item_1"] * 5}}, r"'bought' must hold at most 4 events.* Received: 5"),
        ({"history": HISTORY | {"viewed": [{"item": "a"}]}}, r"history: viewed\[0\]: missing \['tag'\]"),
        ({"history": HISTORY | {"viewed": ["a"]}}, r"history: viewed\[0\] must be a dict"),
        ({"history": HISTORY | {"bought": [7]}}, r"history: bought\[0\]: 'item' must be a string\. Received: 7"),
        ({"item": {"item": "a", "tags": []}}, r"candidates\[1\]: missing \['price'\]"),
        ({"item": {"item": "a", "tags": 100, "price": 1}}, r"candidates\[1\]: 'tags' must be a list\. Received: 100"),
        ({"item": {"item": "a", "tags": [1, 2, 3, 4], "price": 1}}, r"'tags' must hold at most 3 values\. Received: 4"),
        ({"item": {"item": None, "tags": [], "price": "4"}}, r"candidates\[1\]: 'price' must be a number"),
        ({"item": "a"}, r"candidates\[1\] must be a dict"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_sent(model, change, message):
    candidates = [CANDIDATES[0], change.get("item", CANDIDATES[1])]
    with (
        Ranker("http://127.0.0.1:9", schema=schema_of(model), name="small") as ranker,
        pytest.raises(InvalidRequest, match=message),
    ):
        ranker.rank(change.get("user", USER), change.get("history", HISTORY), candidates)


def test_a_vector_has_its_length():
    schema = {"features": [{"kind": "vector", "name": "image", "dim": 3}], "labels": [{"name": "click"}]}
    with (
        Ranker("http://127.0.0.1:9", schema=schema, name="small") as ranker,
        pytest.raises(InvalidRequest, match=r"candidates\[0\]: 'image' must hold exactly 3 values\. Received: 2"),
    ):
        ranker.rank({}, {}, [{"image": [0.5, 1]}])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"address": "ftp://a:1"}, r"`address` must be grpc://HOST:PORT, .* Received: 'ftp://a:1'"),
        ({"timeout": 0}, r"`timeout` must be above 0 seconds\. Received: 0"),
        ({"task": "share"}, r"`task` must be one of \['click', 'buy'\]\. Received: 'share'"),
        ({"schema": "nowhere.json"}, r"cannot read the schema from the file nowhere\.json: No such file"),
        ({"schema": {"features": 3}}, r"not a schema that FeatureSchema\.to_json wrote: .*features: .* Received: 3"),
    ],
)
def test_a_wrong_client_is_told(model, arguments, message):
    address = arguments.pop("address", "http://127.0.0.1:9")
    with pytest.raises(InvalidRequest, match=message):
        Ranker(address, **({"schema": schema_of(model), "name": "small"} | arguments))


def test_rest_needs_no_tensorflow(model):
    program = f"""
import sys
from serving.client import Ranker, ServerError
schema = {schema_of(model, candidate=list(CANDIDATE))!r}
with Ranker("http://127.0.0.1:9", schema=schema, name="small", timeout=0.1) as ranker:
    try:
        ranker.rank({USER!r}, {HISTORY!r}, [{CANDIDATES[0]!r}])
    except ServerError as error:
        print(error)
assert not {{"tensorflow", "keras", "tf_keras", "grpc"}} & set(sys.modules)
"""
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "no answer within 0.1 s" in done.stdout
