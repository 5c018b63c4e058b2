"""Prediction requests as JSON, in the row format of TensorFlow Serving's REST API."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_interformer.schema import Categorical, FeatureSchema, Vector


class RequestError(ValueError):
    """A request does not fit the model; the message names the field and the value."""


def to_request(schema: FeatureSchema, raw: Mapping[str, Any]) -> str:
    """A raw batch as a request: `{"instances": [{column: value, ...}, ...]}`.

    Args:
        schema: `FeatureSchema`.
        raw: dict of arrays, by column; columns that no signature takes are left out.
    """
    names = list(schema.signature())
    count = len(np.asarray(raw[names[0]]))
    rows = [{name: _plain(np.asarray(raw[name])[row]) for name in names} for row in range(count)]
    return json.dumps({"signature_name": "serving_default", "instances": rows}, indent=1)


def parse_request(schema: FeatureSchema, text: str | bytes) -> dict[str, np.ndarray]:
    """The raw batch of a request.

    Histories and multi-valued features of different lengths are padded to the longest.

    Args:
        schema: `FeatureSchema` of the model.
        text: The JSON body.

    Raises:
        RequestError: No JSON, no instances, an unknown or missing column, or a value of a wrong type.
    """
    try:
        body = json.loads(text)
    except ValueError as error:
        raise RequestError(f"the request is not JSON: {error}") from None
    if not isinstance(body, dict) or not isinstance(body.get("instances"), list) or not body["instances"]:
        raise RequestError('the request must be {"instances": [{column: value, ...}, ...]} with at least one instance')
    signature = schema.signature()
    for place, row in enumerate(body["instances"]):
        if not isinstance(row, dict):
            raise RequestError(f"instance {place} must be an object. Received: {row!r:.80}")
        missing, unknown = sorted(set(signature) - set(row)), sorted(set(row) - set(signature))
        if missing or unknown:
            raise RequestError(f"instance {place}: missing columns {missing}, unknown columns {unknown}")
    lengths = {sequence.length_column for sequence in schema.sequences}
    return {
        name: _column(schema, name, [row[name] for row in body["instances"]], spec, name in lengths)
        for name, spec in signature.items()
    }


def _column(schema: FeatureSchema, name: str, values: list, spec: Any, is_length: bool) -> np.ndarray:
    kind = "string" if spec.dtype.name == "string" else "number" if spec.dtype.is_floating else "integer"
    if spec.shape.rank == 1:
        checked = [_scalar(name, place, value, kind) for place, value in enumerate(values)]
        return np.array(checked, object if kind == "string" else spec.dtype.as_numpy_dtype)
    feature = schema[name]
    if isinstance(feature, Vector):
        return np.array([_vector(feature, place, value) for place, value in enumerate(values)], np.float32)
    assert isinstance(feature, Categorical)
    for place, value in enumerate(values):
        if not isinstance(value, list):
            raise RequestError(f"instance {place}: {name!r} must be a list. Received: {value!r:.80}")
    width = max(len(value) for value in values)
    padded = np.full((len(values), width), feature.missing, object if kind == "string" else np.int64)
    for place, value in enumerate(values):
        for step, item in enumerate(value):
            padded[place, step] = _scalar(name, place, item, kind)
    return padded


def _vector(feature: Vector, place: int, value: Any) -> list[float]:
    if value is None:
        return [math.nan] * feature.dim
    if not isinstance(value, list) or len(value) != feature.dim:
        raise RequestError(
            f"instance {place}: {feature.name!r} must be a list of {feature.dim} numbers. Received: {value!r:.80}"
        )
    return [_scalar(feature.name, place, item, "number") for item in value]


def _scalar(name: str, place: int, value: Any, kind: str) -> Any:
    fits = {
        "string": isinstance(value, str),
        "integer": isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63,
        "number": value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)),
    }[kind]
    if not fits:
        raise RequestError(f"instance {place}: {name!r} must hold a {kind}. Received: {value!r:.80}")
    return math.nan if value is None else value


def _plain(value: Any) -> Any:
    """A JSON value; NaN, which JSON lacks, becomes null."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and math.isnan(value) else value
