"""Reads prediction requests: JSON in the row and column formats of TensorFlow Serving's REST API."""

import base64
import binascii
import json
import math
import reprlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from tf_interformer.errors import UserError
from tf_interformer.schema import FeatureSchema, RawColumn

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 80
_SHORT.maxlevel = 3


class RequestError(UserError):
    """A request does not fit the model; the message names the field and the value."""


def parse_request(schema: FeatureSchema, text: str | bytes) -> dict[str, np.ndarray]:
    """The raw batch of a request.

    Histories and multi-valued features of different lengths are padded to the longest. A string may also be given
    as `{"b64": "..."}`.

    Args:
        schema: `FeatureSchema` of the model.
        text: The JSON body.

    Raises:
        RequestError: No JSON, no instances, an unknown or missing column, or a value of a wrong type.
    """
    body = read_json(text)
    if not isinstance(body, dict) or not isinstance(body.get("instances"), list) or not body["instances"]:
        raise RequestError('the request must be {"instances": [{column: value, ...}, ...]} with at least one instance')
    served = schema.served_columns
    return parse_columns(served, columns_of_rows(body["instances"], [column.name for column in served]))


def read_json(text: str | bytes) -> Any:
    """What a JSON text holds; it may hold `NaN`, as TensorFlow Serving's API has it.

    Raises:
        RequestError: It is not JSON.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise RequestError("the request is not JSON: it is nested too deeply") from None
    except ValueError as error:
        raise RequestError(f"the request is not JSON: {error}") from None


def shown(value: Any) -> str:
    """A value of a request for an error: short, however large or deep it is."""
    return f"{_SHORT.repr(value):.80}"


def columns_of_rows(rows: list, names: Collection[str]) -> dict[str, list]:
    """The columns of `[{column: value, ...}, ...]`.

    Args:
        rows: The instances of a request in the row format.
        names: The columns that each has to hold.

    Raises:
        RequestError: A row is no object, or lacks a column, or holds another.
    """
    wanted = set(names)
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            raise RequestError(f"instance {place} must be an object. Received: {shown(row)}")
        if row.keys() != wanted:
            missing, unknown = sorted(wanted - set(row)), sorted(set(row) - wanted)
            raise RequestError(f"instance {place}: missing columns {missing}, unknown columns {unknown}")
    return {name: [row[name] for row in rows] for name in names}


def parse_columns(asked: Sequence[RawColumn], columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of a request in the column format, `{column: [value, ...], ...}`.

    Args:
        asked: The columns that it has to hold, such as `FeatureSchema.served_columns`.
        columns: A list for each of them; they may differ in length.

    Raises:
        RequestError: An unknown or missing column, or a value of a wrong type.
    """
    names = {column.name for column in asked}
    missing, unknown = sorted(names - set(columns)), sorted(set(columns) - names)
    if missing or unknown:
        raise RequestError(f"missing columns {missing}, unknown columns {unknown}")
    for name, values in columns.items():
        if not isinstance(values, list) or not values:
            raise RequestError(f"{name!r} must hold a list with a value for each row. Received: {shown(values)}")
    arrays = {column.name: _column(column, columns[column.name]) for column in asked}
    for column in asked:
        if column.length is None:
            continue
        # The padded array would hide that a row has fewer events than it says.
        for place, (length, events) in enumerate(zip(arrays[column.length], columns[column.name], strict=False)):
            if length > len(events):
                raise RequestError(
                    f"instance {place}: {column.length!r} exceeds the {len(events)} events in {column.name!r}. "
                    f"Received: {length}"
                )
    return arrays


def _column(column: RawColumn, values: list) -> np.ndarray:
    name, dtype = column.name, np.dtype(object if column.dtype == "string" else column.dtype).type
    if column.kind == "vector":
        return np.array([_vector(column, place, value) for place, value in enumerate(values)], np.float32)
    if not column.has_lists:
        checked = [checked_scalar(name, place, value, dtype) for place, value in enumerate(values)]
        return np.array(checked, dtype)
    for place, value in enumerate(values):
        if not isinstance(value, list):
            raise RequestError(f"instance {place}: {name!r} must be a list. Received: {shown(value)}")
    width = max(len(value) for value in values)
    padded = np.full((len(values), width), column.missing, dtype)
    for place, value in enumerate(values):
        for step, item in enumerate(value):
            padded[place, step] = checked_scalar(name, place, item, dtype)
    return padded


def _vector(column: RawColumn, place: int, value: Any) -> list[float]:
    if value is None:
        return [math.nan] * (column.width or 0)
    if not isinstance(value, list) or len(value) != column.width:
        raise RequestError(
            f"instance {place}: {column.name!r} must be a list of {column.width} numbers. Received: {shown(value)}"
        )
    return [checked_scalar(column.name, place, item, np.float32) for item in value]


def checked_scalar(name: str, place: int, value: Any, dtype: Any) -> Any:
    """The value of one cell as `dtype` takes it: text or bytes, an integer in range, or a finite number.

    Args:
        name: Name of the column.
        place: The row.
        value: What the JSON holds; null and NaN are a missing number.
        dtype: NumPy type of the column; `object` for strings.

    Raises:
        RequestError: The value does not fit.
    """
    kind = np.dtype(dtype).kind
    if kind == "O":
        text = _bytes(value) if isinstance(value, dict) else value
        if isinstance(text, bytes) or (isinstance(text, str) and _is_unicode(text)):
            return text
        wanted = "a string"
    elif kind in "iu":
        limits = np.iinfo(dtype)
        if isinstance(value, int) and not isinstance(value, bool) and limits.min <= value <= limits.max:
            return value
        wanted = "an integer"
    elif kind == "b":
        if isinstance(value, bool):
            return value
        wanted = "a boolean"
    else:
        if value is None or value != value:
            return math.nan
        largest = _FLOAT32_MAX if dtype == np.float32 else float(np.finfo(np.float64).max)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and -largest <= value <= largest:
            return value
        wanted = "a number"
    raise RequestError(f"instance {place}: {name!r} must hold {wanted}. Received: {shown(value)}")


def _bytes(value: dict) -> bytes | None:
    if set(value) != {"b64"} or not isinstance(value["b64"], str):
        return None
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError):
        return None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
