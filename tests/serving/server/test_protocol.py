"""What TensorFlow Serving's own tests send to a model that halves and adds two, and what they expect."""

import json
import math

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    regression_pb2,
)

from tests.serving.running_server import running

CODE = grpc.StatusCode
EXAMPLES = tf.TensorSpec([None], tf.string, "inputs")


class HalfPlusTwo(tf.Module):
    """Saved by TensorFlow 2, all of its signatures are for Predict by their method names."""

    def _halved(self, examples):
        features = {"x": tf.io.FixedLenFeature([1], tf.float32), "x2": tf.io.FixedLenFeature([1], tf.float32, [0.0])}
        parsed = tf.io.parse_example(examples, features)
        return 0.5 * parsed["x"] + 2.0, 0.5 * parsed["x2"] + 3.0

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def predict(self, x):
        return {"y": 0.5 * x + 2.0}

    @tf.function(input_signature=[EXAMPLES])
    def classify_x_to_y(self, inputs):
        return {"scores": self._halved(inputs)[0]}

    @tf.function(input_signature=[EXAMPLES])
    def classify_names(self, inputs):
        return {"classes": tf.fill([tf.size(inputs), 2], "a")}

    @tf.function(input_signature=[EXAMPLES])
    def regress_x_to_y(self, inputs):
        return {"outputs": self._halved(inputs)[0]}

    @tf.function(input_signature=[EXAMPLES])
    def regress_x2_to_y3(self, inputs):
        return {"outputs": self._halved(inputs)[1][:, 0]}

    @tf.function(input_signature=[EXAMPLES])
    def doubles(self, inputs):
        return {"outputs": tf.cast(self._halved(inputs)[0], tf.float64)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def odd(self, x):
        return {"root": tf.sqrt(x), "log": tf.math.log(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.bfloat16, "x")])
    def bfloat(self, x):
        return {"y": 2 * x}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.complex64, "x")])
    def imaginary(self, x):
        return {"y": x * 1j}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float16, "x")])
    def half(self, x):
        return {"y": 2 * x}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.uint8, "x")])
    def bytes_of(self, x):
        return {"y": tf.cast(x, tf.int16) + 300, "u": tf.cast(x, tf.uint64) + 2**63, "b": x > 2}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    base = tmp_path_factory.mktemp("protocol") / "clicks"
    model = HalfPlusTwo()
    names = [
        name
        for name in vars(HalfPlusTwo)
        if isinstance(getattr(model, name), tf.types.experimental.PolymorphicFunction)
    ]
    signatures = {name: getattr(model, name) for name in names} | {"serving_default": model.predict}
    tf.saved_model.save(model, str(base / "1"), signatures=signatures)
    with running(base) as client:
        yield client


def examples(*values):
    return [
        tf.train.Example(
            features=tf.train.Features(
                feature={"x": tf.train.Feature(float_list=tf.train.FloatList(value=[value]))} if value else {}
            )
        )
        for value in values
    ]


def asked(message, signature, *values, **fields):
    request = message(**fields)
    request.model_spec.name, request.model_spec.signature_name = "clicks", signature
    request.input.example_list.examples.extend(examples(*values))
    return request


def refused(call, code, message):
    with pytest.raises(grpc.RpcError, match=message) as caught:
        call()
    assert caught.value.code() == code


# Predict


def test_predict_over_rest(server):
    assert server.post({"instances": [2.0, 3.0, 4.0]}).json() == {"predictions": [3.0, 3.5, 4.0]}
    assert server.post({"instances": [{"x": 2.0}]}).json() == {"predictions": [3.0]}
    assert server.post({"inputs": {"x": [2.0, 3.0]}}).json() == {"outputs": [3.0, 3.5]}
    assert server.post({"inputs": [2.0]}, "/versions/1:predict").json() == {"outputs": [3.0]}


def test_numbers_that_are_none(server):
    text = server.post({"signature_name": "odd", "instances": [-1.0, 0.1, 0.0]}).text
    assert '"root": NaN' in text and '"log": -Infinity' in text
    rows = json.loads(text)["predictions"]
    assert math.isnan(rows[0]["root"]) and math.isnan(rows[0]["log"])
    assert rows[1] == {"root": float(str(np.sqrt(np.float32(0.1)))), "log": float(str(np.log(np.float32(0.1))))}
    assert rows[2] == {"root": 0.0, "log": -math.inf}
    assert '"root": NaN' not in server.post({"signature_name": "odd", "instances": [1.0]}).text


