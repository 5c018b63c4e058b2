"""The columns of one user and the items ranked for them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_interformer import columns
from tf_interformer.schema import FeatureSchema, SchemaError


def candidate_columns(schema: FeatureSchema, user: Mapping[str, Any], items: Mapping[str, Any]) -> dict[str, Any]:
    """The raw columns of a request: the user's with one row, the items' with N.

    Raises:
        SchemaError: The schema names no candidate features, a column is missing, or the rows are not so many.
    """
    names = schema.served_candidate
    if not names:
        raise SchemaError(
            f"schema {schema.name!r} does not say which features describe the candidates: give "
            "`FeatureSchema(candidate=(...))` their names"
        )
    raw = {}
    for column in schema.served_columns:
        owner, given = ("items", items) if column.side == "candidate" else ("user", user)
        if column.name not in given:
            raise SchemaError(f"`{owner}` lacks the column {column.name!r}. Received: {', '.join(sorted(given))}")
        raw[column.name] = given[column.name]
    rows = {name: columns.count_rows(value) for name, value in raw.items()}
    for name, count in rows.items():
        if name not in names and count != 1:
            raise SchemaError(f"`user` must hold one row. Received: {count} rows of column {name!r}")
        if name in names and (count != rows[names[0]] or count == 0):
            raise SchemaError(
                "all columns of `items` must have the same number of rows, at least one. Received: "
                f"{rows[names[0]]} of {names[0]!r}, {count} of {name!r}"
            )
    return raw


def user_columns(schema: FeatureSchema, user: Mapping[str, Any]) -> dict[str, Any]:
    """The raw columns of R users.

    Raises:
        SchemaError: A column is missing, or the rows are not equally many.
    """
    names = [column.name for column in schema.served_columns if column.side == "user"]
    for name in names:
        if name not in user:
            raise SchemaError(f"`user` lacks the column {name!r}. Received: {', '.join(sorted(user))}")
    rows = {name: columns.count_rows(user[name]) for name in names}
    if len(set(rows.values())) != 1:
        raise SchemaError(f"all columns of `user` must have the same number of rows. Received: {rows}")
    return {name: user[name] for name in names}


def check_state(state: Mapping[str, Any], specs: Mapping[str, Any]) -> None:
    """Refuse what is not the state of one user.

    Raises:
        SchemaError: A part is missing, not known, or of another shape.
    """
    if set(state) != set(specs):
        raise SchemaError(f"`state` must hold what `embed_user` gives, {sorted(specs)}. Received: {sorted(state)}")
    for name, spec in specs.items():
        if not spec.shape.is_compatible_with(np.shape(state[name])):
            raise SchemaError(
                f"`state` must be that of one user of this model: {name!r} of shape {tuple(spec.shape)}. "
                f"Received: shape {np.shape(state[name])}"
            )
