"""The layers give the same outputs and gradients on Keras 3's other backends as on TensorFlow's."""

import importlib.util
import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from tf_interformer._keras import LEGACY

pytestmark = pytest.mark.skipif(LEGACY, reason="tf_keras has no other backend")


@cache
def on_tensorflow() -> dict:
    from tests.backends.run_layers import outputs_and_gradients

    return outputs_and_gradients()


def written_on(backend: str, folder) -> dict:
    path = folder / f"{backend}.npz"
    # Without most of its optimisations JAX compiles in half the time.
    settings = {"KERAS_BACKEND": backend, "TF_USE_LEGACY_KERAS": "0", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    environment = os.environ | settings
    command = [sys.executable, "-m", "tests.backends.run_layers", str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(path))


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_every_layer(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"needs {backend}: pip install {backend}")
    expected, got = on_tensorflow(), written_on(backend, tmp_path)
    assert len(expected) > 100
    assert [name.split("/")[0] for name in got] == [name.split("/")[0] for name in expected]
    for (name, a), (_, e) in zip(got.items(), expected.items(), strict=True):
        scale = max(1.0, float(np.abs(e).max(initial=0.0)))
        np.testing.assert_allclose(a, e, rtol=1e-3, atol=1e-4 * scale, err_msg=name)
