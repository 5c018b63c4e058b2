"""Batches of requests, in which a user has one row whatever the candidates, made of rows in an input pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tf_interformer._tensorflow import tf
from tf_interformer.schema import FeatureSchema, RawColumn, SchemaError
from tf_interformer.schema._name import ROW_COLUMN
from tf_interformer.schema.errors import as_schema_errors


def check_requests(schema: FeatureSchema) -> None:
    """Refuse a schema that does not say what a request is, and what in it is the user's.

    Raises:
        SchemaError: It has no `request` or no `candidate`; the message says what to add.
    """
    if schema.request is None:
        raise SchemaError(
            f"schema {schema.name!r} does not say which rows are of one request: give `FeatureSchema(request=...)` the "
            "name of the column that tells"
        )
    if not schema.candidate:
        raise SchemaError(
            f"schema {schema.name!r} does not say which features differ within a request: give "
            "`FeatureSchema(candidate=(...))` their names"
        )


def by_request(raw: Mapping[str, Any], schema: FeatureSchema, multiple: int = 1) -> dict[str, Any]:
    """A batch of requests, made of a raw batch of rows in which those of a request follow each other.

    Consecutive rows with the same value of the schema's `request` become one row of the user's columns, of the
    context's and of the histories; `preprocessing.ROW_COLUMN` says which of them each example is of. The candidate's
    columns, labels and weights keep their rows, in their order. `Preprocessor`, `fit`, `evaluate` and `predict` take
    such a batch, give the same numbers, and compute what is the user's once.

    Map it over a dataset of raw batches, before the `Preprocessor`.

    Args:
        raw: dict of tensors or arrays `[batch]`, `[batch, values]` and `[batch, time]`, by column.
        schema: `FeatureSchema`, with `request` and `candidate`. It need not be learned.
        multiple: int. To a multiple of this the number of requests is filled up, by repeating the last one, to which
            then no example belongs: a compiled model is compiled for each number that comes. Defaults to 1.

    Returns:
        dict: the same columns, and `ROW_COLUMN`, int32 `[batch]`.

    Raises:
        SchemaError: The schema lacks `request` or `candidate`, or the batch its request column.
        tf.errors.InvalidArgumentError: Two rows of a request differ in a column that is not the candidate's.

    Example:

    >>> import numpy as np
    >>> from tf_interformer.schema import Categorical, FeatureSchema, Label
    >>> schema = FeatureSchema(features=[Categorical("item"), Categorical("user")], labels=[Label("click")],
    ...                        candidate=["item"], request="shown_in")
    >>> rows = {"shown_in": np.array([7, 7, 8]), "user": np.array(["ann", "ann", "bob"]),
    ...         "item": np.array(["x", "y", "x"]), "click": np.array([0, 1, 0])}
    >>> {name: value.numpy().tolist() for name, value in by_request(rows, schema).items()}
    {'item': [b'x', b'y', b'x'], 'user': [b'ann', b'bob'], 'click': [0, 1, 0], 'shown_in': [7, 8], '_row': [0, 0, 1]}
    """
    check_requests(schema)
    columns = {column.name: column for column in schema.raw_columns}
    with as_schema_errors():
        keys = tf.convert_to_tensor(columns[schema.key_columns["request"][0]].of(raw))
    count = tf.shape(keys)[0]
    before = tf.maximum(tf.range(count) - 1, 0)
    begins = tf.logical_or(tf.equal(tf.range(count), 0), tf.not_equal(keys, tf.gather(keys, before)))
    firsts = first_rows(begins, multiple)
    found = {}
    for name in sorted(raw, key=lambda name: list(columns).index(name) if name in columns else len(columns)):
        column, value = columns.get(name), _dense(raw[name], columns.get(name))
        if column is not None and column.side == "user":
            length = None if column.length is None else tf.convert_to_tensor(raw[column.length])
            same = tf.logical_or(begins, _same(value, tf.gather(value, before), length))
            with tf.control_dependencies([_alike(name, same, keys, tf.gather(value, before), value)]):
                value = tf.gather(value, firsts)
        found[name] = value
    return {**found, ROW_COLUMN: tf.cumsum(tf.cast(begins, tf.int32)) - 1}


def first_rows(begins: tf.Tensor, multiple: int = 1) -> tf.Tensor:
    """The first row of each request, filled up to a multiple by the last; `begins` says where one begins."""
    firsts = tf.where(begins)[:, 0]
    known = tf.shape(firsts)[0]
    return tf.gather(firsts, tf.minimum(tf.range(known + -known % multiple), known - 1))


def by_rows(requests: Mapping[str, Any], schema: FeatureSchema) -> dict[str, Any]:
    """The raw batch of rows that `by_request` made this batch of requests of.

    Args:
        requests: dict of tensors, by column.
        schema: `FeatureSchema`.
    """
    columns = {column.name: column for column in schema.raw_columns}
    return {
        name: of_each(columns[name], value, requests) if name in columns else value
        for name, value in requests.items()
        if name != ROW_COLUMN
    }


def of_each(column: RawColumn, value: Any, raw: Mapping[str, Any]) -> Any:
    """What a column of a raw batch, of rows or of requests, holds of each example."""
    return tf.gather(value, raw[ROW_COLUMN]) if ROW_COLUMN in raw and column.side == "user" else value


def _dense(value: Any, column: RawColumn | None) -> tf.Tensor:
    if not isinstance(value, tf.RaggedTensor):
        return tf.convert_to_tensor(value)
    return value.to_tensor(None if column is None else column.missing)


def _same(one: tf.Tensor, other: tf.Tensor, length: tf.Tensor | None) -> tf.Tensor:
    """Whether rows hold the same; a missing number is one, and what lies behind a history's last event is nothing."""
    same = tf.equal(one, other)
    if one.dtype.is_floating:
        same = tf.logical_or(same, tf.logical_and(tf.math.is_nan(one), tf.math.is_nan(other)))
    if length is not None:
        same = tf.logical_or(same, tf.range(tf.shape(one)[1])[None] >= tf.cast(length, tf.int32)[:, None])
    return tf.reduce_all(tf.reshape(same, [tf.shape(one)[0], -1]), axis=1) if one.shape.rank != 1 else same


def _alike(name: str, same: tf.Tensor, keys: tf.Tensor, one: tf.Tensor, other: tf.Tensor) -> Any:
    first = tf.where(tf.logical_not(same))[:1, 0]
    # No name holds a tab.
    message = tf.strings.format(
        f"column {name} differs within request \t: \t and \t. Name it in the schema's candidate, or make it the same",
        [tf.gather(values, first) for values in (keys, one, other)],
        placeholder="\t",
    )
    return tf.debugging.Assert(tf.reduce_all(same), [message])
