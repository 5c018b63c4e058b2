"""TensorFlow's start without its notices of what processor it found: a command's own lines are read then."""

import os
import re
import sys
import tempfile
from pathlib import Path

# What drivers of GPUs make, of Linux and of Windows's Linux. Without them TensorFlow's "failed call to cuInit" is none.
_GPUS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
_NO_GPU = re.compile(r".* failed call to cuInit: ")
_NOTICE = re.compile(r"I\d{4} |\S+ \S+: I |WARNING: All log messages before absl|To enable the following instructions")


def import_tensorflow() -> None:
    """Import TensorFlow and Keras, and look for GPUs; what they write meanwhile is shown, but for notices.

    They write them whatever `TF_CPP_MIN_LOG_LEVEL` says, which counts from then on: unless it is set, information is
    left out, and warnings and errors are shown.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    sys.stderr.flush()
    own = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            import tensorflow as tf

            import tf_interformer._keras  # noqa: F401

            tf.config.list_physical_devices()
        finally:
            os.dup2(own, 2)
            os.close(own)
            written.seek(0)
            for line in warnings_of(written.read().decode(errors="replace")):
                print(line, file=sys.stderr)


def warnings_of(text: str) -> list[str]:
    """The lines that are no notices: of a machine without a GPU, that it has none is one."""
    gpu = any(path.exists() for path in _GPUS)
    lines = [line for line in text.splitlines() if line.strip() and not _NOTICE.match(line)]
    return [line for line in lines if gpu or not _NO_GPU.match(line)]
