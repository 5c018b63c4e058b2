"""A lock between processes."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.config import ConfigError


@contextmanager
def alone(path: Path, busy: str | None = None) -> Iterator[None]:
    """Hold the lock of a file, which is made where it is missing.

    A process that is killed leaves the file behind, but not the lock.

    Args:
        path: The file.
        busy: What another process that asks for it is told; it waits when that is `None`.

    Raises:
        ConfigError: Another process holds the lock, and `busy` says so.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if busy is None else fcntl.LOCK_NB))
        except BlockingIOError:
            raise ConfigError(busy) from None
        yield
