"""What a stranger may send: it costs little, holds up nobody, and leaves no traceback."""

import gzip
import json
import logging
import socket
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2

from serving.server import grpc_service, rest
from serving.server.body import unpack
from serving.server.errors import ServingError
from serving.server.tensors import to_array
from tests.serving.running_server import running
from tests.serving.server.test_versions import wait_until

ROWS = {"instances": [[1, 2], [3, 4]]}
DOUBLED = {"predictions": [[2.0, 4.0], [6.0, 8.0]]}


class Several(tf.Module):
    """A model without a schema that takes whatever shape."""

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
    def twice(self, x):
        return {"y": 2 * x}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.int64, "x")])
    def total(self, x):
        return {"y": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.string, "x")])
    def count(self, x):
        return {"y": tf.size(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def regress(self, inputs):
        return {"outputs": tf.cast(tf.strings.length(inputs), tf.float32)}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    base = tmp_path_factory.mktemp("limits") / "clicks"
    model = Several()
    signatures = {"serving_default": model.twice, **{n: getattr(model, n) for n in ("total", "count", "regress")}}
    tf.saved_model.save(model, str(base / "1"), signatures=signatures)
    return base


@pytest.fixture(scope="module")
def server(base):
    with running(base, max_body_mb=1, max_rows=1000, max_connections=8, read_timeout=0.5) as client:
        yield client


@pytest.fixture
def quiet(caplog):
    """Nothing may be logged as an error."""
    with caplog.at_level(logging.INFO):
        yield
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]


def repeated(server, signature, dtype, shape, **values):
    """A request of a few bytes whose one value stands for all."""
    request = server.request(signature, {})
    tensor = request.inputs["x"]
    tensor.dtype = dtype.as_datatype_enum
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    for field, value in values.items():
        getattr(tensor, field).append(value)
    return request


@pytest.mark.parametrize(
    ("signature", "dtype", "shape", "values", "message"),
    [
        ("total", tf.int64, [2, 2**24], {"int64_val": 1}, "unpack to 268435456 bytes: this server takes at most"),
        ("count", tf.string, [1, 2**24], {"string_val": b"a"}, "unpack to 134217728 bytes"),
        ("total", tf.int64, [2**24], {"int64_val": 1}, "has 16777216 rows: this server takes at most 1000"),
        ("", tf.float32, [2**24, 2], {"float_val": 1}, "has 16777216 rows"),
        ("", tf.float32, [2, 2**24], {"float_val": 1}, r"must have the shape \[rows, 2\]"),
        ("", tf.resource, [2, 2], {}, "has no dtype that a request may hold. Received: resource"),
        ("", tf.int8, [2, 2], {"int_val": 300}, "must be float32. Received: int8"),
    ],
)  # fmt: skip
def test_what_unpacks_to_too_much_is_refused_unread(
    server, monkeypatch, quiet, signature, dtype, shape, values, message
):
    monkeypatch.setattr(grpc_service, "to_array", lambda *_: pytest.fail("it was read"))
    with pytest.raises(grpc.RpcError, match=message) as caught:
        server.stub.Predict(repeated(server, signature, dtype, shape, **values), timeout=30)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_one_value_may_stand_for_all(server):
    request = repeated(server, "total", tf.int64, [500, 100], int64_val=3)
    assert server.stub.Predict(request, timeout=30).outputs["y"].int64_val[0] == 150_000


def test_a_number_that_does_not_fit_its_dtype():
    proto = tf.make_tensor_proto(np.zeros(2, np.int8))
    proto.tensor_content = b""
    proto.int_val.extend([1, 300])
    with pytest.raises(ServingError, match="'x' holds a number that is no int8"):
        to_array("x", proto)


def test_a_context_does_not_multiply(server):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "clicks", "regress"
    held = request.input.example_list_with_context
    held.context.features.feature["x"].bytes_list.value.append(b"x" * 10_000)
    held.examples.extend([tf.train.Example()] * 200)
    with pytest.raises(grpc.RpcError, match=r"context of 100\d\d bytes goes to each of 200 examples") as caught:
        server.stub.Regress(request, timeout=30)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    del held.examples[50:]
    assert len(server.stub.Regress(request, timeout=30).result.regressions) == 50
    held.examples.extend([tf.train.Example()] * 1000)
    with pytest.raises(grpc.RpcError, match="1050 examples: this server takes at most 1000"):
        server.stub.Regress(request, timeout=30)


def test_large_bodies_are_read_in_a_thread(server, monkeypatch):
    names = []
    object_of = rest._object

    def recorded(text):
        names.append(threading.current_thread().name)
        return object_of(text)

    monkeypatch.setattr(rest, "_object", recorded)
    assert server.post({"instances": [[1, 2]] * 1000, "unused": "x" * 100_000}).status_code == 200
    assert names[0].startswith("reader")
    server.post(ROWS)
    assert not names[1].startswith("reader")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[" * 900_000, "nested too deeply"),
        (b'{"instances":' + b"[" * 900 + b"]" * 900 + b"}", "nested too deeply: at most 64"),
        (b'{"inputs":' + b'{"x":' * 900 + b"1" + b"}" * 901, "unknown inputs|must hold a number"),
        (b'{"instances": [' + b"[1,2]," * 1000 + b"[1,2]]}", "1001 rows: this server takes at most 1000"),
        (b'{"examples": "' + b"x" * 500_000 + b'"}', "must hold `instances`"),
    ],
)
def test_hostile_json_is_refused(server, quiet, body, message):
    answer = server.post(body)
    assert answer.status_code == 400
    assert message.split("|")[0] in answer.json()["error"] or message.split("|")[-1] in answer.json()["error"]
    assert len(answer.content) < 2000


# Compressed bodies


