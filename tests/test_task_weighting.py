"""The total loss of several tasks, its gradient, and what fitting, saving and wrapping make of it."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.building import build_ranker
from pipelines.config import load_config
from tests.pipelines.test_config import CONFIGS
from tests.small_log import learned_schema, raw_batch
from tf_interformer._keras import LEGACY, keras
from tf_interformer.ranker import Ranker

TASKS = ("click", "buy")
SMALL = {
    "backbone_config": {"num_layers": 1, "information_flow": "sole", "interaction": "dot"},
    "tower_units": (8,),
}


def make(weights=(1.0, 1.0), task_weighting="uncertainty", l2=0.0, optimizer=None, run_eagerly=False):
    """A step or two are quicker done than traced: `run_eagerly`."""
    keras.utils.set_random_seed(1)
    schema = learned_schema(TASKS)
    labels = tuple(label.model_copy(update={"weight": w}) for label, w in zip(schema.labels, weights, strict=True))
    ranker = Ranker(
        schema.model_copy(update={"labels": labels}),
        **SMALL,
        embedding={"dim": 8, "l2": l2},
        task_weighting=task_weighting,
    )
    ranker.compile(optimizer or keras.optimizers.SGD(0.1), jit_compile=False, run_eagerly=run_eagerly)
    return ranker


def batch(ranker, count=32, weights=None):
    raw = raw_batch(count, 3, TASKS)
    labels = {task: raw[task][:, None] for task in TASKS}
    return (ranker.preprocessor(raw), labels) if weights is None else (ranker.preprocessor(raw), labels, weights)


def reference(ranker, example_weights=None):
    """Losses by task, the total and its gradient by the log-variances, from the equation, in float64."""
    encoded, labels = batch(ranker)[:2]
    s = np.asarray(ranker.log_variances, np.float64)
    losses, total, gradient = {}, 0.0, []
    for index, (task, logits) in enumerate(ranker(encoded).items()):
        z, y = np.asarray(logits, np.float64)[:, 0], labels[task][:, 0]
        loss = 0.0
        for i in range(len(y)):
            p = 1 / (1 + np.exp(-z[i]))
            weight = 1.0 if example_weights is None else example_weights[task][i]
            loss -= weight * (y[i] * np.log(p) + (1 - y[i]) * np.log(1 - p)) / len(y)
        losses[task] = loss
        total += np.exp(-s[index]) * loss + s[index] / 2
        gradient.append(-np.exp(-s[index]) * loss + 0.5)
    return losses, total, np.array(gradient)


def dataset(ranker, count=32, batch_size=32, weights=None):
    return tf.data.Dataset.from_tensor_slices(batch(ranker, count, weights)).batch(batch_size)


@pytest.mark.parametrize("weighted", [False, True])
def test_total_loss_and_the_step_of_the_log_variances_are_the_equations(weighted):
    ranker = make(weights=(0.5, 2.0), run_eagerly=not weighted)
    random = np.random.default_rng(0)
    weights = {task: random.uniform(0, 2, 32).astype("float32") for task in TASKS} if weighted else None
    start = np.asarray(ranker.log_variances)
    np.testing.assert_allclose(start, -np.log([0.5, 2.0]), rtol=1e-6)
    losses, total, gradient = reference(ranker, weights)
    logs = ranker.fit(dataset(ranker, weights=weights), verbose=0, shuffle=False).history
    assert logs["loss"][0] == pytest.approx(total, rel=1e-5)
    for task in TASKS:
        assert logs[f"{task}_loss"][0] == pytest.approx(losses[task], rel=1e-5)
    np.testing.assert_allclose(np.asarray(ranker.log_variances), start - 0.1 * gradient, rtol=1e-4, atol=1e-6)


def test_one_weight_for_the_examples_of_all_tasks():
    ranker = make(run_eagerly=True)
    weights = np.linspace(0, 2, 32, dtype="float32")
    _, total, _ = reference(ranker, dict.fromkeys(TASKS, weights))
    logs = ranker.evaluate(dataset(ranker, weights=weights), verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(total, rel=1e-5)


def test_regularisation_comes_on_top():
    ranker = make(l2=0.01, run_eagerly=True)
    _, total, _ = reference(ranker)
    ranker(batch(ranker)[0])
    penalty = float(sum(ranker.losses))
    assert penalty > 0
    logs = ranker.evaluate(dataset(ranker), verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(total + penalty, rel=1e-5)


def test_noise_gets_less_weight_than_what_can_be_learned():
    ranker = make(optimizer=keras.optimizers.Adam(0.03))
    encoded, _ = batch(ranker)
    twice = {name: np.concatenate([column, column]) for name, column in encoded.items()}
    labels = {"click": twice["age"] > 0, "buy": np.arange(64) < 32}  # bought, and not: loss log 2 at best
    labels = {task: label.astype("float32")[:, None] for task, label in labels.items()}
    data = tf.data.Dataset.from_tensor_slices((twice, labels)).batch(64).repeat(60)
    ranker.fit(data, verbose=0, shuffle=False)
    easy, noise = np.asarray(ranker.log_variances)
    assert easy < noise


def test_it_is_saved_with_the_optimizer_and_goes_on_alike(tmp_path):
    ranker = make(optimizer=keras.optimizers.Adam(0.05))
    data = dataset(ranker, batch_size=16)
    ranker.fit(data, verbose=0, shuffle=False)
    ranker.save(tmp_path / "ranker.keras")
    again = Ranker.from_file(tmp_path / "ranker.keras")
    assert again.task_weighting == "uncertainty"
    for _ in range(2):
        np.testing.assert_allclose(np.asarray(again.log_variances), np.asarray(ranker.log_variances), rtol=1e-6)
        ranker.fit(data, verbose=0, shuffle=False)
        again.fit(data, verbose=0, shuffle=False)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy):
    before = keras.mixed_precision.global_policy() if LEGACY else keras.config.dtype_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        ranker = make(optimizer=keras.optimizers.Adam(0.01))
        losses = ranker.fit(dataset(ranker, batch_size=8), epochs=4, verbose=0, shuffle=False).history["loss"]
        assert np.isfinite(losses).all()
        assert losses[-1] < losses[0]
        assert tf.as_dtype(ranker.log_variances.dtype) == tf.float32
    finally:
        keras.mixed_precision.set_global_policy(before)


@pytest.mark.parametrize("given", [{"loss": "mse"}, {"loss_weights": {"click": 2.0}}])
def test_a_loss_of_ones_own_is_refused(given):
    with pytest.raises(ValueError, match="compile without `loss` and `loss_weights`"):
        make().compile("adam", **given)


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"must be 'fixed' or 'uncertainty'. Received: 'learned'"):
        make(task_weighting="learned")
    with pytest.raises(ValueError, match="a weight above 0"):
        make(weights=(1.0, 0.0))


def test_total_loss_for_a_loop_of_ones_own():
    losses = {"click": 0.7, "buy": 0.2}
    fixed = make(weights=(0.5, 2.0), task_weighting="fixed")
    assert fixed.total_loss(losses) == pytest.approx(0.5 * 0.7 + 2 * 0.2)
    assert not hasattr(fixed, "log_variances")
    learned = make()
    learned.log_variances.assign([0.4, -0.3])
    expected = np.exp(-0.4) * 0.7 + 0.2 + np.exp(0.3) * 0.2 - 0.15
    assert float(learned.total_loss(losses)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.skipif(not LEGACY, reason="TensorFlow Recommenders needs TF_USE_LEGACY_KERAS=1")
def test_as_a_tfrs_model():
    from tf_interformer.tfrs import RankingModel

    alone = make()
    model = RankingModel(make(), metrics=())
    model.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    data = dataset(alone, batch_size=16)
    expected = alone.fit(data, epochs=2, verbose=0, shuffle=False).history
    logs = model.fit(data, epochs=2, verbose=0, shuffle=False).history
    np.testing.assert_allclose(logs["loss"], expected["loss"], rtol=1e-5)
    np.testing.assert_allclose(model.ranker.log_variances, alone.log_variances, rtol=1e-5)
    assert RankingModel.from_config(model.get_config()).ranker.task_weighting == "uncertainty"
    with pytest.raises(ValueError, match="learns the weights"):
        RankingModel(make(), weights={"buy": 2.0})


def test_the_shipped_configuration_makes_such_a_model():
    (path,) = [path for path in CONFIGS if path.stem == "kuairand_multitask"]
    config = load_config(path, ["training.jit_compile=false"])
    ranker = build_ranker(config, learned_schema(config.dataset.labels), 1000)
    assert ranker.schema.tasks == ("is_click", "long_view", "is_like")
    assert ranker.task_weighting == "uncertainty"
    assert tuple(ranker.log_variances.shape) == (3,)
