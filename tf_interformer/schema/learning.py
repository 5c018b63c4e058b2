"""Vocabularies and statistics, learned in one pass over the training split."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tf_interformer import columns
from tf_interformer.schema._parts import SchemaParts
from tf_interformer.schema.errors import SchemaError, as_schema_errors
from tf_interformer.schema.label import Label
from tf_interformer.schema.raw_column import RawColumn


class Learning:
    """What batches of the training split say of a schema.

    Args:
        schema: `SchemaParts`. What is to be learned.

    Example:

    >>> from tf_interformer.schema import Categorical, FeatureSchema, Label
    >>> learning = Learning(FeatureSchema(features=[Categorical("item")], labels=[Label("click")]))
    >>> learning.update({"item": ["a", "b", "a"], "click": [1, 0, 0]})
    >>> learning.result()["features"][0].vocabulary
    ('a', 'b')
    """

    def __init__(self, schema: SchemaParts) -> None:
        self._schema = schema
        self._columns = [column for column in schema.raw_columns if column.kind != "key"]
        made = ((key, feature.learner()) for key, feature in schema.keyed_features())
        self._learners = {key: learner for key, learner in made if learner is not None}
        # The owner of a table knows its own missing value, not that of a column which shares the table.
        self._missing = {
            column.name: column.missing
            for column in self._columns
            if column.table is not None and column.missing != schema.tables[column.table].missing
        }
        self._positives = dict.fromkeys(schema.tasks, 0.0)
        self._examples = 0

    def update(self, batch: Mapping[str, Any]) -> None:
        """Take in a raw batch.

        Raises:
            SchemaError: A column is missing or holds what it may not.
        """
        lengths: dict[str, np.ndarray] = {}
        with as_schema_errors():
            # Lengths first: of events only the real ones count.
            for column in sorted(self._columns, key=lambda column: column.kind != "length"):
                found: Any = column.read(self._given(batch, column))
                if column.kind == "length":
                    lengths[column.name] = found
                elif column.kind == "label":
                    self._positives[column.name] += float(found.sum(dtype=np.float64))
                    rows = found.size
                else:
                    self._learn(column, found, lengths)
        self._examples += rows

    def _learn(self, column: RawColumn, found: Any, lengths: Mapping[str, np.ndarray]) -> None:
        if column.length is not None:
            columns.check_lengths(column.length, lengths[column.length], column.name, found)
            found = found.real(lengths[column.length])
        elif column.has_lists:
            found = found.values
        if column.name in self._missing:
            found = found[found != self._missing[column.name]]
        learner = self._learners.get(column.table or column.name)
        if learner is not None:
            learner.update(found)

    def _given(self, batch: Mapping[str, Any], column: RawColumn) -> Any:
        if column.name not in batch:
            raise SchemaError(
                f"schema {self._schema.name!r} needs the column {column.name!r}. Received: {', '.join(sorted(batch))}"
            )
        return batch[column.name]

    def result(self) -> dict[str, Any]:
        """The fields of the schema in which something was learned.

        Raises:
            SchemaError: There was no example.
        """
        schema = self._schema
        if not self._examples:
            raise SchemaError(f"schema {schema.name!r}: the training split holds no example")
        learned: dict[str, Any] = {key: learner.result() for key, learner in self._learners.items()}
        return {
            "features": tuple(learned.get(f.name, f) for f in schema.features),
            "sequences": tuple(
                s.replace(fields=tuple(learned.get(s.column(f.name), f) for f in s.fields)) for s in schema.sequences
            ),
            "labels": tuple(self._learned_label(label) for label in schema.labels),
        }

    def _learned_label(self, label: Label) -> Label:
        if label.mean is not None:
            return label
        # Every negative stands for those that were dropped, too.
        positives = self._positives[label.name]
        return label.replace(mean=positives / (positives + (self._examples - positives) / label.negative_rate))


def learned(schema: SchemaParts, batches: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What `FeatureSchema.learn` changes."""
    learning = Learning(schema)
    for batch in batches:
        learning.update(batch)
    return learning.result()
