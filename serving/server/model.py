"""One loaded version, whatever computes it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from serving.server.signature import Signature
from tf_interformer.schema import FeatureSchema


class LoadedModel(ABC):
    """What the server asks of a version.

    Args:
        path: Folder of the version; its name is the version's number.

    Attributes:
        path: As given.
        version: Its number.
        schema: `FeatureSchema` beside the model, or None where there is none.
        signatures: What it can be asked, by name.
        left_out: Names of the signatures that the folder holds and this engine cannot compute.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.version = int(path.name)
        self.schema: FeatureSchema | None = None
        self.signatures: dict[str, Signature] = {}
        self.left_out: frozenset[str] = frozenset()

    @abstractmethod
    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute a signature.

        Args:
            signature: Its name.
            inputs: An array for each of its inputs.

        Raises:
            ServingError: INVALID_ARGUMENT: the model refused the inputs.
        """

    @abstractmethod
    def close(self) -> None:
        """Free what it holds; nothing may be computing."""
