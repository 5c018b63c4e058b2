"""onnxruntime gives the answers of TensorFlow, over the same API."""

import gc
import importlib.util
import json
import shutil
import threading
import time
import weakref

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, get_model_metadata_pb2, regression_pb2

from serving.onnx_version import write_files
from serving.server.server import StartError
from serving.server.warmup import replay
from tests.serving.running_server import running
from tests.small_log import matching_schema
from tf_interformer import Categorical, Numeric, Sequence, Vector
from tf_interformer._keras import keras
from tf_interformer.errors import UserError
from tf_interformer.export import export_saved_model
from tf_interformer.export.example_rows import candidate_rows, example_rows, serialized_examples
from tf_interformer.export.request import to_request
from tf_interformer.ranker import Ranker

TASKS = ("click", "buy")
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
SIGNATURES = ["classify", "regress", "score_candidates", "serve_examples", "serving_default"]


def schema():
    """Of every kind of feature; the place in the list is served as the first."""
    small = matching_schema(TASKS)
    waits = Sequence("waits", fields=[Numeric("seconds", transform="log", mean=2.0, std=1.0)], max_length=3)
    return small.replace(
        features=[
            *small.features,
            Categorical("place", dtype="int64", vocabulary=[1, 2], serve_as=1),
            Vector("image", dim=3),
            Categorical("shop name", hash_buckets=50),
        ],
        sequences=[*small.sequences, waits],
        candidate=["item", "price", "place", "image"],
    )


SCHEMA = schema()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    keras.utils.set_random_seed(5)
    ranker = Ranker(SCHEMA, "fm", embedding={"dim": 4, "stddev": 0.5}, tower_units=(4,))
    return export_saved_model(ranker, tmp_path_factory.mktemp("models") / "clicks", beside=write_files).parent


@pytest.fixture(scope="module")
def servers(base):
    with running(base) as first, running(base, engine="onnxruntime") as second:
        yield first, second


@pytest.fixture(scope="module")
def fast(servers):
    return servers[1]


def agree(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, err_msg=name, **CLOSE)


def arrays(response):
    return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}


def outputs(body):
    (found,) = [body[name] for name in ("predictions", "outputs", "results") if name in body]
    if isinstance(found, list) and isinstance(found[0], dict):
        return {name: [row[name] for row in found] for name in found[0]}
    return found if isinstance(found, dict) else {"all": np.array(found, float)}


@pytest.mark.parametrize("rows", [1, 40])
def test_rows_over_grpc_and_rest(servers, rows):
    raw = example_rows(SCHEMA, rows, seed=rows)
    expected, found = (arrays(server.predict("serving_default", raw)) for server in servers)
    assert found["buy_probability"].shape == (rows, 1) and found["buy_probability"].dtype == np.float32
    agree(found, expected)
    assert rows == 1 or np.std(expected["buy_probability"]) > 1e-3
    request = json.loads(to_request(SCHEMA, raw))
    expected, found = (outputs(server.post(request).raise_for_status().json()) for server in servers)
    agree(found, expected)
    agree({name: np.array(value) for name, value in found.items()}, arrays(servers[0].predict("", raw)))


@pytest.mark.parametrize("count", [1, 30])
def test_candidates_over_grpc_and_rest(servers, count):
    raw = candidate_rows(SCHEMA, count, seed=count)
    expected, found = (arrays(server.predict("score_candidates", raw)) for server in servers)
    assert found["click_probability"].shape == (count, 1)
    agree(found, expected)
    inputs = json.loads(json.dumps({name: value.tolist() for name, value in raw.items()}))
    body = {"signature_name": "score_candidates", "inputs": inputs}
    expected, found = (outputs(server.post(body).raise_for_status().json()) for server in servers)
    agree(found, expected)


