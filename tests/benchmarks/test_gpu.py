"""The benchmark for a GPU, tried on a processor as if TensorFlow were not installed."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.gpu.__main__ import Bench, row
from benchmarks.gpu.cases import MOST_SCORES, Case, cases
from benchmarks.gpu.table import table
from benchmarks.gpu.work import bytes_of, multiplications
from tf_interformer._keras import LEGACY

pytestmark = pytest.mark.skipif(LEGACY, reason="it asks nothing of Keras here: the same under Keras 3")


def test_a_small_run(tmp_path):
    """Layers of one kind and a whole step; a case for which no time is left is named."""
    command = [sys.executable, "-m", "tests.backends.without_tensorflow", "benchmarks.gpu", "--small", "--rounds", "2"]
    command += ["--only", "cross_arch|interformer train", "--no-torch", "--output", str(tmp_path / "gpu.json")]
    settings = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert result["left_out"] == {}
    assert [(made["kind"], made["what"]) for made in result["rows"]] == [
        ("cross_arch", "gradient"),
        ("interformer", "train"),
    ]
    for made in result["rows"]:
        assert made["multiplications"] > 1000 and made["bytes"] > 1000 and made["ms"] > 0
        flop_per_ms = made["matrix_tflops_per_second"] * 1e9
        assert made["share_of_matrix_rate"] == pytest.approx(2 * made["multiplications"] / made["ms"] / flop_per_ms)
    assert result["settings"]["error_of_float32_product"] < 1e-3
    assert "keras" in result["settings"]["versions"]
    assert "| interformer train | float32 | 8 | 6 | 16 |" in done.stdout


def test_what_no_longer_fits_is_left_out():
    bench = Bench.__new__(Bench)
    bench.started, bench.limit, bench.left_out, bench.sides = 0.0, 0.0, {}, {"jax": None}
    bench.longest = {True: 30.0}
    case = Case("hiformer", "train", "float32", 64, 50)
    bench.run(case)
    assert bench.left_out == {case.name: "0 s were left, it may take 30"}


def test_ratios_of_a_row():
    case = Case("interformer", "train", "bfloat16", 64, 50, 8)
    made = {
        "ours": {"multiplications": 500, "bytes": 100, "compile_seconds": 1.0},
        "torch": {"compile_seconds": 2.0},
    }
    device = {"matrix_flop": 4000, "copy_bytes": 50}
    seconds = {"matrix bfloat16": 1.0, "copy": 1.0, "ours": 4.0, "torch": 6.0}
    found = row(case, device, made, seconds, dict.fromkeys(seconds, 0.1))
    assert found["share_of_matrix_rate"] == 1000 / 4 / 4000
    assert (found["floor_ms"], found["share_of_floor"]) == (2000.0, 0.5)  # to move the bytes takes longer
    assert found["peers"]["torch"]["to_ours"] == 1.5
    assert "| 6.2% | 50.0% | 1.0 | 1.50 |  |" in table([found])


def test_multiplications_are_those_of_all_products():
    jax = pytest.importorskip("jax")
    x, y = np.ones((5, 4, 3), "float32"), np.ones((5, 3, 2), "float32")

    def work(x, y):
        product = jax.jit(lambda x, y: x @ y)(x, y)  # 5 * 4 * 2 * 3
        return jax.lax.scan(lambda carry, z: (carry + (z @ z.T).sum(), None), product.sum(), x)[0]  # 5 * 4 * 4 * 3

    assert multiplications(jax.make_jaxpr(work)(x, y)) == 120 + 240
    gradient = jax.make_jaxpr(jax.grad(lambda x, y: (x @ y).sum(), argnums=(0, 1)))(x, y)
    assert multiplications(gradient) == 2 * 120
    with pytest.raises(ValueError, match="whose length is not known"):
        multiplications(
            jax.make_jaxpr(lambda z: jax.lax.while_loop(lambda z: z[0, 0] > 0, lambda z: z @ z, z))(x[0, :3])
        )
    assert bytes_of({"x": x}, [y, np.int32(1)]) == 4 * (60 + 30 + 1)


def test_cases():
    found = cases()
    assert len({case.name for case in found}) == len(found)
    assert {case.dtype for case in found[:2]} == {"float32", "bfloat16"}
    assert {case.width for case in found} == {64, 128, 256}
    assert {case.rows for case in found if case.events < 201} == {4096}
    assert all(case.rows * case.events**2 <= MOST_SCORES for case in found)
