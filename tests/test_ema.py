"""Training with a moving average of the weights: judged and saved by the average, trained on with the weights."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from pipelines import train
from pipelines.config import load_config
from pipelines.input import evaluation_dataset, open_source
from pipelines.training import Trainer, build_optimizer
from pipelines.training_run import TrainingRun
from pipelines.weight_average import WeightAverage
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
    path = Path(__file__).parents[1] / "pipelines" / "configs" / "kuairand.yaml"
    assert not build_optimizer(load_config(path).training, 10).use_ema
    optimizer = build_optimizer(load_config(path, ["training.ema=0.999"]).training, 10)
    assert (optimizer.use_ema, optimizer.ema_momentum) == (True, 0.999)


def arguments(log, run):
    return ["--config", str(log / "config.yaml"), "--data-dir", str(log / "tfrecord"), "--output", str(run)]


@pytest.fixture(scope="module")
def run(log, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "whole"
    assert train.main(arguments(log, path)) == 0
    return path


def test_validated_and_saved_is_the_average(log, tmp_path, monkeypatch):
    """Recomputed from the weights that every batch of both epochs left behind."""
    config = load_config(log / "config.yaml")
    source = open_source(config.dataset, str(log / "tfrecord"), None)
    directory = TrainingRun(tmp_path / "run")
    seen, start, saved = [], [], {}
    save_state, save_model = TrainingRun.save_state, TrainingRun.save_model

    def note_state(self, ranker, state):
        if state.step:  # within an epoch: after every batch
            seen.append(values(ranker))
        save_state(self, ranker, state)

    def note_model(self, ranker, path):
        saved[len(seen)] = values(ranker)
        save_model(self, ranker, path)

    monkeypatch.setattr(TrainingRun, "save_state", note_state)
    monkeypatch.setattr(TrainingRun, "save_model", note_model)
    fit = Ranker.fit
    monkeypatch.setattr(Ranker, "fit", lambda self, *a, **k: (start.append(values(self)), fit(self, *a, **k))[1])
    with directory.owned(config):
        trainer = Trainer(config, source, directory, say=lambda line: None)
        best = trainer.train()
    assert_close(start[1], seen[5])  # the second epoch starts from the weights, not from their average
    assert saved
    for steps, weights in saved.items():
        assert_close(weights, naive_average(start[0], seen[:steps]))
    data = evaluation_dataset(source, best.preprocessor, "validation", 16)
    history = trainer.state.history[trainer.state.best_epoch]
    assert history["val_log_loss"] == pytest.approx(evaluate(best, data)["click"]["log_loss"], rel=1e-6)


@pytest.mark.parametrize("stop_at", [9])
def test_stopped_and_resumed_equals_uninterrupted(run, log, tmp_path, monkeypatch, stop_at):
    """Within the first epoch; within the second."""
    saves = 0
    save = TrainingRun.save_state

    def save_and_stop(self, ranker, state):
        nonlocal saves
        save(self, ranker, state)
        saves += 1
        if saves == stop_at:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patched:
        patched.setattr(TrainingRun, "save_state", save_and_stop)
        assert train.main(arguments(log, tmp_path / "run")) == 130
    assert train.main(arguments(log, tmp_path / "run")) == 0
    whole, resumed = (json.loads((path / "metrics.json").read_text()) for path in (run, tmp_path / "run"))
    assert whole["best_epoch"] == resumed["best_epoch"]
    for split in ("validation", "test"):
        assert resumed[split]["click"]["log_loss"] == pytest.approx(whole[split]["click"]["log_loss"], rel=1e-5)
