"""How well one column alone predicts a label: what a model has to beat."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.input import Source
from tf_interformer.metrics import auc
from tf_interformer.preprocessing import Preprocessor
from tf_interformer.schema import FeatureSchema

# A model that is not so much above the best column hardly beats it.
MARGIN = 0.005
# Of each split at most about so many rows are asked.
_ROWS = 200_000
# How many rows the overall rate is worth beside a value's own.
_PRIOR = 10.0


def best_columns(
    source: Source, preprocessor: Preprocessor, examples: Mapping[str, int], rows: int = _ROWS
) -> dict[str, dict[str, Any]]:
    """The column of highest AUC on the validation split, by task: `{"column", "auc"}`.

    An id scores by its smoothed mean label in the training split, (positives + 10 g) / (rows + 10) with g the overall
    rate; a number, or the length of a history, by itself, in the direction that suits the training split. Where the
    splits are large, batches are left out at even distances.

    Args:
        source: The data.
        preprocessor: Of the learned schema.
        examples: How many there are in `train` and `validation`.
        rows: About how many of each are read at most. Defaults to 200,000.
    """
    schema = preprocessor.schema
    ids, numbers = _columns(schema)
    train, validation = (
        _read(source, preprocessor, split, (*ids, *numbers), max(1, examples[split] // rows))
        for split in ("train", "validation")
    )
    best: dict[str, dict[str, Any]] = {}
    for task in schema.tasks:
        for name in (*ids, *numbers):
            score = _by_value if name in ids else _by_itself
            found = auc(validation[task], score(train[name], train[task], validation[name]))
            if found > best.get(task, {"auc": 0.0})["auc"]:
                best[task] = {"column": name, "auc": float(found)}
    return best


def remarks(metrics: Mapping[str, Any], best: Mapping[str, Any]) -> list[str]:
    """A line for each task whose model hardly beats a column.

    Args:
        metrics: As `report.measure` returns them.
        best: As `best_columns` returns them.
    """
    return [
        f"{task}: the model's validation AUC, {metrics['validation'][task]['auc']:.4f}, is not {MARGIN} above that of "
        f"{found['column']!r} alone, {found['auc']:.4f}; see docs/training.md"
        for task, found in best.items()
        if metrics["validation"][task]["auc"] < found["auc"] + MARGIN
    ]


def _columns(schema: FeatureSchema) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns of one id, and of one number, of an encoded batch."""
    ids = [column.name for column in schema.encoded_columns if column.is_code]
    return tuple(ids), (*schema.numbers, *(sequence.length_column for sequence in schema.sequences))


def _read(
    source: Source, preprocessor: Preprocessor, split: str, columns: tuple[str, ...], every: int
) -> dict[str, NDArray]:
    parts = []
    for batch in source.raw_batches(split, 1024, schema=preprocessor.schema).shard(every, 0):
        encoded, labels = preprocessor(batch), preprocessor.labels(batch)
        parts.append({name: np.ravel(value) for name, value in labels.items()})
        parts[-1] |= {name: np.asarray(encoded[name]) for name in columns}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _by_value(seen: NDArray, labels: NDArray, asked: NDArray) -> NDArray:
    size = int(max(seen.max(), asked.max())) + 1
    rows, positives = np.bincount(seen, minlength=size), np.bincount(seen, labels, minlength=size)
    rates = (positives + _PRIOR * labels.mean()) / (rows + _PRIOR)
    return rates[asked]


def _by_itself(seen: NDArray, labels: NDArray, asked: NDArray) -> NDArray:
    numbers = asked.astype(np.float64)
    return -numbers if auc(labels, seen.astype(np.float64)) < 0.5 else numbers
