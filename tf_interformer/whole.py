"""Files and folders that appear whole or not at all, whoever else writes there at the same time."""

import errno
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name of one's own to write to, with the file's ending; it becomes the file when all went well."""
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.tmp{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder of one's own, not yet made, beside the folder that it becomes when all went well.

    Raises:
        FileExistsError: The folder is there, maybe since this began.
    """
    if path.exists():
        raise _exists(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        try:
            temporary.rename(path)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise _exists(path) from None
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def is_temporary(path: Path) -> bool:
    """Whether this is what a process that was killed left of a file or folder."""
    return re.match(r"\..*\.[0-9a-f]{32}\.tmp", path.name) is not None


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(f"{path} exists already: give another name, or remove it first")
