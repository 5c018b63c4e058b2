"""From a user, a history and candidates to the columns of a request, by `schema.json` alone."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from serving.client.column import Column
from serving.client.errors import InvalidRequest
from tf_interformer.schema import FeatureSchema, SchemaError

Values = Mapping[str, Any]
Histories = Mapping[str, Sequence[Any]]


class Request(NamedTuple):
    """What goes over the wire."""

    signature: str
    inputs: dict[str, np.ndarray]


class RequestBuilder:
    """Checks and assembles requests.

    Args:
        schema: Path of a `schema.json`, or what it holds.
        repeat_user: Whether the user is repeated for each candidate though the schema has `candidate` features.

    Raises:
        InvalidRequest: The file cannot be read, or is no schema.
    """

    def __init__(self, schema: str | os.PathLike | Values, repeat_user: bool = False) -> None:
        self.repeat_user = repeat_user
        try:
            if isinstance(schema, Mapping):
                found = FeatureSchema.from_config(schema)
            else:
                found = FeatureSchema.from_json(schema)
        except (SchemaError, TypeError) as error:
            raise InvalidRequest(f"this is not a schema that FeatureSchema.to_json wrote: {error}") from None
        served = found.served_columns
        self.columns = {column.name: Column(column) for column in served if column.sequence is None}
        made = {column.name: Column(column) for column in served}
        self.sequences = {
            sequence.name: (
                sequence.max_length,
                {field.name: made[sequence.column(field.name)] for field in sequence.fields},
                sequence.length_column,
            )
            for sequence in found.sequences
        }
        self.tasks = list(found.tasks)
        self.candidate = list(found.served_candidate)

    def build(self, user: Values, history: Histories, candidates: Sequence[Values]) -> Request:
        """The request for one user and at least one candidate.

        Raises:
            InvalidRequest: A feature is missing, unknown, of another type or too long.
        """
        if not isinstance(user, Mapping):
            raise InvalidRequest(f"user_features must be a dict. Received: {user!r:.80}")
        of_candidate = self.candidate or [name for name in self.columns if name not in user]
        of_user = [name for name in self.columns if name not in of_candidate]
        inputs = self._rows(of_user, [user], ["user_features"]) | self._history(history)
        rows = [f"candidates[{place}]" for place in range(len(candidates))]
        items = self._rows(of_candidate, candidates, rows)
        if self.candidate and not self.repeat_user:
            return Request("score_candidates", inputs | items)
        repeated = {name: np.repeat(array, len(rows), axis=0) for name, array in inputs.items()}
        return Request("serving_default", repeated | items)

    def _rows(self, names: list[str], rows: Sequence[Values], places: list[str]) -> dict[str, np.ndarray]:
        for row, place in zip(rows, places, strict=True):
            _same_names(names, row, place)
        return {
            name: self.columns[name].array(
                [
                    self.columns[name].checked(row[name], f"{place}: {name!r}")
                    for row, place in zip(rows, places, strict=True)
                ]
            )
            for name in names
        }

    def _history(self, history: Histories) -> dict[str, np.ndarray]:
        _same_names(list(self.sequences), history, "history")
        inputs = {}
        for name, (longest, fields, length) in self.sequences.items():
            events = history[name]
            if isinstance(events, str) or not isinstance(events, Sequence):
                raise InvalidRequest(f"history: {name!r} must be a list of events, oldest first. "
                                     f"Received: {events!r:.80}")  # fmt: skip
            if len(events) > longest:
                raise InvalidRequest(f"history: {name!r} must hold at most {longest} events: give the most recent. "
                                     f"Received: {len(events)}")  # fmt: skip
            rows = [_event(event, list(fields), f"history: {name}[{i}]") for i, event in enumerate(events)]
            for field, column in fields.items():
                values = [column.checked(row[field], f"history: {name}[{i}]: {field!r}") for i, row in enumerate(rows)]
                # Filled up to the longest, which costs the model nothing and gives all requests one shape.
                inputs[column.name] = column.array(values + [column.missing] * (longest - len(values)))[None]
            inputs[length] = np.array([len(events)], np.int32)
        return inputs


def _event(event: Any, fields: list[str], where: str) -> Values:
    """An event of one field may be given as the bare value."""
    if not isinstance(event, Mapping) and len(fields) == 1:
        return {fields[0]: event}
    _same_names(fields, event, where)
    named: Values = event
    return named


def _same_names(names: list[str], given: Any, where: str) -> None:
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{where} must be a dict with {names}. Received: {given!r:.80}")
    missing, unknown = sorted(set(names) - set(given)), sorted(set(given) - set(names), key=str)
    if missing or unknown:
        raise InvalidRequest(f"{where}: missing {missing}, unknown {unknown}. It takes {names}")
