"""`tf.train.Example`s from the JSON of a REST request to `:classify` or `:regress`."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import input_pb2

from serving.request import RequestError, checked_scalar, shown
from serving.server.errors import invalid

_KINDS = ("bytes_list", "int64_list", "float_list")


def input_of(body: Mapping[str, Any], max_rows: int) -> Any:
    """The `Input` of `{"context": {...}, "examples": [{feature: value or list, ...}, ...]}`.

    As in TensorFlow Serving, what is written says of which kind a feature is: strings and `{"b64": ...}` are bytes,
    whole numbers and booleans int64, numbers with a point float.

    Args:
        body: The JSON object of the request.
        max_rows: Examples that a request may have.

    Raises:
        ServingError: INVALID_ARGUMENT, naming the example and the feature.
    """
    examples = body.get("examples")
    if not isinstance(examples, list) or not examples:
        raise invalid(f"the request must hold `examples`, a list of at least one. Received: {shown(examples)}")
    if len(examples) > max_rows:
        raise invalid(f"`examples` has {len(examples)} rows: this server takes at most {max_rows}")
    try:
        made = [_example(f"example {place}", example) for place, example in enumerate(examples)]
        if "context" not in body:
            return input_pb2.Input(example_list=input_pb2.ExampleList(examples=made))
        context = _example("`context`", body["context"])
    except RequestError as error:
        raise invalid(str(error)) from None
    held = input_pb2.ExampleListWithContext(examples=made, context=context)
    return input_pb2.Input(example_list_with_context=held)


def _example(where: str, given: Any) -> Any:
    if not isinstance(given, dict):
        raise RequestError(f"{where} must be an object. Received: {shown(given)}")
    example = tf.train.Example()
    for name, values in given.items():
        feature = example.features.feature[name]
        for value in values if isinstance(values, list) else [values]:
            kind, plain = _value(f"{where}: feature {name!r}", value)
            if feature.WhichOneof("kind") not in (None, kind):
                raise RequestError(f"{where}: feature {name!r} must hold values of one kind. Received: {shown(values)}")
            getattr(feature, kind).value.append(plain)
    return example


def _value(where: str, value: Any) -> tuple[str, Any]:
    if isinstance(value, str | dict):
        try:
            text = checked_scalar("", 0, value, object)
        except RequestError:
            raise RequestError(f'{where} must hold text or {{"b64": "..."}}. Received: {shown(value)}') from None
        return _KINDS[0], text.encode() if isinstance(text, str) else text
    if isinstance(value, int) and -(2**63) <= value < 2**63:  # a boolean, too
        return _KINDS[1], int(value)
    if isinstance(value, float):
        return _KINDS[2], value
    raise RequestError(f"{where} must hold text, numbers or booleans. Received: {shown(value)}")
