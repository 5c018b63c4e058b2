"""`tf-interformer serve`."""

import re
import signal
import subprocess
import sys

import httpx
import pytest
import tensorflow as tf

from serving import serve
from tests.serving.server.test_versions import Times


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    base = tmp_path_factory.mktemp("command") / "clicks"
    tf.saved_model.save(model := Times(2.0), str(base / "1"), signatures={"serving_default": model.times})
    return base


def test_it_serves_until_it_is_told_to_stop(base):
    command = [sys.executable, "-m", "serving.serve", str(base), "--port", "0", "--rest-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline() for _ in range(3)]
            assert re.fullmatch(r"gRPC on 127\.0\.0\.1:\d+\n", lines[0])
            url = lines[1].removeprefix("REST on ").strip()
            assert "TensorFlow Serving is for production" in lines[2]
            assert httpx.post(f"{url}:predict", json={"instances": [[1, 2]]}).json() == {"predictions": [[2.0, 4.0]]}
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


def test_what_a_user_can_mend_is_one_message(base, capsys):
    assert serve.main([str(base / "1"), "--port", "0", "--rest-port", "0"]) == 2
    assert re.fullmatch(r"error: .* is one version: give the folder that holds it, .*clicks\n", capsys.readouterr().err)


def test_options(capsys):
    options = serve.parse(["models/shop", "--no-batching", "--max-rows", "5", "--host", "::1"])
    assert (options.name, options.batching, options.max_rows, options.host) == ("shop", False, 5, "::1")
    assert options.engine == "tensorflow"
    assert serve.parse(["models/shop", "--engine", "onnxruntime"]).engine == "onnxruntime"
    for wrong, message in (
        (["--port", "70000"], "a port is a number from 0 to 65535. Received: 70000"),
        (["--max-batch", "0"], "must be a whole number from 1. Received: 0"),
        (["--timeout", "nan"], "must be a number above 0. Received: nan"),
    ):
        with pytest.raises(SystemExit) as caught:
            serve.parse(["models/shop", *wrong])
        assert caught.value.code == 2
        assert message in capsys.readouterr().err