def test_examples(servers):
    """Some of their histories are empty, some of their features left out."""
    examples = serialized_examples(SCHEMA, example_rows(SCHEMA, 30, seed=3))
    empty = tf.train.Example.FromString(examples[0])
    for name in set(empty.features.feature) - {"item"}:
        del empty.features.feature[name]
    examples.append(empty.SerializeToString())
    expected, found = (arrays(server.predict("serve_examples", {"examples": examples})) for server in servers)
    agree(found, expected)
    made = [tf.train.Example.FromString(example) for example in examples]
    results = []
    for server in servers:
        request = classification_pb2.ClassificationRequest()
        request.model_spec.name, request.model_spec.signature_name = "clicks", "classify"
        request.input.example_list.examples.extend(made)
        classes = [row.classes for row in server.stub.Classify(request, timeout=30).result.classifications]
        assert {tuple(each.label for each in row) for row in classes} == {("0", "1")}
        request = regression_pb2.RegressionRequest(input=request.input)
        request.model_spec.name, request.model_spec.signature_name = "clicks", "regress"
        values = [row.value for row in server.stub.Regress(request, timeout=30).result.regressions]
        results.append({"classes": [[each.score for each in row] for row in classes], "values": values})
    agree(results[1], results[0])
    np.testing.assert_allclose(results[1]["values"], found["click_probability"][:, 0], **CLOSE)
    body = {
        "signature_name": "regress",
        "examples": [{"item": "item_1", "age": 30.5, "tags": [100, 101]}, {"age": 2.0}],
    }
    expected, found = (outputs(server.post(body, ":regress").raise_for_status().json()) for server in servers)
    agree(found, expected)


