"""The folder of a run: what lies where."""

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_interformer.errors import UserError

if TYPE_CHECKING:
    from tf_interformer.ranker import Ranker


class RunDirectory:
    """A run's folder: training fills it, everything else reads it.

    Args:
        path: The folder; it may not be there yet.

    Example:

    >>> RunDirectory("runs/demo").model
    PosixPath('runs/demo/model.keras')
    """

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

    def finished(self) -> dict[str, Any]:
        """The metrics of a finished run.

        Raises:
            UserError: The folder holds none.
        """
        if not self.metrics.is_file():
            raise UserError(f"{self.path} holds no finished run: {self.metrics} does not exist")
        return read_json(self.metrics)

    def load_model(self) -> "Ranker":
        """The model of a finished run.

        Raises:
            UserError: There is none, or its file is damaged.
        """
        if not self.model.is_file():
            raise UserError(f"{self.path} holds no finished run: {self.model} does not exist")
        return load_ranker(self.model, "take another run, or train it again in another folder")


def read_json(file: Path) -> dict[str, Any]:
    """What a JSON file of a run holds.

    Raises:
        UserError: It cannot be read, or holds something else.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{file} is damaged: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{file} is damaged: it must hold a JSON object. Received: {type(values).__name__}")
    return values


def load_ranker(file: Path, otherwise: str) -> "Ranker":
    """The model of a `.keras` file.

    Args:
        file: The file.
        otherwise: What to do where it cannot be loaded.

    Raises:
        UserError: It is gone or damaged.
    """
    from tf_interformer.ranker import Ranker

    if not file.is_file():
        raise UserError(f"{file} does not exist: {otherwise}")
    if not zipfile.is_zipfile(file):  # Keras says "file not found"
        raise UserError(f"cannot load {file}: it is cut off, or no `.keras` file; {otherwise}")
    try:
        return Ranker.from_file(file)
    except Exception as error:  # damage shows as whatever the reader stumbles over: zip, HDF5, JSON, shapes
        shown = f"{type(error).__name__}: {error}"
        raise UserError(f"cannot load {file}: it is damaged, or of another version ({shown}); {otherwise}") from None
