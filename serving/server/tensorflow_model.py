"""A version in a TensorFlow session."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from serving.plain_path import plain_path
from serving.server.errors import invalid, reason_of
from serving.server.model import LoadedModel
from serving.server.signature import signature_of
from tf_interformer.schema import FeatureSchema


class TensorFlowModel(LoadedModel):
    """A SavedModel in a TensorFlow session, as TensorFlow Serving loads it.

    Args:
        path: Folder of the version; its name is the version's number.

    Raises:
        SchemaError: `assets.extra/schema.json` is there but cannot be read.
        OSError, RuntimeError, tf.errors.OpError: TensorFlow cannot load it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        schema_file = path / "assets.extra" / "schema.json"
        self.schema = FeatureSchema.from_json(schema_file) if schema_file.exists() else None
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph)
        try:
            with _without_notices(), plain_path(path) as plain:
                meta = tf.compat.v1.saved_model.load(self._session, ["serve"], plain)
            self._calls: dict[str, Any] = {}
            for name, definition in sorted(meta.signature_def.items()):
                if name.startswith("__"):  # the initialisation operation, which is no signature
                    continue
                signature = signature_of(name, definition, self.schema)
                self.signatures[name] = signature
                with graph.as_default():
                    self._calls[name] = self._session.make_callable(
                        [definition.outputs[output].name for output in signature.outputs],
                        [definition.inputs[column].name for column in signature.inputs],
                    )
        except BaseException:
            self._session.close()
            raise

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `LoadedModel.run`."""
        known = self.signatures[signature]
        try:
            values = self._calls[signature](*(inputs[name] for name in known.inputs))
        except tf.errors.InvalidArgumentError as error:
            raise invalid(f"the request does not fit the model: {reason_of(error)}") from None
        # A session gives a scalar string as bytes.
        arrays = [np.array(value, object) if isinstance(value, bytes) else value for value in values]
        return dict(zip(known.outputs, arrays, strict=True))

    def close(self) -> None:
        """Free the session; nothing may be computing.

        Python's graph refers to itself, so its memory comes back with the next `gc.collect()`.
        """
        self._session.close()
        self._calls.clear()  # each holds the session, and the session its graph, variables and tables
        del self._session


@contextmanager
def _without_notices() -> Iterator[None]:
    """TensorFlow calls its loader into a session deprecated; the one for Python does not take this path."""
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(before)