def test_requests_are_computed_together(servers):
    """Twenty-four callers, whose histories differ in width; each gets its own scores."""
    raw = example_rows(SCHEMA, 24, seed=9)
    expected = arrays(servers[0].predict("serving_default", raw))["click_probability"]
    found = {}

    def ask(row):
        one = {name: value[row : row + 1] for name, value in raw.items()}
        for sequence in SCHEMA.sequences:
            for field in sequence.fields:
                column = sequence.column(field.name)
                one[column] = one[column][:, : one[sequence.length_column][0]]
        found[row] = arrays(servers[1].predict("serving_default", one))["click_probability"]

    threads = [threading.Thread(target=ask, args=(row,)) for row in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_allclose(np.concatenate([found[row] for row in range(24)]), expected, **CLOSE)


def test_without_batching_and_without_a_session(servers, base, monkeypatch):
    raw = example_rows(SCHEMA, 5, seed=4)
    expected = arrays(servers[0].predict("serving_default", raw))
    monkeypatch.setattr(tf.compat.v1, "Session", lambda *_, **__: pytest.fail("a TensorFlow session was opened"))
    with running(base, engine="onnxruntime", batching=False, threads=2) as client:
        agree(arrays(client.predict("serving_default", raw)), expected)


def test_requests_are_checked_alike(servers):
    raw = example_rows(SCHEMA, 3)
    wrong = {
        "length": raw | {"viewed_length": np.array([1, 2, 7], np.int32)},
        "infinity": raw | {"price": np.array([1, np.inf, 2], np.float32)},
        "missing": {name: value for name, value in raw.items() if name != "item"},
        "none": {name: value[:0] for name, value in raw.items()},
    }
    for columns in wrong.values():
        told = []
        for server in servers:
            with pytest.raises(grpc.RpcError) as caught:
                server.predict("serving_default", columns)
            told.append((caught.value.code(), caught.value.details()))
        assert told[0] == told[1] and told[0][0] == grpc.StatusCode.INVALID_ARGUMENT


def test_what_is_no_text_is_refused(servers, fast):
    raw = example_rows(SCHEMA, 2) | {"item": np.array([b"item_1", b"\xff\xfe"], object)}
    with pytest.raises(grpc.RpcError, match="does not fit the model: column 'item' must hold text") as caught:
        fast.predict("serving_default", raw)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    unknown = raw | {"item": np.array([b"item_1", b"seen by nobody"], object)}
    agree(*(arrays(servers[0].predict("serving_default", columns)) for columns in (raw, unknown)))


def test_metadata_name_what_can_be_asked(servers, fast):
    maps = []
    for server in servers:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = "clicks"
        made = get_model_metadata_pb2.SignatureDefMap()
        server.stub.GetModelMetadata(request, timeout=30).metadata["signature_def"].Unpack(made)
        maps.append(made.signature_def)
    assert sorted(maps[1]) == SIGNATURES
    assert all(maps[1][name] == maps[0][name] for name in SIGNATURES)
    over_rest = fast.http.get(fast.model + "/metadata").json()["metadata"]["signature_def"]["signature_def"]
    assert sorted(over_rest) == SIGNATURES
    told = "and with --engine tensorflow 'embed'. Received: 'embed'"
    with pytest.raises(grpc.RpcError, match=told) as caught:
        fast.predict("embed", example_rows(SCHEMA, 1))
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    answer = fast.post({"signature_name": "embed", "instances": [{}]})
    assert answer.status_code == 400 and told in answer.json()["error"]
    answer = fast.post({"signature_name": "other", "instances": [{}]})
    assert "Received: 'other'" in answer.json()["error"] and "tensorflow" not in answer.json()["error"]


def test_warm_up_passes_over_what_the_engine_leaves_out(servers):
    counts = [replay(server.server.service.versions.get().model) for server in servers]
    assert counts == [11, 9]  # two of them `embed`


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_versions_come_and_go(base, tmp_path):
    """One without its files is reported until they are there, and of one that is gone the memory is free."""
    folder = tmp_path / "clicks"
    shutil.copytree(base / "1", folder / "1")
    with running(folder, engine="onnxruntime", poll_seconds=0.02) as client:
        states = client.server.service.versions
        model = states.get().model
        old = [weakref.ref(session) for session in model._sessions.values()]
        shutil.copytree(base / "1", tmp_path / "2")
        (tmp_path / "2" / "assets.extra" / "requests.onnx").unlink()
        (tmp_path / "2").rename(folder / "2")
        wait_until(lambda: states.statuses()[0].error)
        assert "assets.extra lacks requests.onnx: `tf-interformer export RUN --output" in states.statuses()[0].error
        assert states.serving == [1]
        gc.disable()
        try:
            shutil.copy(base / "1" / "assets.extra" / "requests.onnx", folder / "2" / "assets.extra" / ".new")
            (folder / "2" / "assets.extra" / ".new").rename(folder / "2" / "assets.extra" / "requests.onnx")
            wait_until(lambda: [status.state for status in states.statuses()] == ["AVAILABLE", "END"])
            wait_until(lambda: [session() for session in old] == [None, None])
        finally:
            gc.enable()
        response = client.predict("score_candidates", candidate_rows(SCHEMA, 3))
        assert response.model_spec.version.value == 2


def test_what_keeps_it_from_starting_is_one_message(base, tmp_path, monkeypatch):
    folder = tmp_path / "clicks"
    shutil.copytree(base / "1", folder / "1")
    for name in ("model.onnx", "schema.json"):
        (folder / "1" / "assets.extra" / name).unlink()
    told = f"lacks schema.json and model.onnx: `tf-interformer export RUN --output {folder} --onnx` writes a version"
    with pytest.raises(StartError) as caught, running(folder, engine="onnxruntime"):
        pass
    assert told in str(caught.value) and "--engine tensorflow does without" in str(caught.value)
    shutil.copytree(base / "1", folder / "2")
    (folder / "2" / "saved_model.pb").write_bytes(b"broken")
    told = r"2: OnnxError: .*2/saved_model.pb cannot be read"
    with pytest.raises(StartError, match=told), running(folder, engine="onnxruntime"):
        pass
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    told = r"onnxruntime not found: install the extra, pip install 'tf_interformer\[onnx\]'"
    with pytest.raises(UserError, match=told), running(folder, engine="onnxruntime"):
        pass
