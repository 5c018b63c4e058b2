"""A version in onnxruntime."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from serving.encoder import Encoder, EncoderError
from serving.onnx import OnnxError, open_session
from serving.onnx_version import REQUESTS_FILE, ROWS_FILE, require_files
from serving.server.errors import invalid
from serving.server.example_columns import example_columns
from serving.server.model import LoadedModel
from serving.server.signature import signature_of
from tf_interformer._output_names import output_name
from tf_interformer.schema._name import ROW_COLUMN

_COMPUTED = ("classify", "regress", "score_candidates", "serve_examples", "serving_default")


class OnnxModel(LoadedModel):
    """The ONNX files beside a SavedModel, behind the encoder of `serving.encoder`: no TensorFlow session.

    What it can be asked, and with which inputs, is read from the SavedModel; it has the signatures that end in scores.

    Args:
        path: Folder of the version; its name is the version's number.

    Raises:
        OnnxError: The folder lacks an ONNX file, or its SavedModel cannot be read.
        EncoderError: `schema.json` cannot be read, or it hashes and `pyfarmhash` is not installed.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        extra = path / "assets.extra"
        require_files(path, "schema.json", ROWS_FILE)
        self._encoder = Encoder(extra / "schema.json")
        self.schema = self._encoder.schema
        found = _definitions(path / "saved_model.pb")
        for name in _COMPUTED:
            if name in found and (signature := signature_of(name, found[name], self.schema)).kind != "other":
                self.signatures[name] = signature
        self.left_out = frozenset(found) - frozenset(self.signatures)
        self._sessions = {ROWS_FILE: open_session(extra / ROWS_FILE, spin=False)}
        if self.schema.served_candidate:
            require_files(path, REQUESTS_FILE)
            self._sessions[REQUESTS_FILE] = open_session(extra / REQUESTS_FILE, spin=False)
        self._first = output_name("probability", self.schema.tasks[0], len(self.schema.tasks))

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See `LoadedModel.run`."""
        known, schema = self.signatures[signature], self._encoder.schema
        try:
            if known.kind == "candidates":
                row = np.zeros(len(inputs[schema.served_candidate[0]]), np.int32)  # all are the one user's
                return self._computed(REQUESTS_FILE, {**inputs, ROW_COLUMN: row}, known.outputs)
            if known.kind == "columns":
                return self._computed(ROWS_FILE, inputs, known.outputs)
            (serialized,) = inputs.values()
            columns = example_columns(schema.served_columns, serialized)
            if signature == "serve_examples":
                return self._computed(ROWS_FILE, columns, known.outputs)
            probability = self._computed(ROWS_FILE, columns, [self._first])[self._first]  # [rows, 1]
        except EncoderError as error:
            raise invalid(f"the request does not fit the model: {error}") from None
        if signature == "regress":
            return {"outputs": probability}
        classes = np.tile(np.array([[b"0", b"1"]], object), (len(probability), 1))
        return {"classes": classes, "scores": np.concatenate([1 - probability, probability], axis=1)}

    def close(self) -> None:
        """Free the sessions; nothing may be computing."""
        self._sessions.clear()

    def _computed(self, file: str, raw: Mapping[str, Any], outputs: Iterable[str]) -> dict[str, np.ndarray]:
        session, wanted, encoded = self._sessions[file], list(outputs), self._encoder.encode(raw)
        found = session.run(wanted, {given.name: encoded[given.name] for given in session.get_inputs()})
        return dict(zip(wanted, found, strict=True))


def _definitions(file: Path) -> dict[str, Any]:
    """The `SignatureDef`s of a SavedModel, by name."""
    try:
        (graph,) = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs
    except (DecodeError, ValueError) as error:
        raise OnnxError(f"{file} cannot be read: {error}") from None
    return {name: made for name, made in graph.signature_def.items() if not name.startswith("__")}
