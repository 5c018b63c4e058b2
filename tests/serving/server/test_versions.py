"""Versions, deadlines and the end, with a model of one multiplication, which loads at once."""

import gc
import shutil
import socket
import threading
import time
import weakref

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf

from serving.server import versions
from serving.server.options import Options
from serving.server.server import Server, StartError
from tests.serving.running_server import running


class Times(tf.Module):
    """A model without a schema."""

    def __init__(self, factor):
        super().__init__()
        self.factor = tf.Variable(factor)

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, "x")])
    def times(self, x):
        return {"y": x * self.factor}

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, "word"), tf.TensorSpec([2], tf.int64, "pair")])
    def describe(self, word, pair):
        return {
            "text": tf.strings.join([word, "!"]),
            "raw_bytes": tf.io.encode_base64(word),
            "sum": tf.reduce_sum(pair),
        }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders of two models, that double and that treble."""
    folder = tmp_path_factory.mktemp("made")
    for factor in (2, 3):
        model = Times(float(factor))
        signatures = {"serving_default": model.times, "describe": model.describe}
        tf.saved_model.save(model, str(folder / str(factor)), signatures=signatures)
    return folder


@pytest.fixture
def base(made, tmp_path):
    shutil.copytree(made / "2", tmp_path / "clicks" / "1")
    return tmp_path / "clicks"


def wait_until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


X = {"x": np.ones((3, 2), np.float32)}


def value(response):
    return float(response.outputs["y"].float_val[0])


def slow_down(client, monkeypatch):
    """The model waits for the event before it computes; gives the calls and the event."""
    served = client.server.service.versions.get()
    run, calls, go = served.model.run, [], threading.Event()

    def slow(signature, inputs):
        calls.append(signature)
        go.wait(20)
        return run(signature, inputs)

    monkeypatch.setattr(served.model, "run", slow)
    return calls, go


def test_new_versions_swap_in_and_no_request_is_lost(made, base):
    with running(base, poll_seconds=0.02) as client:
        served, stop = [], threading.Event()

        def ask():
            while not stop.is_set():
                response = client.predict("serving_default", X)
                served.append((response.model_spec.version.value, value(response)))

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            (base / "2").mkdir()
            (base / "2" / "saved_model.pb").write_bytes(b"broken")
            wait_until(lambda: any(status.error for status in client.server.service.versions.statuses()))
            for name in (".3.tmp", "3.tmp", "new"):
                shutil.copytree(made / "3", base / name)
            time.sleep(0.1)
            assert client.server.service.versions.serving == [1]
            (base / ".3.tmp").rename(base / "3")
            wait_until(lambda: served and served[-1][0] == 3)
        finally:
            stop.set()
            thread.join()
        assert served == sorted(served)
        assert set(served) == {(1, 2.0), (3, 3.0)}
        states = {row["version"]: row for row in client.http.get(client.model).json()["model_version_status"]}
        assert states["3"]["state"] == "AVAILABLE"
        assert states["2"]["state"] == "END"
        assert "Error parsing message" in states["2"]["status"]["error_message"]
        first = client.model + "/versions/1"
        wait_until(lambda: client.http.get(first).json()["model_version_status"][0]["state"] == "END")
        assert client.post({}, "/versions/1:predict").status_code == 404
        shutil.rmtree(base / "3")
        wait_until(lambda: client.server.service.versions.serving == [1])
        assert value(client.predict("", X)) == 2
        shutil.rmtree(base / "1")
        time.sleep(0.1)
        assert value(client.predict("", X)) == 2  # the last one stays


def test_nothing_is_kept_of_an_old_version(made, base):
    with running(base, poll_seconds=0.02) as client:

        def parts():
            served = client.server.service.versions.get()
            session = served.model._session
            return [weakref.ref(part) for part in (served, served.model, served.batcher, session, session.graph)]

        client.predict("", X)
        client.post({"instances": [[1, 2]]})
        old = parts()
        gc.disable()  # the server must not wait for Python to come to think of it
        try:
            shutil.copytree(made / "3", base / ".2")
            (base / ".2").rename(base / "2")
            states = client.server.service.versions
            wait_until(lambda: [status.state for status in states.statuses()] == ["AVAILABLE", "END"])
            wait_until(lambda: not client.server.service.versions._retiring)
            assert [part() for part in old] == [None] * 5
            assert all(part() is not None for part in parts())
        finally:
            gc.enable()


def test_nothing_is_kept_of_a_version_that_cannot_be_loaded(made, base, monkeypatch):
    graphs = []

    def replay(model):
        graphs.append(weakref.ref(model._session.graph))
        raise ValueError("no")

    with running(base, poll_seconds=0.02) as client:
        monkeypatch.setattr(versions, "replay", replay)
        gc.disable()
        try:
            shutil.copytree(made / "3", base / ".2")
            (base / ".2").rename(base / "2")
            wait_until(lambda: client.server.service.versions.statuses()[0].error)
            wait_until(lambda: graphs[0]() is None)
        finally:
            gc.enable()


def test_a_broken_version_is_tried_again_when_its_files_change(made, base):
    (base / "2").mkdir()
    (base / "2" / "saved_model.pb").write_bytes(b"broken")
    with running(base, poll_seconds=0.02) as client:
        assert client.server.service.versions.serving == [1]
        shutil.copytree(made / "3", base / "2", dirs_exist_ok=True)
        wait_until(lambda: client.server.service.versions.serving == [2])
        assert value(client.predict("", X)) == 3


def test_the_reason_of_a_broken_version_is_the_real_one(made, base, caplog):
    shutil.copytree(made / "3", base / "2")
    data = next((base / "2" / "variables").glob("variables.data*"))
    data.write_bytes(b"")
    shutil.copytree(made / "3", base / "3")
    (base / "3" / "variables" / "variables.index").unlink()
    with running(base) as client:
        assert client.server.service.versions.serving == [1]
        third, second = (status.error for status in client.server.service.versions.statuses()[:2])
        assert third.startswith("ValueError: ") and "variables" in third
        assert "Graph execution error" not in second
        assert "bytes" in second
        assert second in caplog.text


def test_a_version_with_other_columns_is_loaded_with_a_warning(made, base, caplog):
    class Other(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "x"), tf.TensorSpec([None], tf.string, "city")])
        def score(self, x, city):
            return {"z": x}

    model = Other()
    tf.saved_model.save(model, str(base.parent / "other"), signatures={"serving_default": model.score})
    with running(base, poll_seconds=0.02) as client:
        shutil.copytree(made / "3", base / ".2")
        (base / ".2").rename(base / "2")
        wait_until(lambda: client.server.service.versions.serving == [2])
        assert "differs for its callers" not in caplog.text
        (base.parent / "other").rename(base / "3")
        wait_until(lambda: client.server.service.versions.serving == [3])
    (warning,) = [record.getMessage() for record in caplog.records if "differs for its callers" in record.getMessage()]
    assert warning.startswith("version 3 differs for its callers from version 2: ")
    assert "'describe' is gone" in warning
    for part in ("'serving_default'", "the new input 'city'", "'x' as int64 (None,) instead of float32 (None, 2)",
                 "no longer has the output 'y'", "has the new output 'z'"):  # fmt: skip
        assert part in warning


def test_requests_under_way_finish_on_their_version(made, base, monkeypatch):
    with running(base, poll_seconds=0.02) as client:
        calls, go = slow_down(client, monkeypatch)
        first = client.stub.Predict.future(client.request("", X), timeout=30)
        wait_until(lambda: calls)
        shutil.copytree(made / "3", base / ".2")
        (base / ".2").rename(base / "2")
        wait_until(lambda: client.server.service.versions.serving == [2])
        assert value(client.predict("", X)) == 3
        go.set()
        assert value(first.result(30)) == 2


def test_all_versions_serve_side_by_side(made, base):
    shutil.copytree(made / "3", base / "7")
    with running(base, versions="all", batching=False) as client:
        assert value(client.predict("", X)) == 3
        assert value(client.predict("", X, version=1)) == 2
        with pytest.raises(grpc.RpcError, match=r"serves the versions \[1, 7\]. Received: 2") as caught:
            client.predict("", X, version=2)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_a_model_without_a_schema(base):
    with running(base) as client:
        assert client.post({"instances": [[1, 2], [3, 4]]}).json() == {"predictions": [[2.0, 4.0], [6.0, 8.0]]}
        assert client.post({"instances": [{"x": [1, 2]}]}).json() == {"predictions": [[2.0, 4.0]]}
        assert client.post({"inputs": [[1, 2]]}).json() == {"outputs": [[2.0, 4.0]]}
        body = {"signature_name": "describe", "inputs": {"word": "hi", "pair": [1, 2]}}
        assert client.post(body).json()["outputs"] == {"text": "hi!", "raw_bytes": {"b64": "YUdr"}, "sum": 3}
        for wrong, message in (
            ([[1, 2], [3]], "'x' must be rectangular: a list of 2 is expected. Received: [3]"),
            ([[1, "a"]], "'x' must hold a number. Received: 'a'"),
            ([[1, 2, 3]], "input 'x' must have the shape [rows, 2]. Received: [1, 3]"),
            ([[1, 1e300]], "'x' must hold a number. Received: 1e+300"),
        ):
            answer = client.post({"instances": wrong})
            assert answer.status_code == 400
            assert message in answer.json()["error"]


def test_an_expired_request_is_not_computed(base, monkeypatch):
    with running(base, timeout=0.2) as client:
        calls, go = slow_down(client, monkeypatch)
        first = client.stub.Predict.future(client.request("", X), timeout=30)
        wait_until(lambda: calls)
        late = client.post({"instances": [[1, 2]]})
        assert late.status_code == 504
        assert "deadline" in late.json()["error"]
        with pytest.raises(grpc.RpcError) as caught:
            client.stub.Predict(client.request("", X), timeout=0.1)
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        go.set()
        first.result(30)
        client.predict("", X)
        assert len(calls) == 2


def test_more_than_the_queue_takes_is_refused_at_once_and_it_recovers(base, monkeypatch):
    with running(base, max_queue=2) as client:
        calls, go = slow_down(client, monkeypatch)
        under_way = [client.stub.Predict.future(client.request("", X), timeout=30)]
        wait_until(lambda: calls)
        under_way += [client.stub.Predict.future(client.request("", X), timeout=30) for _ in range(2)]
        wait_until(lambda: client.server.service.versions.queue_length == 2)
        with pytest.raises(grpc.RpcError, match="2 requests wait already") as caught:
            client.predict("", X)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert client.post({"instances": [[1, 2]]}).status_code == 429
        assert "serving_queue_length 2.0" in client.http.get("/metrics").text
        go.set()
        assert [value(call.result(30)) for call in under_way] == [2, 2, 2]
        assert client.post({"instances": [[1, 2]]}).status_code == 200


def test_requests_under_way_finish_when_the_server_stops(base, monkeypatch):
    answers = []
    with running(base) as client:
        calls, go = slow_down(client, monkeypatch)
        url = f"{client.http.base_url}{client.model}:predict"
        thread = threading.Thread(target=lambda: answers.append(httpx.post(url, json={"instances": [[1, 2]]})))
        thread.start()
        wait_until(lambda: calls)
        threading.Timer(0.2, go.set).start()
    thread.join()
    assert answers[0].json() == {"predictions": [[2.0, 4.0]]}


def test_what_has_begun_to_arrive_is_answered_when_the_server_stops(base, monkeypatch):
    body = b'{"instances": [[1, 2]]}'
    request = b"POST /v1/models/clicks:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with running(base) as client:
        kept = [socket.create_connection(("127.0.0.1", client.server.rest_port), timeout=20) for _ in range(4)]
        for connection in kept:  # all are kept alive
            connection.sendall(request)
            assert b"200 OK" in until(connection, b'{"predictions":[[2.0,4.0]]}')
        idle, whole, in_head, in_body = kept
        calls, go = slow_down(client, monkeypatch)
        whole.sendall(request)
        in_head.sendall(request[:20])
        in_body.sendall(request[:-5])
        wait_until(lambda: calls)
        stopping = threading.Thread(target=lambda: client.do(client.server._http.shutdown()))
        stopping.start()
        wait_until(lambda: all(connection._ends for connection in client.server._http.server_state.connections))
        in_head.sendall(request[20:])
        in_body.sendall(request[-5:])
        time.sleep(0.1)
        go.set()
        for connection in (whole, in_head, in_body):
            answer = everything(connection)
            assert answer.endswith(b'{"predictions":[[2.0,4.0]]}')
            assert b"connection: close" in answer
        assert everything(idle) == b""
        stopping.join()


def until(connection, end):
    """What arrives up to `end`: the head and the body of an answer may come one after the other."""
    arrived = b""
    while not arrived.endswith(end):
        part = connection.recv(2**16)
        assert part, f"closed after {arrived!r}"
        arrived += part
    return arrived


def everything(connection):
    parts = []
    while part := connection.recv(2**16):
        parts.append(part)
    connection.close()
    return b"".join(parts)


async def _start(base, **options):
    await Server(Options(base, name="clicks", port=0, rest_port=0) if not options else Options(base, **options)).start()


def test_what_keeps_it_from_starting_is_one_message(base, tmp_path, run_async):
    for folder, message in (
        (tmp_path / "none", "none is no folder"),
        (base / "1", r"is one version: give the folder that holds it, .*clicks"),
        (tmp_path, "holds no version"),
    ):
        with pytest.raises(StartError, match=message):
            run_async(_start(folder))
    (tmp_path / "broken" / "1").mkdir(parents=True)
    (tmp_path / "broken" / "1" / "saved_model.pb").write_bytes(b"broken")
    with pytest.raises(StartError, match="no version can be loaded: 1: "):
        run_async(_start(tmp_path / "broken"))
    with running(base) as client:
        with pytest.raises(StartError, match="choose another --port"):
            run_async(_start(base, name="clicks", port=client.server.port, rest_port=0))
        with pytest.raises(StartError, match="choose another --rest-port"):
            run_async(_start(base, name="clicks", port=0, rest_port=client.server.rest_port))


@pytest.fixture
def run_async():
    import asyncio

    return asyncio.run
