"""Writes prediction requests: JSON in the row format of TensorFlow Serving's REST API, and that of `serving.rank`."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_interformer.schema import FeatureSchema


def to_request(schema: FeatureSchema, raw: Mapping[str, Any]) -> str:
    """A raw batch as a request: `{"instances": [{column: value, ...}, ...]}`.

    Of a history longer than the schema's `max_length`, the most recent events are written.

    Args:
        schema: `FeatureSchema`.
        raw: dict of arrays, by column; columns that no signature takes are left out.
    """
    names = [column.name for column in schema.served_columns]
    columns = _most_recent(schema, {name: np.asarray(raw[name]) for name in names})
    rows = [{name: _plain(columns[name][row]) for name in names} for row in range(len(columns[names[0]]))]
    return json.dumps({"signature_name": "serving_default", "instances": rows}, indent=1)


def to_ranking(schema: FeatureSchema, raw: Mapping[str, Any]) -> str:
    """The user and histories of the first row, and the candidates of all rows, as `serving.rank` takes them.

    Args:
        schema: `FeatureSchema` that names its candidate features.
        raw: dict of arrays, by column.
    """
    columns = _most_recent(schema, {c.name: np.asarray(raw[c.name]) for c in schema.served_columns})
    histories = {}
    for sequence in schema.sequences:
        names = {field.name: sequence.column(field.name) for field in sequence.fields}
        count = int(columns[sequence.length_column][0])
        histories[sequence.name] = [{f: _plain(columns[c][0, i]) for f, c in names.items()} for i in range(count)]
    user = [column.name for column in schema.served_columns if column.sequence is None and column.side == "user"]
    rows = range(len(columns[schema.served_candidate[0]]))
    ranking = {
        "user_features": {name: _plain(columns[name][0]) for name in user},
        "history": histories,
        "candidates": [{name: _plain(columns[name][row]) for name in schema.served_candidate} for row in rows],
    }
    return json.dumps(ranking, indent=1)


def _most_recent(schema: FeatureSchema, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    limits = {column.name: column.width or 0 for column in schema.served_columns if column.kind == "length"}
    for column in schema.served_columns:
        if column.length is None or columns[column.name].shape[1] <= limits[column.length]:
            continue
        events, limit = columns[column.name], limits[column.length]
        cut = np.full((len(events), limit), column.missing, events.dtype)
        for row, end in enumerate(columns[column.length]):
            kept = events[row, max(0, end - limit) : end]
            cut[row, : len(kept)] = kept
        columns[column.name] = cut
    return columns | {name: np.minimum(columns[name], limit) for name, limit in limits.items()}


def _plain(value: Any) -> Any:
    """A value for JSON; a missing number stays NaN, which TensorFlow Serving reads, and null it does not."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    return value.item() if isinstance(value, np.generic) else value
