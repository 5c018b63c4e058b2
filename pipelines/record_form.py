"""What a record of a data set's files is: a row, or a request with all its items; and how the latter is laid out.

A record of a request holds the columns of its user, and the keys, as a row does. Every other column, of the candidate,
labels and weight, is one list, of as many values as the request has items; of a multi-valued feature or a vector, of so
many times the `max_values`, or `dim`, of the schema, item by item, filled up with the missing value.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pipelines.datasets.tables import DataError
from tf_interformer.run_directory import read_json
from tf_interformer.schema import RawColumn
from tf_interformer.whole import write_text

# Beside schema.json; a folder without it holds rows.
FORM_FILE = "records.json"
_KEY, _FORMS = "records", ("rows", "requests")


def holds_requests(folder: Path) -> bool:
    """Whether the records of a folder's files are requests.

    Raises:
        DataError: Its `records.json` says something else than `rows` or `requests`.
    """
    file = folder / FORM_FILE
    if not file.is_file():
        return False
    found = read_json(file).get(_KEY)
    if found not in _FORMS:
        raise DataError(f'{file}: "{_KEY}" must be "rows" or "requests". Received: {found!r}')
    return found == "requests"


def say_requests(folder: Path) -> None:
    """Write that the records of a folder's files are requests."""
    write_text(folder / FORM_FILE, json.dumps({_KEY: "requests"}))


def of_examples(columns: Sequence[RawColumn], extras: Sequence[str]) -> list[RawColumn]:
    """The columns that have a value for each example of a request: the candidate's, labels, weight, and extras."""
    own = [column for column in columns if column.side == "candidate"]
    return own + [RawColumn(name, "value", "float32", side="candidate") for name in extras]


def width_of(column: RawColumn) -> int:
    """How many values of such a column a record holds for each example."""
    return (column.width or 1) if column.kind in ("values", "vector") else 1


def stored(column: RawColumn) -> RawColumn:
    """Such a column as the list that a record holds."""
    return replace(column, kind="events", dtype=column.stored_dtype)  # type: ignore[arg-type]
