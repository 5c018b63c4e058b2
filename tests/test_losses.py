"""The loss within lists: its equation, its gradient, and what fitting, saving and wrapping make of it."""

import numpy as np
import pytest
import tensorflow as tf

from tests.small_log import learned_schema, raw_batch
from tf_interformer._keras import keras
from tf_interformer.losses import list_losses
from tf_interformer.metrics import gauc
from tf_interformer.preprocessing import LIST_COLUMN
from tf_interformer.ranker import Ranker
from tf_interformer.schema import SchemaError

TASKS = ("click", "buy")
SMALL = {
    "backbone_config": {"num_layers": 1, "information_flow": "sole", "interaction": "dot"},
    "tower_units": (8,),
    "embedding": {"dim": 8},
}


def naive(labels, scores, lists):
    """From the equation, example by example, in float64."""
    losses = []
    for i in range(len(labels)):
        others = [j for j in range(len(labels)) if lists[j] == lists[i] and labels[j] == 0]
        losses.append(np.log(1 + sum(np.exp(scores[j] - scores[i]) for j in others)) if labels[i] else 0.0)
    return np.array(losses)


def example(count=60, seed=0, lists=9):
    random = np.random.default_rng(seed)
    labels = (random.random(count) < 0.4).astype(np.float32)
    return labels, random.normal(size=count).astype(np.float32), random.integers(-lists, lists, count)


@pytest.mark.parametrize("lists", [1, 9, 1000])
def test_equals_the_equation(lists):
    labels, scores, keys = example(lists=lists)
    np.testing.assert_allclose(list_losses(labels, scores, keys), naive(labels, scores, keys), rtol=1e-5, atol=1e-6)
    # Columns and any order of the lists are the same.
    np.testing.assert_allclose(
        list_losses(labels[:, None], scores[:, None], keys), naive(labels, scores, keys), rtol=1e-5, atol=1e-6
    )


def test_far_apart_scores_overflow_nowhere():
    labels, scores = np.array([1.0, 0, 1, 1], np.float32), np.array([-500.0, 500, 800, -900], np.float32)
    lists = np.array([1, 1, 1, 2])
    with tf.GradientTape() as tape:
        logits = tf.Variable(scores)
        losses = list_losses(labels, logits, lists)
    np.testing.assert_allclose(losses, [1000, 0, 0, 0])
    np.testing.assert_allclose(tape.gradient(losses, logits), [-1, 1, 0, 0])
    assert list_losses(np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32)).shape == (0,)


def test_gradient_is_the_equations():
    labels, scores, lists = example(20, lists=3)
    with tf.GradientTape() as tape:
        logits = tf.Variable(scores)
        total = tf.reduce_sum(list_losses(labels, logits, lists))
    gradient, step = tape.gradient(total, logits).numpy(), 1e-4
    for i in range(20):
        apart = step * (np.arange(20) == i)
        wide = scores.astype(np.float64)
        change = naive(labels, wide + apart, lists).sum() - naive(labels, wide - apart, lists).sum()
        assert gradient[i] == pytest.approx(change / (2 * step), abs=1e-4)


def make(run_eagerly=False, **options):
    """A step or two are quicker done than traced: `run_eagerly`."""
    keras.utils.set_random_seed(1)
    ranker = Ranker(learned_schema(TASKS), **SMALL, **options)
    ranker.compile(keras.optimizers.SGD(0.1), jit_compile=False, run_eagerly=run_eagerly)
    return ranker


def batches(ranker, weights=None, batch_size=32, count=32, lists="group"):
    raw = raw_batch(count, 3, TASKS)
    encoded, labels = ranker.preprocessor.training_batch(raw, lists=lists)
    parts = (encoded, labels) if weights is None else (encoded, labels, weights)
    return tf.data.Dataset.from_tensor_slices(parts).batch(batch_size), raw


@pytest.mark.parametrize("task_weighting", ["fixed", "uncertainty"])
@pytest.mark.parametrize("weighted", [False, True])
def test_what_fit_adds_to_the_loss(task_weighting, weighted):
    weights = np.linspace(0, 2, 32, dtype="float32") if weighted else None
    eagerly = task_weighting == "fixed"  # else as a graph
    plain, listed = (make(eagerly, task_weighting=task_weighting, list_loss=factor) for factor in (0.0, 0.7))
    data, raw = batches(listed, weights)
    logits = {task: np.asarray(value)[:, 0] for task, value in listed(next(iter(data))[0]).items()}
    ones = np.ones(32) if weights is None else weights
    expected = sum((naive(raw[task], logits[task], raw["user"]) * ones).mean() for task in TASKS)
    before = plain.evaluate(data, verbose=0, return_dict=True)["loss"]
    assert listed.evaluate(data, verbose=0, return_dict=True)["loss"] == pytest.approx(
        before + 0.7 * expected, rel=1e-5
    )
    assert listed.fit(data, verbose=0, shuffle=False).history["loss"][0] == pytest.approx(
        before + 0.7 * expected, rel=1e-5
    )


def test_it_orders_a_users_items_better():
    """Much of what is clicked depends on the user alone, the rest on the item."""
    random = np.random.default_rng(0)
    raw = raw_batch(256, 3, TASKS)
    raw["user"] = np.arange(256) // 8
    good = np.isin(raw["item"], ["item_1", "item_2", "item_3", "item_4"])
    raw["click"] = np.where(random.random(256) < 0.3, raw["user"] % 2, good).astype(np.float32)
    found = []
    for factor in (0.0, 3.0):
        ranker = make(list_loss=factor)
        encoded, labels = ranker.preprocessor.training_batch(raw, lists="group")
        data = tf.data.Dataset.from_tensor_slices((encoded, labels)).batch(64)
        ranker.fit(data, epochs=6, verbose=0, shuffle=False)
        found.append(gauc(raw["click"], np.asarray(ranker(encoded)["click"])[:, 0], raw["user"]))
    assert found[1] > found[0] + 0.02


def test_saving_keeps_it(tmp_path):
    ranker = make(run_eagerly=True, list_loss=0.5)
    data, _ = batches(ranker)
    ranker.fit(data, verbose=0, shuffle=False)
    ranker.save(tmp_path / "m.keras")
    again = Ranker.from_file(tmp_path / "m.keras")
    assert again.list_loss == 0.5
    assert again.evaluate(data, verbose=0) == pytest.approx(ranker.evaluate(data, verbose=0), rel=1e-5)


def test_lists_of_strings_and_numbers():
    schema = learned_schema(TASKS).model_copy(update={"group": "country", "group_dtype": "string"})
    ranker = Ranker(schema, **SMALL)
    raw = raw_batch(8, 0, TASKS)
    lists = ranker.preprocessor.training_batch(raw, lists="group")[0][LIST_COLUMN].numpy()
    same = raw["country"][:, None] == raw["country"][None]
    np.testing.assert_array_equal(lists[:, None] == lists[None], same)
    assert LIST_COLUMN not in ranker.preprocessor.training_batch(raw)[0]


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match=r"`list_loss` must be at least 0. Received: -1"):
        make(list_loss=-1)
    ranker = make(list_loss=1.0)
    data, _ = batches(ranker, lists=None)
    with pytest.raises(ValueError, match=r"training_batch\(raw, lists='group'\)"):
        ranker.fit(data, verbose=0, shuffle=False)
    with pytest.raises(SchemaError, match=r"no `request` column to tell lists by. It has: \['group'\]"):
        batches(ranker, lists="request")
