"""Users of a log, their histories, and candidates ranked by a model."""

import math
import threading
from collections.abc import Mapping
from collections.abc import Sequence as ListOf
from typing import Any

import numpy as np

from serving.page.event_attention import event_attention, event_positions
from tf_interformer.errors import UserError
from tf_interformer.ranker import Ranker
from tf_interformer.schema import Sequence

_USERS, _CANDIDATES, _OWN = 40, 10, 4


class PageError(UserError):
    """The page cannot show this; the message says what to do."""


class LogBrowser:
    """Ranks candidates for the users of a log, with parts of their histories left out.

    Args:
        ranker: `Ranker`.
        log: dict of arrays. A raw batch with the schema's columns and its `group` column, in the order of time.
        candidate: tuple of str. The features that describe a candidate. Defaults to the schema's `candidate`.
        task: str or None. The task to rank by. Defaults to `None`: the first.

    Raises:
        PageError: The schema has no group or names no candidate features, the log lacks a column or has no rows, or
            there is no such task.
    """

    def __init__(
        self, ranker: Ranker, log: Mapping[str, Any], candidate: ListOf[str] = (), task: str | None = None
    ) -> None:
        schema = ranker.schema
        self.ranker = ranker
        self.candidate = tuple(candidate or schema.served_candidate)
        self.task = schema.tasks[0] if task is None else task
        if self.task not in schema.tasks:
            raise PageError(f"the model has the tasks {list(schema.tasks)}. Received: {task!r}")
        if schema.group is None:
            raise PageError(f"schema {schema.name!r} has no `group`: the page needs the column of the users")
        if not self.candidate:
            raise PageError(f"schema {schema.name!r} names no `candidate` features: say which describe the candidate")
        self._columns = {column.name: column for column in schema.served_columns}
        self.columns = list(self._columns)
        missing = sorted({*self.columns, schema.group} - set(log))
        if missing:
            raise PageError(f"the log lacks the columns {missing}")
        self.log = {name: np.asarray(log[name]) for name in (*self.columns, schema.group)}
        self._group = self.log[schema.group]
        events = sum((self.log[s.length_column].astype(int) for s in schema.sequences), np.zeros(len(self._group), int))
        users, first = np.unique(self._group, return_index=True)
        if not len(users):
            raise PageError("the log has no rows")
        last = {user: np.flatnonzero(self._group == user)[-1] for user in users[np.argsort(first)][:500]}
        with_history = [user for user, row in last.items() if not schema.sequences or events[row] >= 3]
        self._rows = {str(_plain(user)): int(last[user]) for user in (with_history or list(last))[:_USERS]}
        # Keras models that run eagerly are not made for several threads.
        self._lock = threading.Lock()

    def users(self) -> list[dict[str, Any]]:
        """The users there are: `id`, and the number of events of each history."""
        return [{"id": user, "events": self._lengths(row)} for user, row in self._rows.items()]

    def rank(self, user: str, removed: Mapping[str, ListOf[int]] | None = None) -> dict[str, Any]:
        """Everything that the page shows of a user.

        Args:
            user: One of the ids of `users`.
            removed: dict. Name of a sequence -> events to leave out, numbered from 0, the oldest.

        Returns:
            dict: `features` of the user; `histories`, each with its `events`; `candidates`, the most probable first,
            each with its `probability` and, as `before`, the one with the whole history; `attention`, one entry per
            way to look at it, whose `weights` are, for each candidate, by sequence, one number per event (null for
            an event that is left out).

        Raises:
            PageError: There is no such user, sequence or event.
        """
        schema = self.ranker.schema
        if user not in self._rows:
            raise PageError(f"there is no user {user!r} on this page")
        row = self._rows[user]
        kept = self._kept(row, removed or {})
        items = self._candidates(row)
        whole = self._batch(row, items, {name: list(range(n)) for name, n in self._lengths(row).items()})
        batch = self._batch(row, items, kept)
        with self._lock:
            before = self.ranker.score(whole)[self.task]
            scores = self.ranker.score(batch)[self.task]
            views = event_attention(self.ranker, self.ranker.preprocessor(batch, serving=True))
        order = np.argsort(-scores, kind="stable").tolist()
        positions = event_positions(self.ranker, {name: len(events) for name, events in kept.items()})
        return {
            "user": user,
            "task": self.task,
            "features": {name: self._shown(name, row) for name in self._user_features()},
            "histories": [
                {
                    "name": s.name,
                    "events": [
                        {
                            "fields": {f.name: _plain(self._events(row, s, f.name)[i]) for f in s.fields},
                            "removed": i not in kept[s.name],
                        }
                        for i in range(self._lengths(row)[s.name])
                    ],
                }
                for s in schema.sequences
            ],
            "candidates": [
                {
                    "features": {name: self._shown(name, items[place]) for name in self.candidate},
                    "probability": float(scores[place]),
                    "before": float(before[place]),
                }
                for place in order
            ],
            "attention": [
                {
                    "title": view.title,
                    "explanation": view.explanation,
                    "weights": [self._weights(row, kept, positions, view.weights[place]) for place in order],
                }
                for view in views
            ],
        }

    def _shown(self, name: str, row: int) -> Any:
        """What the page shows of a feature: lists without their padding, of a vector its length."""
        column, value = self._columns[name], self.log[name][row]
        if column.kind == "vector":
            return f"{column.width} numbers"
        if column.has_lists:
            return [item for item in map(_plain, value) if item != column.missing]
        return _plain(value)

    def _lengths(self, row: int) -> dict[str, int]:
        sequences = self.ranker.schema.sequences
        return {s.name: min(int(self.log[s.length_column][row]), s.max_length) for s in sequences}

    def _events(self, row: int, sequence: Sequence, field: str) -> np.ndarray:
        """The events that the model uses: the most recent."""
        end = int(self.log[sequence.length_column][row])
        values: np.ndarray = self.log[sequence.column(field)][row, max(0, end - sequence.max_length) : end]
        return values

    def _kept(self, row: int, removed: Mapping[str, ListOf[int]]) -> dict[str, list[int]]:
        lengths = self._lengths(row)
        for name, events in removed.items():
            if name not in lengths:
                raise PageError(f"there is no history {name!r}: the model has {list(lengths)}")
            wrong = [i for i in events if not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < lengths[name]]
            if wrong:
                raise PageError(
                    f"history {name!r} has {lengths[name]} events, numbered from 0. Received: {wrong[0]!r:.40}"
                )
        return {name: [i for i in range(n) if i not in set(removed.get(name, ()))] for name, n in lengths.items()}

    def _user_features(self) -> list[str]:
        mine = [column.name for column in self._columns.values() if column.sequence is None]
        return [name for name in mine if name not in self.candidate]

    def _candidates(self, row: int) -> list[int]:
        """Rows of the log that stand for the candidates: what this user was shown, then others, always the same."""
        own = np.flatnonzero(self._group == self._group[row])[::-1][:_OWN]
        others = np.random.default_rng(row).permutation(len(self.log[self.candidate[0]]))
        chosen: dict[Any, int] = {}
        for place in (*own.tolist(), *others.tolist()):
            chosen.setdefault(str(self.log[self.candidate[0]][place]), place)
            if len(chosen) == _CANDIDATES:
                break
        return list(chosen.values())

    def _batch(self, row: int, items: list[int], kept: Mapping[str, list[int]]) -> dict[str, np.ndarray]:
        batch = {name: self.log[name][items if name in self.candidate else [row] * len(items)] for name in self.columns}
        for sequence in self.ranker.schema.sequences:
            events = kept[sequence.name]
            for field in sequence.fields:
                column = sequence.column(field.name)
                values = np.full_like(self.log[column][row], self._columns[column].missing)
                values[: len(events)] = self._events(row, sequence, field.name)[events]
                batch[column] = np.repeat(values[None], len(items), axis=0)
            batch[sequence.length_column] = np.full(len(items), len(events), np.int32)
        return batch

    def _weights(
        self, row: int, kept: Mapping[str, list[int]], positions: Mapping[str, list[int]], weights: np.ndarray
    ) -> dict[str, list[float | None]]:
        found: dict[str, list[float | None]] = {name: [None] * n for name, n in self._lengths(row).items()}
        for name, events in kept.items():
            for event, position in zip(events, positions[name], strict=True):
                found[name][event] = float(weights[position])
        return found


def _plain(value: Any) -> Any:
    """A value for JSON: no NumPy, no bytes, null for a missing number."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, float):
        return None if math.isnan(value) else float(f"{value:.6g}")
    return value
