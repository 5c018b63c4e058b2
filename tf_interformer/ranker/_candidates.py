"""The columns of one user and the items ranked for them."""

from collections.abc import Mapping
from typing import Any

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
