"""What is known of the test examples beside their scores: the same for every model, read once."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.input import Source
from tf_interformer.schema import FeatureSchema
from tf_interformer.whole import whole_file

Columns = dict[str, np.ndarray]


def load_examples(path: Path, source: Source) -> Columns:
    """The columns of the test split, from the file or, the first time, from the data.

    Returns:
        dict of `[examples]`: `labels`; `groups`, numbered from 0; and where the schema tells them `requests`, numbered
        likewise, `history_length`, `item_frequency` (in the training split), `in_history` (the item stands in a
        history), `known_group` (seen in the training split).
    """
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        found: Any = _read(source)
        with whole_file(path) as temporary:
            np.savez_compressed(temporary, **found)
    with np.load(path) as kept:
        return dict(kept)


def item_column(schema: FeatureSchema) -> str | None:
    """The column that says which item is ranked: a candidate's first category, else one that histories hold too."""
    single = [f.name for f in schema.categoricals if f.max_values is None]
    candidates = [name for name in schema.served_candidate if name in single]
    tables = {schema.table_of(s.column(f.name)) for s in schema.sequences for f in s.categoricals}
    shared = [name for name in single if schema.table_of(name) in tables]
    return next(iter([*candidates, *shared]), None)


def _read(source: Source) -> Columns:
    schema = source.schema
    item, group = item_column(schema), schema.group
    items: Counter[Any] = Counter()
    groups: Counter[Any] = Counter()
    for batch in source.raw_batches("train", 8192).as_numpy_iterator():
        for column, counts in ((item, items), (group, groups)):
            if column is not None:
                values, numbers = np.unique(batch[column], return_counts=True)
                counts.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
    parts: dict[str, list[np.ndarray]] = {}
    names: dict[str, list[Any]] = {f"{role}s": [] for role in schema.key_columns}
    task = schema.tasks[0]
    for batch in source.raw_batches("test", 8192).as_numpy_iterator():
        row = {"labels": np.asarray(batch[task], np.int8)}
        if schema.sequences:
            lengths = [np.minimum(batch[s.length_column], s.max_length) for s in schema.sequences]
            row["history_length"] = np.sum(lengths, axis=0).astype(np.float32)
        if item is not None:
            row["item_frequency"] = np.array([items[value] for value in batch[item].tolist()], np.float32)
            row["in_history"] = _in_history(schema, item, batch)
        if group is not None:
            row["known_group"] = np.array([value in groups for value in batch[group].tolist()])
        for role, (column, _) in schema.key_columns.items():
            names[f"{role}s"] += batch[column].tolist()
        for name, values in row.items():
            parts.setdefault(name, []).append(values)
    columns = {name: np.concatenate(values) for name, values in parts.items()}
    columns["groups"] = np.arange(len(columns["labels"]), dtype=np.int32)  # each its own, where there is no key
    return columns | {name: _numbered(values) for name, values in names.items()}


def _in_history(schema: FeatureSchema, item: str, batch: Columns) -> np.ndarray:
    """Whether the example's item is one of the events of its histories."""
    found = np.zeros(len(batch[item]), bool)
    for sequence in schema.sequences:
        for key in (sequence.column(f.name) for f in sequence.categoricals):
            if schema.table_of(key) == schema.table_of(item):
                real = np.arange(batch[key].shape[1]) < batch[sequence.length_column][:, None]
                found |= np.any(real & (batch[key] == batch[item][:, None]), axis=1)
    return found


def _numbered(names: list[Any]) -> np.ndarray:
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return np.array([places[name] for name in names], np.int32)


def segments(columns: Columns) -> dict[str, dict[str, np.ndarray]]:
    """Parts of the test split: title -> name of the part -> which examples it holds."""
    found: dict[str, dict[str, np.ndarray]] = {}
    if "history_length" in columns:
        found["Events in the history"] = _binned(columns["history_length"], "none")
    if "item_frequency" in columns:
        found["Examples of the item in training"] = _binned(columns["item_frequency"], "none")
    if "in_history" in columns:
        touched = columns["in_history"]
        if "requests" in columns:
            touched = np.bincount(columns["requests"], weights=touched)[columns["requests"]] > 0
        title = "List" if "requests" in columns else "Item"
        found[title] = {"with what is in the history": touched, "without": ~touched}
    if "known_group" in columns:
        known = columns["known_group"]
        found["User"] = {"seen in training": known, "new": ~known}
    return {title: {name: rows for name, rows in parts.items() if rows.any()} for title, parts in found.items()}


def _binned(values: np.ndarray, zero: str) -> dict[str, np.ndarray]:
    """Zero by itself, and four parts of about equal size."""
    parts = {zero: values == 0}
    above = values[values > 0]
    if not above.size:
        return parts
    edges = np.unique(np.quantile(above, [0.25, 0.5, 0.75, 1.0], method="lower"))
    low = 0.0
    for high in edges:
        inside = (values > low) & (values <= high)
        first = int(values[inside].min()) if inside.any() else int(low) + 1
        parts[f"{first:,}" if first == high else f"{first:,} to {int(high):,}"] = inside
        low = high
    return parts