@pytest.mark.parametrize(
    ("signature", "dtype", "given", "expected"),
    [
        ("bfloat", tf.bfloat16, [1.5, -2.0], [3.0, -4.0]),
        ("half", tf.float16, [1.5, -2.0], [3.0, -4.0]),
        ("imaginary", tf.complex64, [1 + 2j, 3.0], [-2 + 1j, 3j]),
    ],
)
def test_dtypes_that_json_does_not_hold(server, signature, dtype, given, expected):
    for content in (True, False):
        request = server.request(signature, {"x": np.array(given, dtype.as_numpy_dtype)})
        tensor = request.inputs["x"]
        if not content:  # the typed field
            values = np.array(given, dtype.as_numpy_dtype)
            tensor.tensor_content = b""
            if dtype == tf.complex64:
                tensor.ClearField("scomplex_val")
                tensor.scomplex_val.extend(values.view(np.float32).tolist())
            else:
                tensor.ClearField("half_val")
                tensor.half_val.extend(values.view(np.uint16).tolist())
        output = server.stub.Predict(request, timeout=30).outputs["y"]
        assert tf.make_ndarray(output).tolist() == expected
        assert output.tensor_content == b""
    if dtype != tf.complex64:
        answer = server.post({"signature_name": signature, "instances": [1.5]})
        assert answer.status_code == 400
        assert f"output 'y' is {dtype.name}, which JSON cannot hold" in answer.json()["error"]


def test_small_and_unsigned_integers(server):
    response = server.predict("bytes_of", {"x": np.array([1, 255], np.uint8)})
    assert {name: tf.make_ndarray(value).tolist() for name, value in response.outputs.items()} == {
        "y": [301, 555], "u": [2**63 + 1, 2**63 + 255], "b": [False, True],
    }  # fmt: skip
    assert server.post({"signature_name": "bytes_of", "instances": [1]}).json() == {
        "predictions": [{"y": 301, "u": 2**63 + 1, "b": False}]
    }


def test_codes_of_predict(server):
    x = {"x": np.ones(1, np.float32)}
    refused(lambda: server.predict("nothing", x), CODE.FAILED_PRECONDITION, "Received: 'nothing'")
    refused(lambda: server.predict("", x, name="other"), CODE.NOT_FOUND, "Received: 'other'")
    refused(lambda: server.predict("", x, version=2), CODE.NOT_FOUND, "Received: 2")
    refused(lambda: server.stub.Predict(predict_pb2.PredictRequest()), CODE.INVALID_ARGUMENT, "model_spec")
    nameless = server.request("", x)
    nameless.model_spec.name = ""
    refused(lambda: server.stub.Predict(nameless), CODE.INVALID_ARGUMENT, "must name its model")
    filtered = server.request("", x)
    filtered.output_filter.extend(["y", "y"])
    refused(lambda: server.stub.Predict(filtered), CODE.INVALID_ARGUMENT, "must not name an output twice")
    filtered.output_filter[1] = "z"
    refused(lambda: server.stub.Predict(filtered), CODE.INVALID_ARGUMENT, "not .'z'")
    assert server.post({"signature_name": "nothing", "instances": [1]}).status_code == 400


# Classify, Regress, MultiInference


def test_classify_and_regress(server):
    result = server.stub.Classify(asked(classification_pb2.ClassificationRequest, "classify_x_to_y", 2.0)).result
    assert [[(made.label, made.score) for made in row.classes] for row in result.classifications] == [[("", 3.0)]]
    result = server.stub.Classify(asked(classification_pb2.ClassificationRequest, "classify_names", 2.0)).result
    assert [(made.label, made.score) for made in result.classifications[0].classes] == [("a", 0.0)] * 2
    response = server.stub.Regress(asked(regression_pb2.RegressionRequest, "regress_x_to_y", 2.0, 4.0))
    assert [row.value for row in response.result.regressions] == [3.0, 4.0]
    assert (response.model_spec.version.value, response.model_spec.signature_name) == (1, "regress_x_to_y")


