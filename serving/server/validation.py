"""Checks a request before it is computed: a wrong one must fail alone, and must not be scored."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from serving.server.errors import invalid
from serving.server.signature import Signature
from tf_interformer.schema import FeatureSchema, RawColumn

_KINDS = {"string": "bytes_list", "int64": "int64_list", "float32": "float_list"}

# Checking an example takes as long as reading so many bytes.
EXAMPLE = 1024


class Declared(NamedTuple):
    """What an input says of itself before its values are looked at."""

    dtype: tf.DType
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Request:
    """A request that fits the model.

    Args:
        signature: `Signature`.
        inputs: An array for each of its inputs.
        rows: Rows of the answer.
    """

    signature: Signature
    inputs: dict[str, np.ndarray]
    rows: int


def check(
    signature: Signature, schema: FeatureSchema | None, inputs: Mapping[str, np.ndarray], max_rows: int
) -> Request:
    """Checks names, dtypes, shapes, batch sizes, lengths and numbers.

    Args:
        signature: What is asked.
        schema: `FeatureSchema` of the model, if known.
        inputs: An array for each input.
        max_rows: Rows that a request may have.

    Raises:
        ServingError: INVALID_ARGUMENT, naming the input.
    """
    given = {
        name: Declared(tf.string if array.dtype == object else tf.as_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
    }
    rows = check_declared(signature, schema, given, max_rows)
    for name, array in inputs.items():
        if array.dtype.kind == "f" and np.isinf(array).any():
            raise invalid(
                f"input {name!r} must hold finite numbers, or NaN where one is missing. Received: an infinity"
            )
    _check_lengths(signature.columns, inputs)
    if schema is not None and signature.kind == "examples":
        (name,) = signature.inputs
        _check_examples(name, schema, inputs[name])
    return Request(signature, dict(inputs), rows)


def check_declared(
    signature: Signature, schema: FeatureSchema | None, given: Mapping[str, Declared], max_rows: int
) -> int:
    """Checks what can be checked without the values: names, dtypes, shapes, batch sizes, widths.

    Args:
        signature: What is asked.
        schema: `FeatureSchema` of the model, if known.
        given: What each input says of itself.
        max_rows: Rows that a request may have.

    Returns:
        Rows of the answer.

    Raises:
        ServingError: INVALID_ARGUMENT, naming the input.
    """
    check_names(signature, given)
    for name, spec in signature.inputs.items():
        dtype, shape = given[name]
        if dtype != spec.dtype:
            raise invalid(f"input {name!r} must be {spec.dtype.name}. Received: {dtype.name}")
        wanted = signature.shapes[name]
        if wanted is not None and not _fits(shape, wanted):
            raise invalid(f"input {name!r} must have the shape {_text(wanted)}. Received: {list(shape)}")
    rows = _rows(signature, schema, given, max_rows)
    for column in signature.columns:
        if column.has_lists:
            _check_width(column, given[column.name].shape[1])
    return rows


def check_names(signature: Signature, given: Collection[str]) -> None:
    """Refuses inputs that are missing or unknown.

    Args:
        signature: What is asked.
        given: Names of the inputs.

    Raises:
        ServingError: INVALID_ARGUMENT, naming them.
    """
    missing, unknown = sorted(set(signature.inputs) - set(given)), sorted(set(given) - set(signature.inputs))
    if missing or unknown:
        raise invalid(f"signature {signature.name!r}: missing inputs {missing}, unknown inputs {unknown}")


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(known in (None, size) for size, known in zip(shape, wanted, strict=True))


def _text(shape: tuple[int | None, ...]) -> str:
    names = ["any" if axis else "rows" for axis in range(len(shape))]
    return f"[{', '.join(names[axis] if size is None else str(size) for axis, size in enumerate(shape))}]"


def _rows(signature: Signature, schema: FeatureSchema | None, given: Mapping[str, Declared], max_rows: int) -> int:
    # An input of unknown rank has rows, too, if it has any axis.
    batched = [
        name
        for name, shape in signature.shapes.items()
        if (shape and shape[0] is None) or (shape is None and given[name].shape)
    ]
    if signature.kind == "candidates":
        assert schema is not None
        for name in signature.inputs:
            if name not in schema.served_candidate and given[name].shape[0] != 1:
                raise invalid(
                    f"input {name!r} describes the one user of the request, so it must have 1 row. "
                    f"Received: {given[name].shape[0]}"
                )
        batched = list(schema.served_candidate)
    for name in batched:
        count, first = given[name].shape[0], given[batched[0]].shape[0]
        if count == 0:
            raise invalid(f"input {name!r} has no row")
        if count > max_rows:
            raise invalid(f"input {name!r} has {count} rows: this server takes at most {max_rows}")
        if signature.kind != "other" and count != first:
            raise invalid(f"inputs must have the same number of rows: {batched[0]!r} has {first}, {name!r} has {count}")
    return given[batched[0]].shape[0] if batched else 1


def _check_lengths(columns: Iterable[RawColumn], inputs: Mapping[str, np.ndarray]) -> None:
    for column in columns:
        if column.kind == "length" and (inputs[column.name] < 0).any():
            raise invalid(f"input {column.name!r} must not be negative. Received: {inputs[column.name].min()}")
        if column.length is None:
            continue
        width, longest = inputs[column.name].shape[1], inputs[column.length].max()
        if longest > width:
            raise invalid(f"input {column.length!r} exceeds the {width} events in {column.name!r}. Received: {longest}")


def _check_width(column: RawColumn, width: int) -> None:
    if column.has_lists and width > (column.width or 0):
        what = "events" if column.kind == "events" else "values"
        raise invalid(f"input {column.name!r} may hold at most {column.width} {what} in a row. Received: {width}")


def _check_examples(name: str, schema: FeatureSchema, serialized: np.ndarray) -> None:
    wanted = [column for column in schema.served_columns if column.kind != "length"]
    for place, text in enumerate(serialized):
        where = f"input {name!r}, example {place}"
        try:
            example = tf.train.Example.FromString(text if isinstance(text, bytes) else text.encode())
        except DecodeError:
            raise invalid(f"{where} is no serialized tf.train.Example") from None
        given = example.features.feature
        if not any(column.name in given for column in wanted):
            raise invalid(f"{where} holds none of the model's features")
        firsts: dict[str, tuple[str, int]] = {}  # by length column the first that it counts
        for column in wanted:
            count = _check_feature(where, column, given[column.name]) if column.name in given else 0
            if column.length is None:
                continue
            first, events = firsts.setdefault(column.length, (column.name, count))
            if count != events:
                raise invalid(
                    f"{where}: features {first!r} and {column.name!r} must hold the same number of events. "
                    f"Received: {events} and {count}"
                )


def _check_feature(where: str, column: RawColumn, feature: Any) -> int:
    kind = feature.WhichOneof("kind")
    if kind is None:  # read as absent
        return 0
    wanted = _KINDS[column.dtype]
    if kind != wanted:
        raise invalid(f"{where}: feature {column.name!r} must be a {wanted}. Received: {kind}")
    values = getattr(feature, kind).value
    if kind == "float_list" and np.isinf(np.asarray(values, np.float32)).any():
        raise invalid(f"{where}: feature {column.name!r} must hold finite numbers. Received: an infinity")
    size = None if column.has_lists else column.width or 1
    if size is not None and len(values) != size:
        raise invalid(f"{where}: feature {column.name!r} must hold {size} values. Received: {len(values)}")
    _check_width(column, len(values))
    return len(values)
