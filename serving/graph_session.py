"""A SavedModel in TensorFlow's own C++ session, the runtime that TensorFlow Serving is built on."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from serving.plain_path import plain_path

_V1 = tf.compat.v1


class GraphSession:
    """Runs the signatures of a SavedModel as TensorFlow Serving does: from its graph, by the names of its tensors.

    Several threads may run it at once; none while it is closed. `signatures` holds what each takes and gives, by name.

    Args:
        path: Folder of an exported version, as `RUN/saved_model/1`.

    Raises:
        OSError: The folder holds no SavedModel.
        RuntimeError: It has no graph with the tag `serve`.

    Example:

        with GraphSession("runs/demo/saved_model/1") as session:
            scores = session.run("serving_default", columns)["probability"]
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self._session = _V1.Session(graph=tf.Graph())
        with plain_path(path) as plain, self._session.graph.as_default():
            found = _V1.saved_model.load(self._session, ["serve"], plain).signature_def
        self.signatures = {name: signature for name, signature in found.items() if not name.startswith("__")}

    def run(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Outputs of a signature, by name; strings as an array of `bytes`.

        Args:
            signature: Name of the signature, as `"serving_default"`.
            inputs: dict of arrays, by the signature's input names. Strings are `str` or `bytes`.

        Raises:
            KeyError: There is no such signature.
            ValueError: The inputs are not the signature's, or of another type or rank.
            tf.errors.OpError: TensorFlow refuses to run it.
        """
        asked = self.signatures[signature]
        if set(inputs) != set(asked.inputs):
            raise ValueError(f"signature {signature!r} takes {sorted(asked.inputs)}. Received: {sorted(inputs)}")
        fed = {info.name: inputs[name] for name, info in asked.inputs.items()}
        found: dict[str, np.ndarray] = self._session.run({n: info.name for n, info in asked.outputs.items()}, fed)
        return found

    def close(self) -> None:
        """Give the memory back."""
        self._session.close()

    def __enter__(self) -> "GraphSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
