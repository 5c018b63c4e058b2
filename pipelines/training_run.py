"""The folder of a run that trains: whose it is, and how its state survives being killed."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.config import ConfigError, TrainConfig, load_config
from pipelines.fingerprint import differences
from pipelines.lock import alone
from pipelines.random_state import random_state, set_random_state
from tf_interformer.errors import UserError
from tf_interformer.ranker import Ranker
from tf_interformer.run_directory import RunDirectory, load_ranker, read_json
from tf_interformer.whole import is_temporary, whole_file, write_text


@dataclass
class RunState:
    """How far a run has come; together with the model and its optimiser, all that resuming needs.

    Attributes:
        epoch: Epoch in progress, from 0.
        step: Batches of it already seen.
        best_epoch: Epoch of the best validation metric so far, -1 before the first.
        best_value: That metric.
        history: One dict per finished epoch.
        examples: Number of training examples.
        difference: Share of the label's variance between users, see `pipelines.sizing`.
        rate: What `decay: plateau` has left of the learning rates.
        seconds: Time spent training so far.
        step_rate: Examples a second that training took in the first epoch.
        input_rate: Examples a second that the input pipeline gives by itself.
        finished: Whether training is over.
        random: State of the model's random generators, see `pipelines.random_state`.
    """

    epoch: int = 0
    step: int = 0
    best_epoch: int = -1
    best_value: float = float("nan")
    history: list[dict[str, float]] = field(default_factory=list)
    examples: int = 0
    difference: float = 0.0
    rate: float = 1.0
    seconds: float = 0.0
    step_rate: float = float("nan")
    input_rate: float = float("nan")
    finished: bool = False
    random: list[list[int]] = field(default_factory=list)


class TrainingRun(RunDirectory):
    """A run's folder while it is filled. Every file appears whole or not at all."""

    lock = property(lambda self: self.path / ".lock")
    data = property(lambda self: self.path / "data.json")
    tensorboard = property(lambda self: self.path / "tensorboard")
    best = property(lambda self: self.path / "checkpoints" / "best.keras")
    latest = property(lambda self: self.path / "checkpoints" / "latest")

    @contextmanager
    def owned(self, config: TrainConfig, wait: bool = False) -> Iterator[None]:
        """Within it, the folder is there, holds this run and no other, and no other process trains in it.

        A folder in which nothing was trained is taken over, whatever the configuration that it holds.

        Args:
            config: The run's configuration.
            wait: Whether to wait for a process that trains there, rather than to refuse. Defaults to `False`.

        Raises:
            ConfigError: The folder holds a run of another configuration, or something else, or another process trains
                in it.
        """
        self.check(config)  # before anything is written there
        self.path.mkdir(parents=True, exist_ok=True)
        busy = f"another process trains in {self.path}: wait for it, or give another --output"
        with alone(self.lock, None if wait else busy):
            self.check(config)
            for folder in (self.path, self.best.parent):
                for left in folder.iterdir() if folder.is_dir() else ():
                    if is_temporary(left):
                        left.unlink()
            write_text(self.config, config.to_yaml())
            yield

    def check(self, config: TrainConfig) -> None:
        """Make sure that the folder is free, or that the run in it is this one.

        Raises:
            ConfigError: The folder holds a run of another configuration, or something else.
        """
        if not self.config.is_file():
            if self.path.exists() and self._others():
                raise ConfigError(f"{self.path} is not empty and holds no run: give another --output")
        elif self._trained and (changed := self._changed(config)):
            raise ConfigError(
                f"{self.path} holds a run of another configuration ({self.config}): {'; '.join(changed)}. Give another "
                "--output, or remove that folder"
            )

    def _changed(self, config: TrainConfig) -> list[str]:
        """How the folder's configuration differs, in words; what it lacks, since it is older, has its default."""
        try:
            there = load_config(self.config)
        except ConfigError as error:
            return [str(error)]
        old, new = (dict(_values(each.model_dump(mode="json"))) for each in (there, config))
        return [
            f"{key} is {new.get(key)!r} here, {old.get(key)!r} there"
            for key in (old | new)
            if old.get(key) != new.get(key)
        ]

    def check_data(self, found: dict[str, Any]) -> None:
        """Note what the run is trained on; make sure that it is what it was begun with.

        Args:
            found: Of `pipelines.fingerprint`.

        Raises:
            ConfigError: The run was begun on other data.
        """
        if self._trained and self.data.is_file():
            changed = list(differences(read_json(self.data), found))
            if changed:
                raise ConfigError(
                    f"{self.path} was begun on other data ({self.data}): {'; '.join(changed)}. Give another --output, "
                    "or bring the data back"
                )
        write_text(self.data, json.dumps(found, indent=1))

    @property
    def _trained(self) -> bool:
        """Whether there is more than what a command writes before it trains."""
        return bool(self._others() - {path.name for path in (self.config, self.data, self.schema)})

    def _others(self) -> set[str]:
        return {path.name for path in self.path.iterdir() if path != self.lock and not is_temporary(path)}

    def load_best(self) -> Ranker:
        """The best model so far.

        Raises:
            UserError: Its file is gone or damaged.
        """
        return load_ranker(self.best, self._anew)

    def save_state(self, ranker: Ranker, state: RunState) -> None:
        """Write model, optimiser and state as the latest checkpoint; the one before it stays until then."""
        new, old = self.latest.with_suffix(".tmp"), self.latest.with_suffix(".old")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        ranker.save(str(new / "model.keras"))
        state.random = random_state(ranker)  # no `.keras` file has it
        write_text(new / "state.json", json.dumps(dataclasses.asdict(state), indent=1))
        if self.latest.exists():
            shutil.rmtree(old, ignore_errors=True)
            self.latest.rename(old)
        new.rename(self.latest)
        shutil.rmtree(old, ignore_errors=True)

    def load_state(self) -> tuple[Ranker, RunState] | None:
        """The latest checkpoint, or None where there is none.

        Raises:
            UserError: A file of it is damaged.
        """
        old = self.latest.with_suffix(".old")  # what is left when the run was killed between two renames
        for folder in (self.latest, old):
            if folder.is_dir():
                file = folder / "state.json"
                try:
                    state = RunState(**read_json(file))
                except TypeError as error:
                    raise UserError(f"{file} is of another version: {error}; {self._anew}") from None
                except UserError as error:
                    raise UserError(f"{error}; {self._anew}") from None
                ranker = load_ranker(folder / "model.keras", self._anew)
                if state.random:  # of a version that did not keep it
                    set_random_state(ranker, state.random)
                return ranker, state
        return None

    @property
    def _anew(self) -> str:
        return f"remove {self.best.parent}, and the same command trains from the start"

    def save_model(self, ranker: Ranker, path: Path) -> None:
        """Write a `.keras` file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            ranker.save(str(temporary))

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Write `metrics.json`."""
        write_text(self.metrics, json.dumps(metrics, indent=1))


def _values(config: dict[str, Any], section: str = "") -> Iterator[tuple[str, Any]]:
    """`(section.key, value)` of everything in a configuration."""
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from _values(value, f"{section}{key}.")
        else:
            yield section + key, value
