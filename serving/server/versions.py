"""The versions in a folder: loads the new, retires the old, without losing a request."""

import asyncio
import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from serving.server.batching import Batcher
from serving.server.changes import changes
from serving.server.errors import not_found, reason_of
from serving.server.model import LoadedModel
from serving.server.warmup import replay

_LOG = logging.getLogger("serving")

State = Literal["LOADING", "AVAILABLE", "UNLOADING", "END"]


@dataclass(frozen=True)
class Served:
    """A version that serves."""

    model: LoadedModel
    batcher: Batcher


@dataclass(frozen=True)
class Status:
    """State of a version as TensorFlow Serving names it; `error` says why it could not be loaded."""

    version: int
    state: State
    error: str = ""


class Versions:
    """Follows the folder `BASE/1`, `BASE/2`, ...

    A version is a folder whose name is a number and that holds `saved_model.pb`; other names are ignored. One that
    cannot be loaded is reported, and tried again once its files change; those that serve stay.

    Args:
        base: The folder.
        name: Name of the model, for messages.
        load: Loads the version in a folder.
        policy: `"latest"`: the highest version that can be loaded; `"all"`: every version.
        batcher: Makes the queue of a version.
        on_change: Called with a version and whether it serves now. Defaults to nothing.
    """

    def __init__(
        self,
        base: Path,
        name: str,
        load: Callable[[Path], LoadedModel],
        policy: Literal["latest", "all"],
        batcher: Callable[[LoadedModel], Batcher],
        on_change: Callable[[int, bool], object] | None = None,
    ) -> None:
        self._base = base
        self._name = name
        self._load_model = load
        self._policy = policy
        self._batcher = batcher
        self._on_change = on_change or (lambda version, serves: None)
        self._serving: dict[int, Served] = {}
        self._states: dict[int, Status] = {}
        self._failed: dict[int, list[tuple[str, int, int]]] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def serving(self) -> list[int]:
        """The versions that serve, in order."""
        return sorted(self._serving)

    @property
    def queue_length(self) -> int:
        """Requests that wait, for any version."""
        return sum(served.batcher.queue_length for served in self._serving.values())

    def get(self, version: int | None = None) -> Served:
        """A version that serves.

        Args:
            version: Its number. Defaults to the highest.

        Raises:
            ServingError: NOT_FOUND.
        """
        if version is None and self._serving:
            return self._serving[max(self._serving)]
        if version not in self._serving:
            raise not_found(f"model {self._name!r} serves the versions {self.serving}. Received: {version}")
        return self._serving[version]

    def statuses(self, version: int | None = None) -> list[Status]:
        """The state of each version seen, the highest first, or of one.

        Raises:
            ServingError: NOT_FOUND: the version was never seen.
        """
        if version is not None and version not in self._states:
            raise not_found(f"model {self._name!r} has no version {version}")
        return [status for number, status in sorted(self._states.items(), reverse=True) if version in (None, number)]

    async def poll(self) -> None:
        """Look at the folder once, and load what is new."""
        found = self._found()
        if self._policy == "all":
            for version, path in sorted(found.items()):
                await self._load(version, path)
            keep = set(found)
        else:
            keep = set()
            for version, path in sorted(found.items(), reverse=True):
                if await self._load(version, path):
                    keep = {version}
                    break
        if keep & set(self._serving):  # the last version stays, even when its folder is gone
            for version in set(self._serving) - keep:
                self._retire(version)

    async def watch(self, seconds: float) -> None:
        """Poll until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.poll()
            except OSError as error:
                _LOG.error("cannot read %s: %s", self._base, error)

    async def close(self) -> None:
        """Finish what is under way, then free every version."""
        for version in self.serving:
            self._retire(version)
        if self._retiring:
            await asyncio.wait(self._retiring)

    def _found(self) -> dict[int, Path]:
        return {
            int(path.name): path
            for path in self._base.iterdir()
            if path.name.isascii() and path.name.isdigit() and (path / "saved_model.pb").is_file()
        }

    async def _load(self, version: int, path: Path) -> bool:
        if version in self._serving:
            return True
        files = _files(path)
        if self._failed.get(version) == files:
            return False
        self._states[version] = Status(version, "LOADING")
        failed = False
        try:
            model = await asyncio.to_thread(self._warm, path)
        except Exception as error:  # TensorFlow raises many kinds for a broken folder
            reason = f"{type(error).__name__}: {reason_of(error)}"
            _LOG.error("version %d cannot be loaded, %s: %s", version, self._stays(), reason)
            self._failed[version] = files
            self._states[version] = Status(version, "END", reason)
            failed = True
        if failed:
            gc.collect()  # of what was loaded, when the error is gone that refers to it
            return False
        self._failed.pop(version, None)
        self._warn(version, model)
        self._serving[version] = Served(model, self._batcher(model))
        self._states[version] = Status(version, "AVAILABLE")
        self._on_change(version, True)
        _LOG.info("version %d serves", version)
        return True

    def _warm(self, path: Path) -> LoadedModel:
        model = self._load_model(path)
        try:
            replay(model)
        except BaseException:
            model.close()
            raise
        return model

    def _warn(self, version: int, model: LoadedModel) -> None:
        """Of a version for which other requests must be made: it may be meant, and it may be a mistake."""
        if not self._serving:
            return
        before = self._serving[max(self._serving)].model
        if found := changes(before.signatures, model.signatures):
            _LOG.warning(
                "version %d differs for its callers from version %d: %s", version, before.version, "; ".join(found)
            )

    def _stays(self) -> str:
        return f"{self.serving} stays" if self._serving else "none serves"

    def _retire(self, version: int) -> None:
        served = self._serving.pop(version)
        self._states[version] = Status(version, "UNLOADING")
        self._on_change(version, False)

        async def finish() -> None:
            await served.batcher.close()
            gc.collect()  # else the graph stays until Python comes to think of it, many versions later
            if version not in self._serving:
                self._states[version] = Status(version, "END")
            _LOG.info("version %d is unloaded", version)

        task = asyncio.create_task(finish())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


def _files(path: Path) -> list[tuple[str, int, int]]:
    found = []
    for file in sorted(path.rglob("*")):
        stat = file.stat()
        found.append((str(file), stat.st_size, stat.st_mtime_ns))
    return found
