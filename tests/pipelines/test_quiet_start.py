"""TensorFlow's notices are left out, and nothing else is."""

from pipelines.quiet_start import warnings_of

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
