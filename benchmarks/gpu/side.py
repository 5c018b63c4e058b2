"""A worker as its parent sees it."""

import json
import os
import queue
import subprocess
import sys
import threading
from typing import Any

# Two frameworks share the memory of the device: neither takes all of it at its start.
ENVIRONMENT = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.6"}


class Failed(RuntimeError):
    """Something failed in a worker, which goes on."""


class Side:
    """A process that makes cases and measures them.

    Args:
        name: `jax` or `torch`.
        small: Whether it is to be quick, on a processor.
    """

    def __init__(self, name: str, small: bool) -> None:
        environment = os.environ | ENVIRONMENT | {"KERAS_BACKEND": name, "TF_USE_LEGACY_KERAS": "0"}
        command = [sys.executable, "-m", "benchmarks.gpu.worker", name, *["--small"][:small]]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answers: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, **asked: Any) -> None:
        """Send a request, whose answer is to be taken later."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(asked) + "\n")
            self.process.stdin.flush()
        except OSError:
            pass  # it has ended: the answer says so

    def answer(self, seconds: float) -> dict[str, Any]:
        """The next answer.

        Raises:
            TimeoutError: It takes longer.
            Failed: Something failed in the worker.
            RuntimeError: It has ended.
        """
        try:
            found: dict[str, Any] | None = self._answers.get(timeout=max(seconds, 0.1))
        except queue.Empty:
            raise TimeoutError(f"no answer within {seconds:.0f} s") from None
        if found is None:
            self._answers.put(None)
            raise RuntimeError(f"the worker ended with exit code {self.process.wait()}")
        if "error" in found:
            raise Failed(found["error"])
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("@"):
                self._answers.put(json.loads(line[1:]))
        self._answers.put(None)