def test_classify_and_regress_over_rest(server):
    body = {"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}, {"x": [3.0]}]}
    assert server.post(body, ":classify").json() == {"results": [[["", 3.0]], [["", 3.5]]]}
    assert server.post(body, "/versions/1:classify").json() == {"results": [[["", 3.0]], [["", 3.5]]]}
    body["signature_name"] = "regress_x_to_y"
    assert server.post(body, ":regress").json() == {"results": [3.0, 3.5]}
    body |= {"signature_name": "regress_x2_to_y3", "context": {"x2": 1.0}}
    body["examples"][1]["x2"] = 2.0
    assert server.post(body, ":regress").json() == {"results": [3.5, 4.0]}
    nan = {"signature_name": "regress_x_to_y", "examples": [{"x": math.nan}]}
    assert server.post(nan, ":regress").text == '{"results": [NaN]}'


@pytest.mark.parametrize(
    ("method", "body", "message"),
    [
        ("regress", {"examples": [{"x": 1.0}]}, "'serving_default' cannot regress: its one input must be 'inputs'"),
        ("regress", {"signature_name": "classify_x_to_y", "examples": [{"x": 1.0}]}, "must give 'outputs'"),
        ("classify", {"signature_name": "regress_x_to_y", "examples": [{"x": 1.0}]}, "must give 'classes' or 'scores'"),
        ("regress", {"signature_name": "nothing", "examples": [{"x": 1.0}]}, "Received: 'nothing'"),
        ("regress", {"signature_name": "doubles", "examples": [{"x": 1.0}]}, "must be float32 with 1 rows"),
        ("regress", {"signature_name": "regress_x_to_y"}, "must hold `examples`"),
        ("regress", {"signature_name": "regress_x_to_y", "examples": []}, "must hold `examples`"),
        ("regress", {"signature_name": "regress_x_to_y", "examples": [1]}, "example 0 must be an object"),
        (
            "regress",
            {"signature_name": "regress_x_to_y", "examples": [{"x": None}]},
            "example 0: feature 'x' must hold",
        ),
        ("regress", {"signature_name": "regress_x_to_y", "examples": [{"x": [[1.0]]}]}, "feature 'x' must hold"),
        ("regress", {"signature_name": "regress_x_to_y", "examples": [{"x": [1.0, 2]}]}, "values of one kind"),
        ("regress", {"signature_name": "regress_x_to_y", "examples": [{"x": 2**63}]}, "feature 'x' must hold"),
        ("regress", {"signature_name": "regress_x_to_y", "examples": [{"x": {"b64": "!"}}]}, "feature 'x' must hold"),
        ("regress", {"signature_name": "regress_x_to_y", "examples": [{"x": 2}]}, "Data types don't match"),
    ],
)
def test_what_classify_and_regress_refuse(server, method, body, message):
    answer = server.post(body, f":{method}")
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_kinds_of_features(server):
    from serving.server.json_examples import input_of

    given = {"examples": [{"t": "ä", "b": {"b64": "YQ=="}, "f": [1.5, math.nan], "i": [1, True], "none": []}]}
    (example,) = input_of(given, 10).example_list.examples
    features = example.features.feature
    assert features["t"].bytes_list.value == ["ä".encode()] and features["b"].bytes_list.value == [b"a"]
    assert features["f"].float_list.value[0] == 1.5 and features["i"].int64_list.value == [1, 1]
    assert features["none"].WhichOneof("kind") is None


def tasks(*named):
    request = inference_pb2.MultiInferenceRequest()
    for signature, method, name in named:
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = name, signature
    request.input.example_list.examples.extend(examples(2.0))
    return request


def test_multi_inference(server):
    request = tasks(("regress_x_to_y", "regress", "clicks"), ("classify_x_to_y", "classify", "clicks"))
    regressed, classified = server.stub.MultiInference(request).results
    assert regressed.regression_result.regressions[0].value == 3.0
    assert classified.classification_result.classifications[0].classes[0].score == 3.0
    assert (classified.model_spec.signature_name, classified.model_spec.version.value) == ("classify_x_to_y", 1)
    one = ("regress_x_to_y", "regress", "clicks")
    for wrong, code, message in (
        ([], CODE.INVALID_ARGUMENT, "no task"),
        ([one, one], CODE.INVALID_ARGUMENT, "another signature"),
        ([one, ("classify_x_to_y", "classify", "other")], CODE.INVALID_ARGUMENT, "the same model"),
        ([("regress_x_to_y", "predict", "clicks")], CODE.UNIMPLEMENTED, "`method_name` must be one of"),
        ([("nothing", "regress", "clicks")], CODE.INVALID_ARGUMENT, "Received: 'nothing'"),
        ([("regress_x_to_y", "regress", "")], CODE.INVALID_ARGUMENT, "must name its model"),
    ):
        refused(lambda wrong=wrong: server.stub.MultiInference(tasks(*wrong)), code, message)


# Metadata, status, paths


def test_metadata_and_status_must_name_a_model(server):
    status = model_service_pb2_grpc.ModelServiceStub(server.channel).GetModelStatus
    for call, request in (
        (
            server.stub.GetModelMetadata,
            get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"]),
        ),
        (status, get_model_status_pb2.GetModelStatusRequest()),
    ):
        refused(lambda call=call, request=request: call(request), CODE.INVALID_ARGUMENT, "model_spec")
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def", "signature_def"])
    request.model_spec.name = "clicks"
    assert "signature_def" in server.stub.GetModelMetadata(request).metadata
    for fields in ([], ["assets"]):
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
        request.model_spec.name = "clicks"
        refused(lambda request=request: server.stub.GetModelMetadata(request), CODE.INVALID_ARGUMENT, "metadata_field")


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/v1/foo", 400, "malformed request"),
        ("POST", "/v1/foo", 400, "malformed request"),
        ("GET", "/v1/models", 400, "must name a model"),
        ("POST", "/v1/models", 400, "malformed request"),
        ("GET", "/v1/models/debug/clicks", 400, "malformed request"),
        ("GET", "/v1/models/clicks:predict", 400, "malformed request"),
        ("POST", "/v1/models/clicks/metadata", 400, "malformed request"),
        ("POST", "/v1/models/clicks/version/50:regress", 400, "malformed request"),
        ("POST", "/v1/models/clicks/versions/HELLO:regress", 400, "malformed request"),
        ("POST", "/v1/models/clicks/versions/1/labels/x:regress", 400, "malformed request"),
        ("POST", "/v1/models/clicks:multi", 400, "malformed request"),
        ("PUT", "/v1/models/clicks:predict", 400, "malformed request"),
        ("OPTIONS", "/v1/models/clicks:predict", 400, "malformed request"),
        ("POST", "/v1/models/clicks:predict?x=1", 400, "malformed request"),
        ("POST", f"/v1/models/clicks/versions/{2**63}:predict", 400, "a version is a number below"),
        ("POST", f"/v1/models/clicks/versions/{'9' * 5000}:predict", 400, "a version is a number below"),
        ("POST", "/v1/models/clicks/labels/canary:predict", 400, "no version labels. Received: 'canary'"),
        ("GET", "/v1/models/clicks/labels/canary/metadata", 400, "no version labels"),
        ("POST", "/v1/models/clicks/versions/2:predict", 404, "Received: 2"),
        ("GET", "/v1/models/other", 404, "Received: 'other'"),
        ("GET", "/v1/models/a%2Fb", 404, "Received: 'a/b'"),
        ("GET", "/elsewhere", 404, "Not Found"),
        ("POST", "/healthz", 405, "Method Not Allowed"),
    ],
)
def test_paths(server, method, path, status, message):
    answer = server.http.request(method, path)
    assert answer.status_code == status
    assert message in answer.json()["error"]


def test_paths_in_any_case(server):
    assert server.http.get("/V1/Models/clicks").status_code == 200
    assert server.http.get("/v1/models/clicks/versions/1/metadata").status_code == 200
    assert server.http.post("/v1/MODELS/%63licks:predict", json={"instances": [2.0]}).json() == {"predictions": [3.0]}
    assert server.http.head("/healthz").status_code == 200
