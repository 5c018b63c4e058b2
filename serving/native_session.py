"""A SavedModel in TensorFlow's own C++ session, through its C API: the runtime that TensorFlow Serving is built on."""

import ctypes
import functools
import importlib.util
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from serving.plain_path import plain_path

_POINTER, _SIZE = ctypes.c_void_p, ctypes.c_size_t
# What each function returns and takes, as in tensorflow/c/c_api.h, tf_tensor.h, tf_status.h and tf_tstring.h.
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "TF_NewStatus": (_POINTER, []),
    "TF_DeleteStatus": (None, [_POINTER]),
    "TF_GetCode": (ctypes.c_int, [_POINTER]),
    "TF_Message": (ctypes.c_char_p, [_POINTER]),
    "TF_NewGraph": (_POINTER, []),
    "TF_DeleteGraph": (None, [_POINTER]),
    "TF_NewSessionOptions": (_POINTER, []),
    "TF_DeleteSessionOptions": (None, [_POINTER]),
    "TF_LoadSessionFromSavedModel": (
        _POINTER,
        [_POINTER, _POINTER, ctypes.c_char_p, _POINTER, ctypes.c_int, _POINTER, _POINTER, _POINTER],
    ),
    "TF_SessionRun": (
        None,
        [_POINTER, _POINTER]
        + [_POINTER, _POINTER, ctypes.c_int] * 2  # inputs, their values, how many; the same of the outputs
        + [_POINTER, ctypes.c_int, _POINTER, _POINTER],
    ),
    "TF_CloseSession": (None, [_POINTER, _POINTER]),
    "TF_DeleteSession": (None, [_POINTER, _POINTER]),
    "TF_GraphOperationByName": (_POINTER, [_POINTER, ctypes.c_char_p]),
    "TF_AllocateTensor": (_POINTER, [ctypes.c_int, _POINTER, ctypes.c_int, _SIZE]),
    "TF_DeleteTensor": (None, [_POINTER]),
    "TF_TensorType": (ctypes.c_int, [_POINTER]),
    "TF_NumDims": (ctypes.c_int, [_POINTER]),
    "TF_Dim": (ctypes.c_int64, [_POINTER, ctypes.c_int]),
    "TF_TensorData": (_POINTER, [_POINTER]),
    "TF_TensorByteSize": (_SIZE, [_POINTER]),
    "TF_StringInit": (None, [_POINTER]),
    "TF_StringCopy": (None, [_POINTER, ctypes.c_char_p, _SIZE]),
    "TF_StringGetDataPointer": (_POINTER, [_POINTER]),
    "TF_StringGetSize": (_SIZE, [_POINTER]),
}
_STRING_BYTES = 24  # sizeof(TF_TString)
_SERVE = b"serve"


class _Output(ctypes.Structure):
    """`TF_Output`: one output of an operation of the graph."""

    _fields_ = [("operation", _POINTER), ("index", ctypes.c_int)]


