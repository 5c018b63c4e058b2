"""TensorFlow Serving's Classify and Regress: which signatures they take, and what they make of the outputs."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, regression_pb2

from serving.server.errors import invalid
from serving.server.signature import Signature

Method = Literal["classify", "regress"]
_OUTPUTS = {"classify": ("classes", "scores"), "regress": ("outputs",)}


def require_method(signature: Signature, method: Method) -> None:
    """Refuses a signature that is not for the method.

    Its inputs and outputs say so, not its method name: TensorFlow 2 saves every signature as one for Predict.

    Args:
        signature: What is asked.
        method: By which method.

    Raises:
        ServingError: INVALID_ARGUMENT.
    """
    names, outputs = _OUTPUTS[method], set(signature.outputs)
    if set(signature.inputs) != {"inputs"} or signature.inputs["inputs"].dtype != tf.string:
        raise invalid(
            f"signature {signature.name!r} cannot {method}: its one input must be 'inputs', serialized examples. "
            f"It takes {sorted(signature.inputs)}"
        )
    if not outputs or not outputs <= set(names):
        raise invalid(f"signature {signature.name!r} cannot {method}: it must give {_either(names)}. "
                      f"It gives {sorted(outputs)}")  # fmt: skip


def classification_result(outputs: Mapping[str, np.ndarray], rows: int) -> Any:
    """The `ClassificationResult` of a signature's outputs.

    Args:
        outputs: `classes`, strings, or `scores`, float32, or both; `[rows, classes]`.
        rows: Examples of the request.

    Raises:
        ServingError: INVALID_ARGUMENT: the outputs are not so.
    """
    scores, classes = outputs.get("scores"), outputs.get("classes")
    if scores is not None:
        _require("scores", scores, np.dtype(np.float32), rows, (2,))
    if classes is not None:
        _require("classes", classes, np.dtype(object), rows, (2,))
    given = scores if scores is not None else classes
    assert given is not None
    if classes is not None and classes.shape != given.shape:
        raise invalid(f"'classes' {list(classes.shape)} and 'scores' {list(given.shape)} must have the same shape")
    result = classification_pb2.ClassificationResult()
    for row in range(rows):
        made = result.classifications.add()
        for place in range(given.shape[1]):
            label = classes[row, place].decode(errors="replace") if classes is not None else ""
            made.classes.add(label=label, score=scores[row, place] if scores is not None else 0.0)
    return result


def regression_result(outputs: Mapping[str, np.ndarray], rows: int) -> Any:
    """The `RegressionResult` of a signature's outputs.

    Args:
        outputs: `outputs`, float32 `[rows]` or `[rows, 1]`.
        rows: Examples of the request.

    Raises:
        ServingError: INVALID_ARGUMENT: the outputs are not so.
    """
    values = outputs["outputs"]
    _require("outputs", values, np.dtype(np.float32), rows, (1, 2))
    if values.size != rows:
        raise invalid(f"output 'outputs' must have the shape [rows] or [rows, 1]. Received: {list(values.shape)}")
    result = regression_pb2.RegressionResult()
    for value in values.ravel().tolist():
        result.regressions.add(value=value)
    return result


def _require(name: str, array: np.ndarray, dtype: np.dtype, rows: int, ranks: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.ndim not in ranks or len(array) != rows:
        kind = "strings" if dtype.hasobject else dtype.name
        raise invalid(f"output {name!r} must be {kind} with {rows} rows. Received: {array.dtype} {list(array.shape)}")


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(repr(name) for name in names) + (", or both" if len(names) > 1 else "")
