"""What a configuration leaves to the log: values that depend on its rows and ids, and on how users differ."""

from collections import Counter
from typing import Any

import numpy as np

from pipelines.config import AUTO, TrainConfig
from tf_interformer.embedding import FEW_IDS
from tf_interformer.schema import FeatureSchema

# Factor of the loss within lists where it is used.
LIST_LOSS = 0.3
# From so large a share of the label's variance between users on, a loss within users pays.
_DIFFERENT = 0.02


class Differences:
    """How much users, or lists, differ in how often they click.

    Example:

    >>> differences = Differences()
    >>> differences.update(np.array(["ann", "ann", "bob", "bob"]), np.array([1, 1, 0, 0]))
    >>> differences.share()
    1.0
    """

    def __init__(self) -> None:
        self._rows: Counter = Counter()
        self._clicks: Counter = Counter()

    def update(self, keys: np.ndarray, labels: np.ndarray) -> None:
        """Takes note of a batch.

        Args:
            keys: `[B]`. Whose row it is.
            labels: `[B]`. 0 or 1.
        """
        own, place = np.unique(np.asarray(keys), return_inverse=True)
        names = own.tolist()
        self._rows.update(dict(zip(names, np.bincount(place).tolist(), strict=True)))
        self._clicks.update(dict(zip(names, np.bincount(place, weights=labels).tolist(), strict=True)))

    def share(self) -> float:
        """The share of the label's variance that lies between users: the intraclass correlation by analysis of
        variance; 0 where nobody has two rows or all have the same label."""
        rows = np.fromiter(self._rows.values(), float)
        rates = np.fromiter((self._clicks[key] for key in self._rows), float) / rows
        total, count = rows.sum(), len(rows)
        if count < 2 or total == count:
            return 0.0
        between = (rows * (rates - (rows * rates).sum() / total) ** 2).sum() / (count - 1)
        within = (rows * rates * (1 - rates)).sum() / (total - count)
        size = (total - (rows**2).sum() / total) / (count - 1)
        variance = between + (size - 1) * within
        return float(max(0.0, (between - within) / variance)) if variance > 0 else 0.0


def sized(
    config: TrainConfig, schema: FeatureSchema, examples: int, difference: float = 0.0
) -> tuple[TrainConfig, list[str]]:
    """The configuration with a value for every key that says `auto`, and why, a line for each.

    Args:
        config: As it was given.
        schema: Learned.
        examples: Rows of the training split.
        difference: `Differences.share` of it by the key that `training.lists` names.
    """
    training, embedding = config.training, dict(config.model.embedding)
    chosen: dict[str, int] = {}
    lines = []
    if training.batch_size == AUTO:
        size = 256 if examples < 50_000 else 1024 if examples < 20_000_000 else 4096
        chosen["batch_size"] = size
        lines.append(
            f"training.batch_size: {size}, for {examples:,} rows: about {-(-examples // size):,} steps an epoch"
        )
    if embedding.get("unknown") == AUTO:
        rows, table = _rows_per_id(schema, examples)
        share = 0.5 if rows < 30 else 0.2 if rows < 300 else 0.0
        embedding["unknown"] = share
        why = f"{rows:,.0f} rows for each id of {table!r}" if table else "there is no large vocabulary"
        lines.append(f"model.embedding.unknown: {share}, since {why}: the fewer, the more are learned by heart")
    update: dict[str, Any] = {"embedding": embedding}
    if config.model.list_loss == AUTO:
        factor = LIST_LOSS if difference >= _DIFFERENT else 0.0
        update["list_loss"] = factor
        whose = schema.key_columns.get(training.lists, (f"a {training.lists} key, which the schema lacks",))[0]
        lines.append(
            f"model.list_loss: {factor}, since {difference:.0%} of the label's variance lies between values of "
            f"{whose}: where they differ, what is clicked must be told within them, too"
        )
    model = config.model.model_copy(update=update)
    made = config.model_copy(update={"model": model, "training": training.model_copy(update=chosen)})
    return made, lines


def _rows_per_id(schema: FeatureSchema, examples: int) -> tuple[float, str]:
    """Rows per id of the largest vocabulary that a feature has; no table where all are small."""
    sizes = {schema.table_of(f.name): schema.tables[schema.table_of(f.name)].num_ids for f in schema.categoricals}
    table = max(sizes, key=lambda name: sizes[name], default="")
    if not table or sizes[table] <= FEW_IDS:
        return float("inf"), ""
    return examples / sizes[table], table
