"""Paths for TensorFlow, which takes `[`, `*` and `?` in the path of a SavedModel's variables for a pattern."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PATTERN = frozenset("*?[]\\")


@contextmanager
def plain_path(folder: str | os.PathLike) -> Iterator[str]:
    """Within it, a path to the folder in which TensorFlow sees no pattern: its own, or a link's."""
    path = os.fspath(folder)
    if not _PATTERN & set(os.path.abspath(path)):
        yield path
        return
    with tempfile.TemporaryDirectory() as base:
        link = Path(base) / "folder"
        link.symlink_to(os.path.abspath(path), target_is_directory=True)
        yield os.fspath(link)
