"""The folder of a run: what lies where, and how its state survives being killed."""

import dataclasses
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.config import ConfigError, TrainConfig
from pipelines.whole import whole_file, write_text
from tf_interformer.ranker import Ranker


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


class RunDirectory:
    """A run's folder. Every file appears whole or not at all."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    config = property(lambda self: self.path / "config.yaml")
    schema = property(lambda self: self.path / "schema.json")
    metrics = property(lambda self: self.path / "metrics.json")
    model = property(lambda self: self.path / "model.keras")
    saved_model = property(lambda self: self.path / "saved_model")
    example_request = property(lambda self: self.path / "example_request.json")
    example_ranking = property(lambda self: self.path / "example_ranking.json")
    plots = property(lambda self: self.path / "plots")
    tensorboard = property(lambda self: self.path / "tensorboard")
    best = property(lambda self: self.path / "checkpoints" / "best.keras")
    latest = property(lambda self: self.path / "checkpoints" / "latest")

    def claim(self, config: TrainConfig) -> None:
        """Make the folder, or make sure that the run in it is this one.

        Raises:
            ConfigError: The folder holds a run of another configuration, or something else.
        """
        text = config.to_yaml()
        if self.config.is_file():
            if self.config.read_text(encoding="utf-8") != text:
                raise ConfigError(
                    f"{self.path} holds a run of another configuration ({self.config}): give another --output, "
                    "or remove that folder"
                )
            return
        if self.path.exists() and any(self.path.iterdir()):
            raise ConfigError(f"{self.path} is not empty and holds no run: give another --output")
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.config, text)

    def save_state(self, ranker: Ranker, state: RunState) -> None:
        """Write model, optimiser and state as the latest checkpoint; the one before it stays until then."""
        new, old = self.latest.with_suffix(".tmp"), self.latest.with_suffix(".old")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        ranker.save(str(new / "model.keras"))
        write_text(new / "state.json", json.dumps(dataclasses.asdict(state), indent=1))
        if self.latest.exists():
            shutil.rmtree(old, ignore_errors=True)
            self.latest.rename(old)
        new.rename(self.latest)
        shutil.rmtree(old, ignore_errors=True)

    def load_state(self) -> tuple[Ranker, RunState] | None:
        """The latest checkpoint, or None where there is none."""
        old = self.latest.with_suffix(".old")  # what is left when the run was killed between two renames
        for folder in (self.latest, old):
            if (folder / "state.json").is_file():
                values = json.loads((folder / "state.json").read_text(encoding="utf-8"))
                return Ranker.from_file(folder / "model.keras"), RunState(**values)
        return None

    def save_model(self, ranker: Ranker, path: Path) -> None:
        """Write a `.keras` file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            ranker.save(str(temporary))

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Write `metrics.json`."""
        write_text(self.metrics, json.dumps(metrics, indent=1))
