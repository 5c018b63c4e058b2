import base64
import json
import re
import threading

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    regression_pb2,
)

from tests.serving.running_server import running
from tests.small_log import learned_schema, raw_batch
from tf_interformer._keras import keras
from tf_interformer.export import export_saved_model
from tf_interformer.export.example_rows import candidate_rows, serialized_examples
from tf_interformer.export.request import to_request
from tf_interformer.ranker import Ranker
from tf_interformer.schema import FeatureSchema

CANDIDATE = ("item", "tags", "price")
TINY = {"num_layers": 1, "information_flow": "sole", "interaction": "dot"}
SCHEMA = FeatureSchema.from_config({**learned_schema().get_config(), "candidate": CANDIDATE})


def make(seed):
    keras.utils.set_random_seed(seed)
    return Ranker(SCHEMA, backbone_config=TINY, embedding={"dim": 8, "stddev": 0.5}, tower_units=(8,))


@pytest.fixture(scope="module")
def ranker():
    return make(2)


@pytest.fixture(scope="module")
def exported(ranker, tmp_path_factory):
    return export_saved_model(ranker, tmp_path_factory.mktemp("models") / "clicks")


@pytest.fixture(scope="module")
def server(exported):
    with running(exported.parent, max_rows=100, max_body_mb=1) as client:
        yield client


def columns(count=8, seed=7):
    return {name: value for name, value in raw_batch(count, seed).items() if name != "click"}


def probability(response):
    return tf.make_ndarray(response.outputs["probability"])[:, 0]


# What it answers


def test_grpc_scores_equal_the_model(server, ranker):
    raw = columns()
    response = server.predict("serving_default", raw)
    np.testing.assert_allclose(probability(response), ranker.score(raw)["click"], atol=1e-5)
    assert (response.model_spec.name, response.model_spec.version.value) == ("clicks", 1)
    assert len(response.outputs["logit"].float_val) == 8  # the field that clients read
    request = server.request("", raw)
    request.output_filter.append("logit")
    assert set(server.stub.Predict(request, timeout=30).outputs) == {"logit"}


def test_rest_rows_and_columns(server, ranker):
    raw = columns()
    expected = ranker.score(raw)["click"]
    rows = json.loads(to_request(SCHEMA, raw))
    predictions = server.post(rows).json()["predictions"]
    assert set(predictions[0]) == {"probability", "logit"}
    np.testing.assert_allclose([row["probability"][0] for row in predictions], expected, atol=1e-5)
    inputs = {name: [row[name] for row in rows["instances"]] for name in rows["instances"][0]}
    outputs = server.post({"inputs": inputs}).json()["outputs"]
    np.testing.assert_allclose(np.ravel(outputs["probability"]), expected, atol=1e-5)
    assert server.post(rows, "/versions/1:predict").json()["predictions"] == predictions


def test_one_output_is_a_plain_list(server):
    rows = json.loads(to_request(SCHEMA, columns(3)))["instances"]
    predictions = server.post({"signature_name": "embed", "instances": rows}).json()["predictions"]
    expected = tf.make_ndarray(server.predict("embed", columns(3)).outputs["representation"])
    np.testing.assert_allclose(predictions, expected, atol=1e-5)
    inputs = {name: [row[name] for row in rows] for name in rows[0]}
    assert server.post({"signature_name": "embed", "inputs": inputs}).json()["outputs"] == predictions


def test_examples(server, ranker):
    raw = columns()
    expected = ranker.score(raw)["click"]
    examples = serialized_examples(SCHEMA, raw)
    response = server.predict("serve_examples", {"examples": examples})
    np.testing.assert_allclose(probability(response), expected, atol=1e-5)
    encoded = [{"b64": base64.b64encode(example).decode()} for example in examples]
    for instances in (encoded, [{"examples": example} for example in encoded]):
        predictions = server.post({"signature_name": "serve_examples", "instances": instances}).json()["predictions"]
        np.testing.assert_allclose([row["probability"][0] for row in predictions], expected, atol=1e-5)


