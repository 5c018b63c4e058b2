"""What the command line sets."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Engine = Literal["tensorflow", "onnxruntime"]


@dataclass(frozen=True)
class Options:
    """Settings of the server.

    Args:
        base: Folder that holds the versions, as `BASE/1`, `BASE/2`.
        name: Name of the model in requests.
        host: Address to listen on. Defaults to the loopback address.
        port: gRPC port; 0 takes any that is free. Defaults to 8500, as TensorFlow Serving's.
        rest_port: REST port. Defaults to 8501.
        engine: What computes the scores: `"tensorflow"`, the SavedModel in a session, or `"onnxruntime"`, the ONNX
            files that `tf-interformer export --onnx` writes beside it. Defaults to `"tensorflow"`.
        versions: Which versions are served: the `"latest"` or `"all"`. Defaults to `"latest"`.
        poll_seconds: Seconds between two looks at the folder. Defaults to 1.
        batching: Whether waiting requests are computed together. Defaults to `True`.
        max_batch: Rows computed together at most. Defaults to 256.
        max_queue: Requests that may wait; one more is refused at once. Defaults to 256.
        max_rows: Rows, or candidates, of one request. Defaults to 10,000.
        max_body_mb: Size of a request in MiB. Defaults to 16.
        max_connections: REST connections, and gRPC connections, at a time. Defaults to 512.
        read_timeout: Seconds in which a request must have arrived. Defaults to 20.
        timeout: Seconds a request may take when its caller sets no deadline. Defaults to 30.
        grace: Seconds that requests under way get when the server stops. Defaults to 10.
        threads: Requests computed at a time without batching. Defaults to the number of processors.
    """

    base: Path
    name: str
    host: str = "127.0.0.1"
    port: int = 8500
    rest_port: int = 8501
    engine: Engine = "tensorflow"
    versions: Literal["latest", "all"] = "latest"
    poll_seconds: float = 1.0
    batching: bool = True
    max_batch: int = 256
    max_queue: int = 256
    max_rows: int = 10_000
    max_body_mb: float = 16
    max_connections: int = 512
    read_timeout: float = 20.0
    timeout: float = 30.0
    grace: float = 10.0
    threads: int = os.cpu_count() or 1

    @property
    def max_body_bytes(self) -> int:
        """`max_body_mb` in bytes."""
        return int(self.max_body_mb * 2**20)
