"""TensorFlow's notices are left out, and nothing else is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tf_interformer import _quiet_start

WRITTEN = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795761803.835344    8086 port.cc:153] oneDNN custom operations are on.
2026-11-27 06:40:10.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized.
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow.

W0000 00:00:1795764848.413156   31400 op_kernel.cc:1858] OP_REQUIRES failed
E0000 00:00:1795764848.413156   31400 cuda_platform.cc:52] failed call to cuInit: INTERNAL
UserWarning: protobuf is too old
"""


@pytest.mark.parametrize("gpu", [True, False])
def test_warnings_and_errors_are_shown(monkeypatch, tmp_path, gpu):
    """That there is no GPU is an error only where there is one."""
    monkeypatch.setattr(_quiet_start, "_GPUS", (tmp_path if gpu else tmp_path / "none",))
    expected = ["W0000", "E0000", "UserW"] if gpu else ["W0000", "UserW"]
    assert [line[:5] for line in _quiet_start.warnings_of(WRITTEN)] == expected


# What keeps TensorFlow quiet here, and on nobody's machine
UNSET = ("TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES")


def started(*arguments):
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[1],
    )


@pytest.mark.parametrize(
    ("command", "message"),
    [("serving.serve", "is no folder: export a model to it first"), ("pipelines.evaluate", "holds no finished run: ")],
)
def test_a_command_starts_without_notices(command, message):
    run = started("-m", command, "none/such")
    assert run.stderr.startswith(f"error: none/such {message}")
    assert len(run.stderr.splitlines()) == 1


def test_a_client_starts_without_tensorflow():
    program = "import serving.client, sys; print('tensorflow' in sys.modules)"
    assert started("-c", program).stdout == "False\n"
