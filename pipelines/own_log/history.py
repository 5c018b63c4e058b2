"""Behaviour sequences of a log's own rows: what the same group did strictly before each row."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pipelines.config import ConfigError
from pipelines.own_log.roles import compared
from tf_interformer.schema import Categorical, FeatureSchema, Numeric, Sequence

Ints = NDArray[np.int64]
# A name that holds `,`, `:`, `=` or `"` stands in quotation marks.
NAME = r'(?:\s*"(?:[^"]|"")+"\s*|[^",:=]+)'
_SPEC = re.compile(rf"(?P<name>{NAME})=(?P<fields>{NAME}(?:,{NAME})*)(?::(?P<length>[1-9]\d*))?")
_DEFAULT_LENGTH = 50
# What a field is called that says how long before the row the event was.
SECONDS_AGO = "seconds_ago"


@dataclass(frozen=True)
class HistorySpec:
    """A sequence to build.

    Args:
        name: Name of the sequence.
        fields: Columns of the log, features or labels of the schema, that make an event; or `seconds_ago`, how long
            before the row it was.
        max_length: Only the most recent so many events are kept.
        where: Label that must be 1 for a row to be an event; every row is one when `None`.
        by: Column of the log whose earlier rows are the events, such as the session; the schema's group key when
            `None`.
    """

    name: str
    fields: tuple[str, ...]
    max_length: int = _DEFAULT_LENGTH
    where: str | None = None
    by: str | None = None

    @classmethod
    def parse(cls, text: str, where: str | None = None) -> HistorySpec:
        """Read `viewed=item_id,category:50`.

        Raises:
            ConfigError: It is not of this form.
        """
        match = _SPEC.fullmatch(text.strip())
        fields = tuple(map(unquoted, re.findall(NAME, match["fields"]))) if match else ()
        if match is None or not all(fields) or len(set(fields)) < len(fields):
            raise ConfigError(
                "--history takes NAME=COLUMN,COLUMN:LENGTH, as in viewed=item_id,category:50; a name that holds one of "
                f'`,:="` stands in quotation marks, as "a:b". Received: {text!r}'
            )
        return cls(unquoted(match["name"]), fields, int(match["length"] or _DEFAULT_LENGTH), where)

    def add_to(self, schema: FeatureSchema) -> FeatureSchema:
        """The schema with this sequence; a sequence of its name must have the same fields and keeps its own ways.

        A field that is a feature shares its table, and is compared with the row's own value if that is the candidate's
        (or nobody says whose), not the group key, and known when the row is scored (no `serve_as`). A field that is a
        label, as what came of the event, has a table of its own. A number keeps the transform of the feature.

        Raises:
            ConfigError: A field is no feature with one value, and no label; or there is no group key.
        """
        if schema.group is None and self.by is None:
            raise ConfigError(
                f"--history {self.name}: whose earlier rows are the events? The schema has no group key: name a column "
                "by --history-by"
            )
        if self.where is not None and self.where not in schema.tasks:
            raise ConfigError(
                f"--history-where must be a label of the schema, {list(schema.tasks)}. Received: {self.where!r}"
            )
        for sequence in schema.sequences:
            if sequence.name == self.name:
                if {field.name for field in sequence.fields} == set(self.fields):
                    return schema
                raise ConfigError(f"--history {self.name}: the schema has a sequence of this name with other fields")
        fields = tuple(self._field(schema, name) for name in self.fields)
        names = schema.candidate or tuple(f.name for f in schema.features)
        items = [name for name in names if name != schema.group and name not in schema.served_as]
        shared = [field for field in fields if field.shares_table in items]
        match, distance = compared(shared)
        added = Sequence(
            name=self.name,
            fields=fields,
            max_length=self.max_length,
            match=match,
            distance=distance,
            age=SECONDS_AGO if SECONDS_AGO in self.fields else None,
        )
        return schema.replace(sequences=(*schema.sequences, added))

    def _field(self, schema: FeatureSchema, name: str) -> Categorical | Numeric:
        if name in schema.tasks:
            return Categorical(name=name, dtype="int64")
        features = {f.name: f for f in schema.categoricals if f.max_values is None}
        numbers = {f.name: f for f in schema.numerics}
        if name in numbers:
            return Numeric(name=name, transform=numbers[name].transform)
        if name == SECONDS_AGO and name not in features:
            return Numeric(name=name, transform="log")
        feature = features.get(name)
        if feature is None:
            raise ConfigError(
                f"--history {self.name}: {name!r} must be a feature of the schema, with one value per row, a label, or "
                f"{SECONDS_AGO}: {', '.join([*features, *numbers, *schema.tasks])}"
            )
        return Categorical(name=name, dtype=feature.dtype, missing=feature.missing, table=feature.table or name)


def unquoted(name: str) -> str:
    """A name as an option writes it."""
    name = name.strip()
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


class Histories:
    """What each group did before each row of a log.

    An event is in the history of a row when it is of the same group and *strictly* earlier: rows of the same time do
    not see each other, and no row sees itself. Rows of equal time keep the order of the log among themselves. A row
    without a group has no history and is no event.

    Args:
        group: `[rows]`. The group keys.
        time: `[rows]`. Times, none of them missing.
        where: bool `[rows]` or None. Which rows are events; all when `None`.
    """

    def __init__(self, group: pl.Series, time: pl.Series, where: pl.Series | None = None) -> None:
        codes = group.rank("dense").cast(pl.Int64).fill_null(0).to_numpy()
        ranks = time.rank("dense").cast(pl.Int64).to_numpy()
        span = np.int64(len(group) + 1)  # both are at most the number of rows
        self._known = codes > 0
        self._first = codes * span
        self._moment = self._first + ranks
        events = np.flatnonzero(self._known if where is None else self._known & where.to_numpy().astype(bool))
        self._rows = events[np.argsort(self._moment[events], kind="stable")]
        self._events = self._moment[self._rows]

    def before(self, rows: Ints, max_length: int) -> tuple[Ints, Ints]:
        """The events before each row, oldest first, at most `max_length` and the most recent ones.

        Args:
            rows: `[R]`. Places of rows in the log.
            max_length: Events per row at most.

        Returns:
            Places of the events in the log, all rows' in one array, and the offsets `[R + 1]` at which each begins.
        """
        end = np.searchsorted(self._events, self._moment[rows], side="left")
        first = np.searchsorted(self._events, self._first[rows], side="left")
        start = np.maximum(first, end - max_length)
        start = np.where(self._known[rows], start, end)
        length = end - start
        offsets = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
        places = np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], length)
        return self._rows[places], offsets
