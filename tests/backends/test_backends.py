"""On Keras 3's other backends, without TensorFlow, everything gives the same numbers as on TensorFlow's."""

import importlib.util
import os
import re
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from tests.backends import run_training
from tests.small_log import matching_schema, raw_batch
from tf_interformer import Preprocessor
from tf_interformer._keras import LEGACY

pytestmark = pytest.mark.skipif(LEGACY, reason="tf_keras has no other backend")


@cache
def on_tensorflow() -> dict:
    from tests.backends.run_layers import outputs_and_gradients

    return outputs_and_gradients()


def run(backend: str, *command: str, refused: bool = True) -> subprocess.CompletedProcess:
    """Run a module on a backend, and without TensorFlow where that is `refused`."""
    # Without most of its optimisations JAX compiles in half the time.
    settings = {"KERAS_BACKEND": backend, "TF_USE_LEGACY_KERAS": "0", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    settings["XLA_FLAGS"] = ""  # those of `tests/conftest.py` would lose gradients, see `run_layers`
    without = ["tests.backends.without_tensorflow"] if refused else []
    command = [sys.executable, "-m", *without, *command]
    return subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)


def written_on(backend: str, folder, module: str, *arguments: str) -> dict:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}: pip install {backend}")
    path = folder / f"{backend}.npz"
    done = run(backend, module, *arguments, str(path), refused=backend != "tensorflow")
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(path))


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_every_layer_and_backbone(backend, tmp_path):
    got, expected = written_on(backend, tmp_path, "tests.backends.run_layers"), on_tensorflow()
    assert len(expected) > 100
    assert [name.split("/")[0] for name in got] == [name.split("/")[0] for name in expected]
    for (name, a), (_, e) in zip(got.items(), expected.items(), strict=True):
        scale = max(1.0, float(np.abs(e).max(initial=0.0)))
        np.testing.assert_allclose(a, e, rtol=1e-3, atol=1e-4 * scale, err_msg=name)


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_training(backend, tmp_path):
    """`fit`, `evaluate` and `predict` of a saved model on encoded arrays, and steps of every optimiser of tables."""
    raw = raw_batch(24)
    encoded = {name: column.numpy() for name, column in Preprocessor(matching_schema())(raw).items()}
    batch = {**encoded, "click": raw["click"]}
    np.savez(tmp_path / "batch.npz", **batch)
    model = str(tmp_path / "model.keras")
    run_training.ranker().save(model)
    got = written_on(backend, tmp_path, "tests.backends.run_training", str(tmp_path / "batch.npz"), model)
    expected = run_training.results(batch, model)
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    fitted = expected["history of loss"]
    assert fitted[1] < fitted[0]
    assert expected["says which ids are out of range"]


def test_what_needs_tensorflow_says_so(tmp_path):
    done = run("jax", "tests.backends.run_refused", str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]
    said = done.stdout.splitlines()
    assert len(said) == 5
    message = r"ImportError: this needs TensorFlow: pip install tensorflow.*do without. Received: No module named"
    assert [line for line in said if not re.search(message, line)] == []
    alone = run("tensorflow", "tf_interformer.layers")  # as without KERAS_BACKEND
    assert alone.returncode and re.search(message, alone.stderr)
