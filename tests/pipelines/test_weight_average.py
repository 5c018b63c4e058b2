"""Training with a moving average of the weights: judged and saved by the average, trained on with the weights."""

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pipelines import train
from pipelines.building import build_optimizer
from pipelines.config import load_config
from pipelines.input import evaluation_dataset, open_source
from pipelines.training_run import TrainingRun
from pipelines.weight_average import WeightAverage
from tests.pipelines.conftest import export_and_draw_nothing
from tests.pipelines.small_folder import write_folders
from tests.small_log import raw_batch
from tests.test_task_weighting import dataset, make
from tf_interformer._keras import LEGACY, keras
from tf_interformer.evaluation import evaluate
from tf_interformer.ranker import Ranker

MOMENTUM = 0.7
CONFIG = """
dataset: {name: small, format: tfrecord}
model:
  backbone_config: {num_layers: 1, information_flow: sole, interaction: dot}
  embedding: {dim: 4}
  tower_units: [8]
training: {batch_size: 16, epochs: 2, jit_compile: false, learning_rate: 0.05, ema: 0.7, checkpoint_minutes: 0}
"""


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    base = write_folders(tmp_path_factory.mktemp("log"))
    (base / "config.yaml").write_text(CONFIG)
    return base


class Recorder(keras.callbacks.Callback):
    """The weights after every step."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(values(self.model))


def values(model):
    return [np.array(weight) for weight in model.trainable_variables]


def naive_average(start, steps):
    """tf_keras starts from the initial weights, Keras 3 from those after the first step."""
    average = [w.astype(np.float64) for w in (start if LEGACY else steps[0])]
    for step in steps if LEGACY else steps[1:]:
        average = [MOMENTUM * a + (1 - MOMENTUM) * w for a, w in zip(average, step, strict=True)]
    return average


def assert_close(one, two):
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_the_average_is_in_place_within_and_the_weights_after(policy):
    before = keras.mixed_precision.global_policy() if LEGACY else keras.config.dtype_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        ranker = make(optimizer=keras.optimizers.Adam(0.02, use_ema=True, ema_momentum=MOMENTUM))
        start, recorder, average = values(ranker), Recorder(), WeightAverage(ranker)
        ranker.fit(dataset(ranker, 64, 16), epochs=2, verbose=0, shuffle=False, callbacks=[recorder])
    finally:
        keras.mixed_precision.set_global_policy(before)
    assert_close(values(ranker), recorder.weights[-1])
    with average.in_place():
        if policy == "float32":  # else the first steps may be skipped
            assert_close(values(ranker), naive_average(start, recorder.weights))
        scores = ranker.score(raw_batch(8))
    assert_close(values(ranker), recorder.weights[-1])
    if policy == "float32":
        assert not np.allclose(scores["click"], ranker.score(raw_batch(8))["click"], rtol=1e-4)


def test_without_it_nothing_is_swapped():
    ranker = make()
    before = values(ranker)
    with WeightAverage(ranker).in_place():
        assert_close(values(ranker), before)


def test_the_optimizer_is_told():
    path = Path(__file__).parents[2] / "pipelines" / "configs" / "kuairand.yaml"
    assert not build_optimizer(load_config(path).training, 10).use_ema
    optimizer = build_optimizer(load_config(path, ["training.ema=0.999"]).training, 10)
    assert (optimizer.use_ema, optimizer.ema_momentum) == (True, 0.999)


def arguments(log, run):
    return ["--config", str(log / "config.yaml"), "--data-dir", str(log / "tfrecord"), "--output", str(run)]


@pytest.fixture(scope="module")
def whole(log, tmp_path_factory):
    """A run, and the weights: where each epoch starts, after every batch, and where a model is saved."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    start, seen, saved = [], [], {}
    save_state, save_model, fit = TrainingRun.save_state, TrainingRun.save_model, Ranker.fit

    def note_state(self, ranker, state):
        if state.step:  # within an epoch: after every batch
            seen.append(values(ranker))
        save_state(self, ranker, state)

    def note_model(self, ranker, path):
        saved[len(seen)] = values(ranker)
        save_model(self, ranker, path)

    def note_start(self, *arguments, **options):
        start.append(values(self))
        return fit(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patched:
        export_and_draw_nothing(patched)
        patched.setattr(TrainingRun, "save_state", note_state)
        patched.setattr(TrainingRun, "save_model", note_model)
        patched.setattr(Ranker, "fit", note_start)
        assert train.main(arguments(log, path)) == 0
    return SimpleNamespace(path=path, start=start, seen=seen, saved=saved)


def test_validated_and_saved_is_the_average(log, whole):
    """Recomputed from the weights that every batch of both epochs left behind."""
    seen, start = whole.seen, whole.start
    assert_close(start[1], seen[5])  # the second epoch starts from the weights, not from their average
    state = TrainingRun(whole.path).load_state()[1]
    average = {steps: naive_average(start[0], seen[:steps]) for steps in (6, 12)}
    average[len(seen)] = average[6 * (state.best_epoch + 1)]  # the run ends with the best
    assert whole.saved
    for steps, weights in whole.saved.items():
        assert_close(weights, average[steps])
    best = Ranker.from_file(whole.path / "model.keras")
    source = open_source(load_config(log / "config.yaml").dataset, str(log / "tfrecord"), None)
    data = evaluation_dataset(source, best.preprocessor, "validation", 16)
    history = state.history[state.best_epoch]
    assert history["val_log_loss"] == pytest.approx(evaluate(best, data)["click"]["log_loss"], rel=1e-6)


def test_stopped_and_resumed_equals_uninterrupted(whole, log, tmp_path, monkeypatch):
    """Within the second epoch."""
    saves = 0
    save = TrainingRun.save_state

    def save_and_stop(self, ranker, state):
        nonlocal saves
        save(self, ranker, state)
        saves += 1
        if saves == 9:
            os.kill(os.getpid(), signal.SIGTERM)

    export_and_draw_nothing(monkeypatch)
    with monkeypatch.context() as patched:
        patched.setattr(TrainingRun, "save_state", save_and_stop)
        assert train.main(arguments(log, tmp_path / "run")) == 130
    assert train.main(arguments(log, tmp_path / "run")) == 0
    whole, resumed = (json.loads((path / "metrics.json").read_text()) for path in (whole.path, tmp_path / "run"))
    assert whole["best_epoch"] == resumed["best_epoch"]
    for split in ("validation", "test"):
        assert resumed[split]["click"]["log_loss"] == pytest.approx(whole[split]["click"]["log_loss"], rel=1e-5)