def test_candidates(server, ranker):
    raw = candidate_rows(SCHEMA, 20)
    repeated = {name: value if name in CANDIDATE else np.repeat(value, 20, axis=0) for name, value in raw.items()}
    expected = ranker.score(repeated)["click"]
    np.testing.assert_allclose(probability(server.predict("score_candidates", raw)), expected, atol=1e-5)
    inputs = {name: [None if value != value else value for value in v.tolist()] for name, v in raw.items()}
    inputs = json.loads(json.dumps(inputs, default=bytes.decode))
    outputs = server.post({"signature_name": "score_candidates", "inputs": inputs}).json()["outputs"]
    np.testing.assert_allclose(np.ravel(outputs["probability"]), expected, atol=1e-5)


def test_classify_and_regress(server, ranker):
    raw = columns()
    expected = ranker.score(raw)["click"]
    examples = [tf.train.Example.FromString(text) for text in serialized_examples(SCHEMA, raw)]
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "clicks", "classify"
    request.input.example_list.examples.extend(examples)
    result = server.stub.Classify(request, timeout=30).result
    scores = [{c.label: c.score for c in row.classes}["1"] for row in result.classifications]
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    request = regression_pb2.RegressionRequest()
    request.model_spec.name, request.model_spec.signature_name = "clicks", "regress"
    context = request.input.example_list_with_context
    context.examples.extend(examples)
    context.context.features.feature["age"].float_list.value.append(1.0)  # the examples' own value counts
    result = server.stub.Regress(request, timeout=30).result
    np.testing.assert_allclose([row.value for row in result.regressions], expected, atol=1e-5)
    request.model_spec.signature_name = "classify"
    with pytest.raises(grpc.RpcError, match=r"signature 'classify' cannot regress: it must give 'outputs'"):
        server.stub.Regress(request, timeout=30)


