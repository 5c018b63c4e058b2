"""Arrays from the JSON of a REST request."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from serving.request import RequestError, checked_scalar, columns_of_rows, parse_columns, shown
from serving.server.errors import invalid
from serving.server.signature import Signature

_MOST_AXES = 64  # of NumPy


def inputs_of(body: Mapping[str, Any], signature: Signature, max_rows: int) -> dict[str, np.ndarray]:
    """The inputs of a signature, from `instances` (rows) or `inputs` (columns).

    Args:
        body: The JSON object of the request.
        signature: What is asked.
        max_rows: Rows that a request may have.

    Raises:
        ServingError: INVALID_ARGUMENT, naming the instance and the column.
    """
    if ("instances" in body) == ("inputs" in body):
        raise invalid("the request must hold `instances`, a list of rows, or `inputs`, an object of columns")
    try:
        columns = _columns(body, signature, max_rows)
        for name, values in columns.items():
            if isinstance(values, list) and len(values) > max_rows:
                raise RequestError(
                    f"{name!r} has {len(values)} rows: this server takes at most {max_rows} in a request"
                )
        missing, unknown = sorted(set(signature.inputs) - set(columns)), sorted(set(columns) - set(signature.inputs))
        if missing or unknown:
            raise RequestError(f"missing columns {missing}, unknown columns {unknown}")
        known = {column.name for column in signature.columns}
        arrays = parse_columns(signature.columns, {name: columns[name] for name in signature.inputs if name in known})
        others = {name: spec for name, spec in signature.inputs.items() if name not in known}
        return arrays | {name: _array(name, columns[name], spec) for name, spec in others.items()}
    except RequestError as error:
        raise invalid(str(error)) from None


def _columns(body: Mapping[str, Any], signature: Signature, max_rows: int) -> dict[str, Any]:
    (only, *others) = signature.inputs
    if "inputs" in body:
        given = body["inputs"]
        if isinstance(given, dict) and not _is_bytes(given):
            return given
        if others:
            raise RequestError(f"`inputs` must be an object of columns. Received: {shown(given)}")
        return {only: given}
    rows = body["instances"]
    if not isinstance(rows, list) or not rows:
        raise RequestError(f"`instances` must be a list of at least one row. Received: {shown(rows)}")
    if len(rows) > max_rows:
        raise RequestError(f"`instances` has {len(rows)} rows: this server takes at most {max_rows}")
    if signature.kind == "candidates":
        raise RequestError(
            f"signature {signature.name!r} takes one user and many candidates: send `inputs`, an object of columns"
        )
    if not others and not any(isinstance(row, dict) and not _is_bytes(row) for row in rows):
        return {only: rows}
    return columns_of_rows(rows, signature.inputs)


def _is_bytes(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"}


def _array(name: str, value: Any, spec: tf.TensorSpec) -> np.ndarray:
    dtype = object if spec.dtype == tf.string else spec.dtype.as_numpy_dtype
    sizes: list[int] = []
    values: list[Any] = []
    inner = value
    while isinstance(inner, list):
        sizes.append(len(inner))
        if len(sizes) > _MOST_AXES:
            raise RequestError(f"{name!r} is nested too deeply: at most {_MOST_AXES} lists in each other are read")
        inner = inner[0] if inner else None
    _flatten(name, value, sizes, dtype, values)
    array = np.empty(len(values), dtype)
    array[:] = values
    return array.reshape(sizes)


def _flatten(name: str, value: Any, sizes: list[int], dtype: Any, into: list[Any]) -> None:
    if not sizes:
        into.append(checked_scalar(name, 0, value, dtype))
        return
    if not isinstance(value, list) or len(value) != sizes[0]:
        raise RequestError(f"{name!r} must be rectangular: a list of {sizes[0]} is expected. Received: {shown(value)}")
    for place, item in enumerate(value):
        if len(sizes) == 1:
            into.append(checked_scalar(name, place, item, dtype))
        else:
            _flatten(name, item, sizes[1:], dtype, into)
