"""TensorFlow's notices are left out, and nothing else is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tf_interformer._quiet_start import warnings_of

WRITTEN = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795761803.835344    8086 port.cc:153] oneDNN custom operations are on.
2026-11-27 06:40:10.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized.
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow.

W0000 00:00:1795764848.413156   31400 op_kernel.cc:1858] OP_REQUIRES failed
E0000 00:00:1795764848.413156   31400 cuda_platform.cc:52] failed call to cuInit
UserWarning: protobuf is too old
"""


def test_warnings_and_errors_are_shown():
    assert [line[:5] for line in warnings_of(WRITTEN)] == ["W0000", "E0000", "UserW"]


def started(*arguments):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[1],
    )


@pytest.mark.parametrize("command", ["serving.serve", "pipelines.evaluate"])
def test_a_command_starts_without_notices(command):
    run = started("-m", command, "--help")
    assert run.stdout.startswith(f"usage: python -m {command} ")
    assert "I0000" not in run.stderr and "rebuild TensorFlow" not in run.stderr


def test_a_client_starts_without_tensorflow():
    program = "import serving.client, sys; print('tensorflow' in sys.modules)"
    assert started("-c", program).stdout == "False\n"