class NativeSession:
    """Runs the signatures of a SavedModel in TensorFlow's C++ session, without its Python runtime in between.

    It loads the folder by the tag `serve` with `TF_LoadSessionFromSavedModel`, as TensorFlow Serving does with the
    C++ function behind it, and runs a signature with `TF_SessionRun`. Names and types of inputs and outputs come from
    `saved_model.pb`. Several threads may run it at once; none while it is closed.

    Args:
        path: Folder of an exported version, as `RUN/saved_model/1`.

    Raises:
        ValueError: The folder holds no SavedModel with the tag `serve`.
        RuntimeError: TensorFlow cannot load it; the message is TensorFlow's.

    Example:

        with NativeSession("runs/demo/saved_model/1") as session:
            scores = session.run("serving_default", columns)["probability"]
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self._session = None
        self.path = Path(path)
        self.signatures = _signatures(self.path)
        self._library = _library()
        self._graph = self._library.TF_NewGraph()
        options = self._library.TF_NewSessionOptions()
        tags = (ctypes.c_char_p * 1)(_SERVE)
        with self._status(f"TensorFlow cannot load {self.path}") as status, plain_path(self.path) as plain:
            self._session = self._library.TF_LoadSessionFromSavedModel(
                options, None, os.fsencode(plain), tags, 1, self._graph, None, status
            )
            self._library.TF_DeleteSessionOptions(options)

    def run(self, signature: str, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Outputs of a signature, by name.

        Args:
            signature: Name of the signature, as `"serving_default"`.
            inputs: dict of arrays, by the signature's input names. Strings are `str` or `bytes`.

        Returns:
            dict: output name -> array; strings come back as an array of `bytes`.

        Raises:
            ValueError: No such signature, a missing or unknown input, or one of another type or rank.
            RuntimeError: TensorFlow refuses to run it; the message is TensorFlow's.
        """
        if self._session is None:
            raise ValueError(f"the session of {self.path} is closed")
        if signature not in self.signatures:
            raise ValueError(f"{self.path} has the signatures {sorted(self.signatures)}. Received: {signature!r}")
        asked = self.signatures[signature]
        missing, unknown = sorted(set(asked.inputs) - set(inputs)), sorted(set(inputs) - set(asked.inputs))
        if missing or unknown:
            raise ValueError(f"signature {signature!r}: missing inputs {missing}, unknown inputs {unknown}")
        arrays = {name: _array(name, inputs[name], info) for name, info in asked.inputs.items()}
        fed = self._outputs(asked.inputs)
        fetched = self._outputs(asked.outputs)
        given: list[int] = []
        results = (_POINTER * len(asked.outputs))()
        try:
            given += [self._tensor(arrays[name], info.dtype) for name, info in asked.inputs.items()]
            values = (_POINTER * len(given))(*given)
            with self._status(f"signature {signature!r} of {self.path}") as status:
                self._library.TF_SessionRun(
                    self._session, None, fed, values, len(given), fetched, results, len(results), None, 0, None, status
                )
            return {name: self._numpy(result) for name, result in zip(asked.outputs, results, strict=True)}
        finally:
            for tensor in (*given, *results):
                if tensor:
                    self._library.TF_DeleteTensor(tensor)

    def close(self) -> None:
        """Give the memory back; a second call does nothing."""
        session, self._session = self._session, None
        if session is None:
            return
        with self._status(f"closing {self.path}") as status:
            self._library.TF_CloseSession(session, status)
            self._library.TF_DeleteSession(session, status)
        self._library.TF_DeleteGraph(self._graph)

    def __enter__(self) -> "NativeSession":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _status(self, what: str) -> Iterator[int]:
        """A `TF_Status` for one call; what it holds afterwards is raised."""
        status = self._library.TF_NewStatus()
        try:
            yield status
            if self._library.TF_GetCode(status):
                message = self._library.TF_Message(status).decode(errors="replace")
                raise RuntimeError(f"{what}: {message}")
        finally:
            self._library.TF_DeleteStatus(status)

    def _outputs(self, infos: Mapping[str, Any]) -> Any:
        outputs = (_Output * len(infos))()
        for output, info in zip(outputs, infos.values(), strict=True):
            operation, _, index = info.name.partition(":")
            output.operation = self._library.TF_GraphOperationByName(self._graph, operation.encode())
            output.index = int(index or 0)
            if not output.operation:
                raise RuntimeError(f"{self.path}: the graph has no operation {operation!r}, which a signature names")
        return outputs

    def _tensor(self, array: np.ndarray, dtype: int) -> int:
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        strings = array.dtype == object
        size = array.size * _STRING_BYTES if strings else array.nbytes
        tensor: int = self._library.TF_AllocateTensor(dtype, shape, array.ndim, size)
        data = self._library.TF_TensorData(tensor)
        if not strings:
            ctypes.memmove(data, array.ctypes.data, size)
            return tensor
        for place, value in enumerate(array.ravel().tolist()):
            slot = data + place * _STRING_BYTES
            self._library.TF_StringInit(slot)
            self._library.TF_StringCopy(slot, value, len(value))
        return tensor

    def _numpy(self, tensor: int) -> np.ndarray:
        library = self._library
        shape = [library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor))]
        dtype = tf.as_dtype(library.TF_TensorType(tensor))
        data = library.TF_TensorData(tensor)
        if dtype != tf.string:
            found = np.empty(shape, dtype.as_numpy_dtype)
            ctypes.memmove(found.ctypes.data, data, library.TF_TensorByteSize(tensor))
            return found
        found = np.empty(shape, object)
        for place in range(found.size):
            slot = data + place * _STRING_BYTES
            text = ctypes.string_at(library.TF_StringGetDataPointer(slot), library.TF_StringGetSize(slot))
            found.ravel()[place] = text
        return found


def _array(name: str, value: Any, info: Any) -> np.ndarray:
    """The value as a contiguous array of the input's type; strings as `bytes` objects."""
    dtype, shape = tf.as_dtype(info.dtype), tf.TensorShape(info.tensor_shape)
    array = np.asarray(value)
    if dtype == tf.string:
        flat = [item.encode() if isinstance(item, str) else item for item in array.ravel().tolist()]
        wrong = next((item for item in flat if not isinstance(item, bytes)), None)
        if wrong is not None:
            raise ValueError(f"input {name!r} must hold strings. Received: {wrong!r:.80}")
        strings = np.empty(len(flat), object)
        strings[:] = flat
        array = strings.reshape(array.shape)
    elif not np.can_cast(array.dtype, dtype.as_numpy_dtype, "same_kind") or array.dtype.kind in "OUS":
        raise ValueError(f"input {name!r} must be {dtype.name}. Received: {array.dtype}")
    else:
        # Integers that do not fit must not wrap around.
        found = np.ascontiguousarray(array, dtype.as_numpy_dtype).reshape(array.shape)
        if dtype.is_integer and not np.array_equal(found, array):
            raise ValueError(f"input {name!r} holds integers that do not fit {dtype.name}")
        array = found
    if not shape.is_compatible_with(array.shape):
        raise ValueError(f"input {name!r} must have the shape {shape}. Received: {array.shape}")
    return array


def _signatures(path: Path) -> dict[str, Any]:
    """The signatures of the graph with the tag `serve`, by name."""
    file = path / "saved_model.pb"
    try:
        model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    except OSError as error:
        raise ValueError(f"{path} holds no exported model: cannot read {file.name}: {error.strerror}") from None
    except DecodeError:
        raise ValueError(f"{file} is no SavedModel: it does not parse. Export the model again") from None
    for graph in model.meta_graphs:
        if _SERVE.decode() in graph.meta_info_def.tags:
            named = graph.signature_def.items()
            return {name: signature for name, signature in named if not name.startswith("__")}
    raise ValueError(f"{file} has no graph with the tag 'serve': export the model for serving")


@functools.cache
def _library() -> ctypes.CDLL:
    """TensorFlow's C++ library, as the wheel brings it."""
    found = importlib.util.find_spec("tensorflow")
    assert found is not None and found.submodule_search_locations is not None
    folder = Path(found.submodule_search_locations[0])
    files = sorted(folder.glob("libtensorflow_cc.*"))
    if not files:
        raise RuntimeError(f"{folder} has no libtensorflow_cc: this TensorFlow wheel ships no C++ session")
    # It links against libtensorflow_framework, whose functions are found through it.
    library = ctypes.CDLL(str(files[0]))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