def test_metadata_and_status(server):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "clicks"
    response = server.stub.GetModelMetadata(request, timeout=30)
    made = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(made)
    assert set(made.signature_def["serving_default"].inputs) == set(SCHEMA.signature())
    over_rest = server.http.get(server.model + "/metadata").json()
    assert over_rest["model_spec"]["version"] == "1"
    assert set(over_rest["metadata"]["signature_def"]["signature_def"]) == set(made.signature_def)

    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "clicks"
    response = model_service_pb2_grpc.ModelServiceStub(server.channel).GetModelStatus(request, timeout=30)
    over_rest = server.http.get(server.model).json()
    assert over_rest["model_version_status"][0]["state"] == "AVAILABLE"
    assert over_rest == MessageToDict(
        response, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def test_health_and_metrics(server):
    server.predict("serving_default", columns(3))
    with pytest.raises(grpc.RpcError):
        server.predict("no such signature", columns(3))
    assert server.http.get("/healthz").json() == {"status": "ok", "versions": [1]}
    answer = health_pb2_grpc.HealthStub(server.channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    text = server.http.get("/metrics").text
    assert 'serving_requests_total{protocol="grpc",signature="serving_default",status="OK"}' in text
    assert 'serving_requests_total{protocol="grpc",signature="unknown",status="FAILED_PRECONDITION"}' in text
    assert 'serving_loaded_version{model="clicks",version="1"} 1.0' in text
    for name in ("serving_queue_length", "serving_batch_rows_bucket", "serving_request_seconds_bucket"):
        assert name in text
    assert server.http.get("/monitoring/prometheus/metrics").status_code == 200


def test_many_callers_get_their_own_scores(server, ranker):
    raw = columns(24, seed=3)
    expected = ranker.score(raw)["click"]
    answers = {}

    def ask(row):
        one = {name: value[row : row + 1] for name, value in raw.items()}
        for sequence in SCHEMA.sequences:  # histories of different widths meet in one batch
            length = one[sequence.length_column][0]
            for field in sequence.fields:
                one[sequence.column(field.name)] = one[sequence.column(field.name)][:, :length]
        answers[row] = float(probability(server.predict("serving_default", one))[0])

    threads = [threading.Thread(target=ask, args=(row,)) for row in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose([answers[row] for row in range(24)], expected, atol=1e-5)


# Limits


def test_overload_is_refused_at_once_and_passes(server, monkeypatch):
    batcher = server.server.service.versions.get().batcher
    monkeypatch.setattr(batcher, "_max_queue", 0)
    with pytest.raises(grpc.RpcError, match="0 requests wait already") as caught:
        server.predict("", columns(1))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.post(to_request(SCHEMA, columns(1)).encode()).status_code == 429
    monkeypatch.undo()
    assert server.post(to_request(SCHEMA, columns(1)).encode()).status_code == 200


def test_bodies_are_limited(server):
    assert server.post(b"[" * 2**21).status_code == 413
    assert server.post({}, headers={"x": "y"}).status_code == 400

    def parts():
        for _ in range(3):
            yield b" " * 2**19

    assert server.http.post(server.model + ":predict", content=parts()).status_code == 413
    with pytest.raises(grpc.RpcError) as caught:
        server.predict("serve_examples", {"examples": [b"x" * 2**21]})
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


# Malformed requests


def changed(**changes):
    return columns(2) | changes


GRPC = {
    "missing": ({k: v for k, v in columns(2).items() if k != "age"}, r"missing inputs \['age'\]"),
    "unknown": (changed(colour=[1, 2]), r"unknown inputs \['colour'\]"),
    "int32 for int64": (changed(user=np.array([1, 2], np.int32)), "'user' must be int64. Received: int32"),
    "double": (changed(age=np.array([1.0, 2.0])), "'age' must be float32. Received: float64"),
    "number for string": (changed(item=np.array([1, 2])), "'item' must be string. Received: int64"),
    "rank": (changed(user=np.array([[1], [2]])), r"'user' must have the shape \[rows\]. Received: \[2, 1\]"),
    "batch sizes": (changed(user=np.array([1, 2, 3])), "same number of rows: .* has 2, 'user' has 3"),
    "no row": ({k: v[:0] for k, v in columns(2).items()}, "has no row"),
    "too many rows": (columns(101), "has 101 rows: this server takes at most 100"),
    "infinity": (changed(age=np.array([1, np.inf], np.float32)), "'age' must hold finite numbers"),
    "negative length": (changed(viewed_length=np.array([0, -1], np.int32)), "'viewed_length' must not be negative"),
    "length beyond": (changed(bought_length=np.array([0, 5], np.int32)), "'bought_length' exceeds the 4 events"),
    "history too long": (changed(viewed_tag=np.full((2, 7), 100)), "'viewed_tag' may hold at most 6 events"),
    "too many values": (changed(tags=np.full((2, 4), 100)), "'tags' may hold at most 3 values"),
}


@pytest.mark.parametrize("case", GRPC)
def test_a_malformed_grpc_request_names_the_feature(server, case):
    given, message = GRPC[case]
    with pytest.raises(grpc.RpcError, match=message) as caught:
        server.predict("serving_default", given)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_malformed_tensors(server):
    for change, message in (
        (lambda tensor: tensor.tensor_shape.dim[0].__setattr__("size", -1), "'user' must have a known shape"),
        (lambda tensor: tensor.tensor_shape.dim[0].__setattr__("size", 2**40), "'user' has 1099511627776 rows"),
        (
            lambda tensor: tensor.tensor_shape.dim.add(size=2),
            r"'user' must have the shape \[rows\]. Received: \[2, 2\]",
        ),
        (
            lambda tensor: tensor.tensor_shape.dim.extend([tensor.tensor_shape.dim[0]] * 70),
            "'user' may have at most 64 axes",
        ),
        (lambda tensor: tensor.__setattr__("dtype", 999), "'user' has no dtype that a request may hold. Received: 999"),
        (lambda tensor: tensor.__setattr__("dtype", tf.resource.as_datatype_enum), "no dtype .* Received: resource"),
        (lambda tensor: tensor.__setattr__("tensor_content", b"123"), "'user' is no whole tensor"),
        (lambda tensor: tensor.ClearField("tensor_content"), r"'user' has the shape \[2\] but 0 values"),
    ):
        request = server.request("", columns(2))
        change(request.inputs["user"])
        with pytest.raises(grpc.RpcError, match=message) as caught:
            server.stub.Predict(request, timeout=30)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_wrong_candidates(server):
    raw = candidate_rows(SCHEMA, 5)
    for changes, message in (
        ({"user": np.array([1, 2])}, r"'user'"),
        ({"price": np.ones(4, np.float32)}, "same number of rows"),
        ({name: np.repeat(raw[name][:1], 101, axis=0) for name in CANDIDATE}, "101 rows: this server takes at most"),
    ):
        with pytest.raises(grpc.RpcError, match=message) as caught:
            server.predict("score_candidates", raw | changes)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    answer = server.post({"signature_name": "score_candidates", "instances": [{}]})
    assert answer.status_code == 400
    assert "one user and many candidates" in answer.json()["error"]
    inputs = {name: [0] * 10**5 for name in SCHEMA.signature()}
    assert server.post({"signature_name": "score_candidates", "inputs": inputs}).status_code in (400, 413)


def test_wrong_examples(server):
    good = serialized_examples(SCHEMA, columns(2))
    other = tf.train.Example.FromString(good[1])

    def with_feature(name, **kind):
        example = tf.train.Example.FromString(good[1])
        example.features.feature[name].CopyFrom(tf.train.Feature(**kind))
        return example.SerializeToString()

    ints = tf.train.Int64List(value=[1, 2])
    for bad, message in (
        (good[1][:-3], "example 1 is no serialized tf.train.Example"),
        (b"", "example 1 holds none of the model's features"),
        (with_feature("item", int64_list=ints), "feature 'item' must be a bytes_list. Received: int64_list"),
        (with_feature("user", int64_list=ints), "feature 'user' must hold 1 values. Received: 2"),
        (with_feature("age", float_list=tf.train.FloatList(value=[np.inf])), "feature 'age' must hold finite numbers"),
        (with_feature("viewed_tag", int64_list=tf.train.Int64List(value=[1] * 6)), "same number of events"),
        (with_feature("viewed_tag", int64_list=tf.train.Int64List(value=[1] * 7)), "at most 6 events"),
    ):
        if "same number" in message and len(other.features.feature["viewed_item"].bytes_list.value) == 6:
            continue
        with pytest.raises(grpc.RpcError, match=message) as caught:
            server.predict("serve_examples", {"examples": [good[0], bad]})
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def row(**changes):
    body = json.loads(to_request(SCHEMA, columns(2)))
    body["instances"][1] |= changes
    return json.dumps(body).encode()


REST = {
    "garbage": (b"\x00\xff<html>", 400, "is not JSON"),
    "NaN": (row(user=float("nan")), 400, "instance 1: 'user' must hold an integer"),
    "infinity": (row(age=float("inf")), 400, "instance 1: 'age' must hold a number"),
    "a list": (b"[]", 400, "must be a JSON object"),
    "nothing": (b"{}", 400, "must hold `instances`"),
    "no instance": (b'{"instances": []}', 400, "at least one row"),
    "signature": (b'{"signature_name": "x", "instances": [1]}', 400, r"Received: 'x'"),
    "signature's type": (b'{"signature_name": 3, "instances": [1]}', 400, "`signature_name` must be a string"),
    "type": (row(item=3), 400, "instance 1: 'item' must hold a string. Received: 3"),
    "large": (row(age=1e39), 400, "'age' must hold a number"),
    "length": (row(viewed_length=2**40), 400, "'viewed_length' must hold an integer"),
    "ragged": (row(viewed_tag=[100], viewed_length=3), 400, "instance 1: 'viewed_length' exceeds the 1 events in"),
    "long": (row(viewed_item=["a"] * 7), 400, "'viewed_item' may hold at most 6 events"),
    "columns": (b'{"inputs": {"item": ["a"]}}', 400, "missing columns"),
    "column": (b'{"inputs": [1]}', 400, "must be an object of columns"),
}


@pytest.mark.parametrize("case", REST)
def test_a_malformed_rest_request_is_named(server, case):
    body, status, message = REST[case]
    answer = server.post(body)
    assert answer.status_code == status
    assert re.search(message, answer.json()["error"])


def test_unknown_paths_models_and_versions(server):
    body = to_request(SCHEMA, columns(1)).encode()
    for path in (
        "/v1/models/other:predict",
        "/v1/models/clicks/versions/9:predict",
    ):
        answer = server.http.post(path, content=body)
        assert answer.status_code == 404
        assert "Received" in answer.json()["error"]
    assert server.http.get("/v1/models/clicks/versions/9").status_code == 404
    for options in ({"name": "other"}, {"version": 9}):
        with pytest.raises(grpc.RpcError) as caught:
            server.predict("", columns(1), **options)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    request = server.request("", columns(1))
    request.model_spec.version_label = "stable"
    with pytest.raises(grpc.RpcError, match=r"no version labels\. Received: 'stable'"):
        server.stub.Predict(request, timeout=30)


FEW = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=3) | st.just("b64"), inner, max_size=2)
    ),
    max_leaves=8,
)