def test_gzip_bodies_are_read(server):
    for coding in ("gzip", "x-gzip", "GZIP"):
        answer = server.post(gzip.compress(json.dumps(ROWS).encode()), headers={"Content-Encoding": coding})
        assert answer.json() == DOUBLED
    text = json.dumps(ROWS).encode()
    in_two = gzip.compress(text[:20], mtime=0) + gzip.compress(text[20:], mtime=0)
    assert server.post(in_two, headers={"Content-Encoding": "gzip"}).json() == DOUBLED
    assert server.post(text, headers={"Content-Encoding": "identity"}).json() == DOUBLED


@pytest.mark.parametrize(
    ("body", "coding", "status", "message"),
    [
        (gzip.compress(b" " * 2**21, mtime=0), "gzip", 413, "at most 1048576 bytes"),
        (gzip.compress(b" " * 2**19, mtime=0) * 3, "gzip", 413, "at most 1048576 bytes"),
        (gzip.compress(b"", mtime=0) * 40, "gzip", 400, "more than 16 gzip files"),
        (gzip.compress(b"{}", mtime=0)[:-3], "gzip", 400, "cut short"),
        (b"{}", "gzip", 400, "is not gzip"),
        (b"{}", "br", 415, "must be gzip or absent. Received: 'br'"),
        (b"{}", "gzip, gzip", 415, "must be gzip or absent"),
    ],
)
def test_other_compressed_bodies_are_refused(server, quiet, body, coding, status, message):
    answer = server.post(body, headers={"Content-Encoding": coding})
    assert answer.status_code == status
    assert message in answer.json()["error"]


def test_unpacking_stops_at_the_limit():
    with pytest.raises(ServingError, match="at most 10 bytes"):
        unpack(gzip.compress(b"x" * 11, mtime=0), 10)
    assert unpack(gzip.compress(b"x" * 10, mtime=0), 10) == b"x" * 10


# Connections


def connect(server):
    return socket.create_connection(("127.0.0.1", server.server.rest_port), timeout=20)


def head(server, path=":predict", length=1000, more=""):
    return (f"POST {server.model}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n{more}\r\n").encode()


def received(connection):
    """All that comes until the server closes the connection."""
    parts = []
    try:
        while part := connection.recv(2**16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def test_half_sent_requests_hold_up_nobody(server, quiet):
    held = [connect(server) for _ in range(40)]
    for number, connection in enumerate(held):
        try:
            connection.sendall([head(server) + b"{", b"POST /v1/", b""][number % 3])
        except OSError:  # closed for a later one
            continue
        if number % 8 == 0:
            assert server.http.get("/healthz").status_code == 200
    assert server.post(ROWS).json() == DOUBLED
    for connection in held:
        connection.close()


def test_grpc_connections_are_limited(server):
    server.predict("", {"x": np.ones((1, 2), np.float32)})  # one of the eight
    held = [socket.create_connection(("127.0.0.1", server.server.port), timeout=20) for _ in range(10)]
    greeted = [bool(connection.recv(100)) for connection in held]
    assert sum(greeted) == 7
    for connection in held:
        connection.close()
    server.predict("", {"x": np.ones((1, 2), np.float32)})


def test_a_request_must_arrive_in_time(server, quiet):
    with connect(server) as slow:
        slow.sendall(head(server) + b"{")
        answer = received(slow)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"the body did not arrive within 0.5 s" in answer
    with connect(server) as slow:
        slow.sendall(b"POST /v1/")
        assert received(slow) == b""
    with connect(server) as idle:
        assert received(idle) == b""
    call = server.channel.stream_unary("/tensorflow.serving.PredictionService/Predict")

    def never():
        time.sleep(5)
        yield b""

    with pytest.raises(grpc.RpcError, match=r"the message did not arrive within 0\.5 s") as caught:
        call(never(), timeout=30)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_bodies_under_way_are_limited_together(server):
    bodies = server.server.service.bodies
    with bodies.hold(bodies._limit - 10):
        assert server.post(ROWS).status_code == 429
        with pytest.raises(grpc.RpcError, match="try again later") as caught:
            server.predict("", {"x": np.ones((1, 2), np.float32)})
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.post(ROWS).json() == DOUBLED
    assert bodies._held == 0


@pytest.mark.parametrize("path", [":predict", "/nowhere"])
def test_two_ends_of_a_request_are_refused(server, path):
    with connect(server) as connection:
        connection.sendall(
            head(server, path, length=4, more="Transfer-Encoding: chunked\r\n") + b"0\r\n\r\nGET /x HTTP/1.1"
        )
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"must not come together" in answer
    assert answer.count(b"HTTP/1.1") == 1


def test_no_answer_holds_the_host_header(server):
    for path in ("/healthz/", "/metrics/", server.model + "/", "//evil.example/", "/v1/models/clicks/metadata/"):
        answer = server.http.get(path, headers={"Host": "evil.example"})
        assert answer.status_code in (400, 404)
        assert "evil.example:" not in str(answer.headers)
        assert "location" not in answer.headers
    assert server.http.get("/elsewhere", headers={"Host": "evil.example/healthz?"}).status_code == 404


def test_callers_that_leave_are_no_tracebacks(server, quiet):
    metrics = server.server.service.metrics
    with connect(server) as connection:
        connection.sendall(head(server) + b"{")
        time.sleep(0.1)
    wait_until(lambda: b'signature="unknown",status="CANCELLED"' in metrics.text())
    with connect(server) as connection:
        body = json.dumps(ROWS).encode()
        connection.sendall(head(server, length=len(body)) + body)
    channel = grpc.insecure_channel(f"127.0.0.1:{server.server.port}")
    call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict").future(b"", timeout=5)
    call.cancel()
    channel.close()
    assert server.post(ROWS).json() == DOUBLED
