"""LightGBM on what the schema holds as numbers and as categories of few values."""

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.config import ConfigError, TrainConfig
from pipelines.input import Source
from pipelines.learning import check_splits, learn
from pipelines.monitor import Monitor
from pipelines.training_run import TrainingRun
from tf_interformer.evaluation import Predictions
from tf_interformer.metrics import ranking_metrics
from tf_interformer.preprocessing import Preprocessor
from tf_interformer.schema import FeatureSchema
from tf_interformer.whole import whole_file

# Categories of more values than this are left out: trees would learn them by heart.
MOST_VALUES = 256
_PARAMETERS = {
    "objective": "binary",
    "learning_rate": 0.05,
    "num_leaves": 63,
    # Rows and columns drawn anew for each tree: what differs between seeds.
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.8,
    "verbosity": -1,
}
_MOST_TREES, _PATIENCE = 2000, 50


def is_installed() -> bool:
    """Whether LightGBM can be imported."""
    return find_spec("lightgbm") is not None


def features(schema: FeatureSchema, encoded: dict[str, Any]) -> tuple[np.ndarray, list[int]]:
    """Numbers (of matches, too), lengths of histories, codes of small vocabularies; and which columns are categories.

    Args:
        schema: A learned one.
        encoded: A batch as the `Preprocessor` makes it.
    """
    codes = [column for column in schema.encoded_columns if column.is_code]
    small = [column.name for column in codes if (column.num_ids or 0) <= MOST_VALUES]
    names = [*schema.numbers, *(s.length_column for s in schema.sequences), *small]
    if not names:
        raise ConfigError("lightgbm: the schema has no number, no history and no category of few values")
    columns = np.stack([np.asarray(encoded[name], np.float32) for name in names], axis=1)
    return columns, list(range(len(names) - len(small), len(names)))


def fit(config: TrainConfig, source: Source, run: TrainingRun) -> tuple[dict[str, Any], Predictions]:
    """Train with early stopping on the validation split; return what `metrics.json` holds, and the test predictions.

    Only the first label is learned.

    Raises:
        ConfigError: There is nothing to learn or to choose by, as of a network.
    """
    import lightgbm

    started = time.monotonic()
    monitor = Monitor.of_schema(config.training.monitor, source.schema)
    schema, _ = learn(source)
    check_splits(source, monitor, say=print)
    schema.to_json(run.schema)
    preprocessor = Preprocessor(schema)
    tables = {split: _table(source, preprocessor, split) for split in ("train", "validation", "test")}
    parameters = {**_PARAMETERS, **config.model.backbone_config, "seed": config.training.seed}
    columns, labels, _, categories = tables["train"]
    data = lightgbm.Dataset(columns, labels, categorical_feature=categories, params={"verbosity": -1})
    label = schema.labels[0]
    columns, labels = tables["validation"][:2]
    # Trees are counted by the loss of corrected logits: the split holds all negatives.
    validation = data.create_valid(columns, labels, init_score=np.full(len(labels), label.logit_correction))
    before = time.monotonic()
    booster = lightgbm.train(
        parameters,
        data,
        num_boost_round=_MOST_TREES,
        valid_sets=[validation],
        callbacks=[lightgbm.early_stopping(_PATIENCE, verbose=False)],
    )
    seconds = time.monotonic() - before
    metrics: dict[str, Any] = {}
    for split in ("validation", "test"):
        columns, labels, keys, _ = tables[split]
        logits = np.asarray(booster.predict(columns, raw_score=True)) + label.logit_correction
        base = label.mean if label.mean is not None and 0 < label.mean < 1 else None
        found = ranking_metrics(
            labels,
            logits,
            groups=keys.get("group"),
            requests=keys.get("request"),
            base_rate=base,
            from_logits=True,
        )
        metrics[split] = {label.name: found}
    with whole_file(model_file(run.path)) as temporary:
        booster.save_model(temporary, num_iteration=booster.best_iteration)
    print(f"{booster.best_iteration} trees in {time.monotonic() - started:.0f} s", flush=True)
    facts = {
        "best_epoch": booster.best_iteration,
        "epochs": booster.current_iteration(),
        "training_examples": len(tables["train"][1]),
        "training_seconds": round(seconds, 3),
        "parameters": None,
        "versions": {"lightgbm": lightgbm.__version__},
    }
    return metrics | facts, Predictions({label.name: logits}, {label.name: labels}, {})


def model_file(run: Path) -> Path:
    """Where a run keeps its trees."""
    return run / "lightgbm.txt"


def _table(
    source: Source, preprocessor: Preprocessor, split: str
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], list[int]]:
    """Features, labels, the schema's keys by what they are, and which features are categories."""
    schema = preprocessor.schema
    columns, labels = [], []
    keys: dict[str, list[np.ndarray]] = {role: [] for role in schema.key_columns}
    categories: list[int] = []
    for raw in source.raw_batches(split, 8192, schema=schema):
        part, categories = features(schema, preprocessor(raw))
        columns.append(part)
        labels.append(np.asarray(raw[schema.tasks[0]]))
        for role, (column, _) in schema.key_columns.items():
            keys[role].append(np.asarray(raw[column]))
    return (
        np.concatenate(columns),
        np.concatenate(labels).astype(np.float32),
        {role: np.concatenate(parts) for role, parts in keys.items()},
        categories,
    )