@FEW
@given(name=st.sampled_from(sorted(SCHEMA.signature())), value=ANY_JSON)
def test_any_value_is_scored_or_refused_and_leaves_the_other_rows(server, ranker, name, value):
    raw = columns(3)
    rows = json.loads(to_request(SCHEMA, raw))
    rows["instances"][1][name] = value
    answer = server.post(json.dumps(rows).encode())
    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        assert name in answer.json()["error"] or name.removesuffix("_length") in answer.json()["error"]
        return
    scores = [row["probability"][0] for row in answer.json()["predictions"]]
    np.testing.assert_allclose([scores[0], scores[2]], ranker.score(raw)["click"][[0, 2]], atol=1e-5)
    assert 0 <= scores[1] <= 1


@FEW
@given(data=st.data())
def test_any_broken_message_is_refused(server, data):
    message = server.request("", columns(2)).SerializeToString()
    start = data.draw(st.integers(0, len(message) - 1))
    kind = data.draw(st.sampled_from(["cut", "flip", "insert"]))
    if kind == "cut":
        broken = message[:start]
    elif kind == "flip":
        broken = message[:start] + bytes([message[start] ^ data.draw(st.integers(1, 255))]) + message[start + 1 :]
    else:
        broken = message[:start] + data.draw(st.binary(min_size=1, max_size=8)) + message[start:]
    call = server.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    try:
        call(broken, timeout=30)
    except grpc.RpcError as error:
        assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND), error.details()


@FEW
@given(
    items=st.lists(st.text(max_size=4) | st.sampled_from(["item_1", "item_2"]), min_size=1, max_size=5),
    user=st.integers(-(2**63), 2**63 - 1),
    price=st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False),
    lengths=st.tuples(st.integers(0, 6), st.integers(0, 4)),
)
def test_any_valid_request_gets_the_scores_of_the_model(server, ranker, items, user, price, lengths):
    count = len(items)
    raw = columns(count) | {"item": np.array(items, object), "user": np.full(count, user)}
    raw["price"] = np.full(count, np.nan if price is None else price, np.float32)
    raw["viewed_length"], raw["bought_length"] = (np.full(count, length, np.int32) for length in lengths)
    expected = ranker.score(raw)["click"]
    np.testing.assert_allclose(probability(server.predict("", raw)), expected, atol=1e-5)
    predictions = server.post(to_request(SCHEMA, raw).encode()).json()["predictions"]
    np.testing.assert_allclose([row["probability"][0] for row in predictions], expected, atol=1e-5)
