"""What the trained models cost: matrix products per example, and milliseconds, measured in turns."""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.compare import boosting
from pipelines.compare.logistic_regression import LogisticRegression as LogisticRegression  # registered, to be loaded
from pipelines.input import Source
from tf_interformer.diagnostics import multiplications
from tf_interformer.preprocessing import Preprocessor
from tf_interformer.ranker import Ranker
from tf_interformer.run_directory import RunDirectory
from tf_interformer.schema import FeatureSchema
from tf_interformer.whole import write_text

ROWS, _ROUNDS, _WARM_UP = 256, 30, 3


def measure_costs(file: Path, runs: Mapping[str, Path], sources: Mapping[str, Source]) -> dict[str, dict[str, Any]]:
    """FLOPs and milliseconds of the model of each run, all measured together; kept in a file.

    Args:
        file: Where they are kept: a comparison that is written again measures only when its models are others.
        runs: Model -> folder of the run whose model is measured.
        sources: Model -> its data; the first rows of the test split are scored.

    Returns:
        dict: model -> `flops` of one example (`None` where there are no matrix products to count), `milliseconds`
        for `rows` examples.
    """
    key = {name: str(run.relative_to(file.parent)) for name, run in runs.items()}
    if file.is_file():
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["runs"] == key:
            return dict(kept["models"])
    calls: dict[str, Callable[[], object]] = {}
    costs: dict[str, dict[str, Any]] = {}
    for name, run in runs.items():
        raw = next(sources[name].raw_batches("test", ROWS).as_numpy_iterator())
        costs[name] = {"flops": None, "rows": len(next(iter(raw.values())))}
        if boosting.model_file(run).is_file():
            calls[name] = _boosted(run, raw)
            continue
        ranker = RunDirectory(run).load_model()
        batch = {column: tf.constant(value) for column, value in ranker.preprocessor(raw).items()}
        costs[name]["flops"] = 2 * _multiplications(ranker, batch)
        calls[name] = _network(ranker, batch)
    for name, seconds in _in_turns(calls).items():
        costs[name]["milliseconds"] = 1000 * seconds
    write_text(file, json.dumps({"runs": key, "models": costs}, indent=1))
    return costs


def _multiplications(ranker: Ranker, batch: dict[str, Any]) -> int:
    specs = {name: tf.TensorSpec((1, *value.shape[1:]), value.dtype) for name, value in batch.items()}
    with ranker.without_xla():
        return multiplications(lambda inputs: ranker(inputs, training=False), specs)


def _network(ranker: Ranker, batch: dict[str, Any]) -> Callable[[], object]:
    with ranker.without_xla():
        graph = tf.function(lambda inputs: ranker(inputs, training=False), autograph=False)
        graph(batch)
    return lambda: [value.numpy() for value in graph(batch).values()]


def _boosted(run: Path, raw: dict[str, np.ndarray]) -> Callable[[], object]:
    import lightgbm

    schema = FeatureSchema.from_json(RunDirectory(run).schema)
    columns, _ = boosting.features(schema, Preprocessor(schema)(raw))
    booster = lightgbm.Booster(model_file=boosting.model_file(run))
    return lambda: booster.predict(columns)


def _in_turns(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each call; every round calls each of them once, so that all see the same load."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for round_number in range(_WARM_UP + _ROUNDS):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            if round_number >= _WARM_UP:
                taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in taken.items()}
