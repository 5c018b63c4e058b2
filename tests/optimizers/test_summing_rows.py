"""Keras's own optimisers take a row that a batch reads several times as one row."""

from functools import cache

import numpy as np
import pytest
import tensorflow as tf

from tests.dense_gradients import dense
from tests.reference import optimizers as reference
from tests.small_log import learned_schema, raw_batch
from tf_interformer import Ranker, optimizers
from tf_interformer._keras import LEGACY, keras
from tf_interformer.optimizers import TableOptimizer
from tf_interformer.preprocessing import Preprocessor

ROWS, DIM, STEPS, RATE = 6, 3, 4, 0.05


def of_keras(name, **config):
    return getattr(keras.optimizers, name)(RATE, **config)


CASES = {
    "adam": lambda: of_keras("Adam"),
    "amsgrad": lambda: of_keras("Adam", amsgrad=True),
    "adamw": lambda: of_keras("AdamW", weight_decay=0.1),
    "nadam": lambda: of_keras("Nadam"),
    "adamax": lambda: of_keras("Adamax"),
    "adagrad": lambda: of_keras("Adagrad"),
    "adadelta": lambda: of_keras("Adadelta"),
    "rmsprop": lambda: of_keras("RMSprop", momentum=0.5, centered=True),
    "lion": lambda: of_keras("Lion"),
    "ftrl": lambda: of_keras("Ftrl"),
    "momentum": lambda: of_keras("SGD", momentum=0.9, nesterov=True),
    "clipnorm": lambda: of_keras("Adagrad", clipnorm=0.5),
    "global_clipnorm": lambda: of_keras("Adagrad", global_clipnorm=0.5),
    "clipvalue": lambda: of_keras("SGD", clipvalue=0.7),
}


def batches():
    """Row 2 comes twice in every batch, and once with parts that nearly cancel out; row 5 never comes."""
    random = np.random.default_rng(0)
    values = random.normal(size=(STEPS, 4, DIM))
    values[1, 3] = 0.1 - values[1, 0]
    return [([2, 1, 3, 2], value) for value in values]


def start():
    return np.random.default_rng(1).normal(size=(ROWS, DIM)).astype("float32")


def trained(optimizer):
    variables = [tf.Variable(start()), tf.Variable([1.0, -2.0])]
    optimizer.build(variables)

    @tf.function
    def step(rows, values):
        gradients = [tf.IndexedSlices(values, rows, tf.constant((ROWS, DIM))), tf.constant([0.3, -3.0])]
        optimizer.apply_gradients(zip(gradients, variables, strict=True))

    for rows, values in batches():
        step(tf.constant(rows), tf.constant(values, "float32"))
    return [v.numpy() for v in variables]


@pytest.mark.parametrize("case", CASES)
def test_equals_dense_gradients(case):
    found, expected = trained(optimizers.summing_rows(CASES[case]())), trained(dense(CASES[case]()))
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_adam_as_printed():
    table, state = start().astype("float64"), {name: np.zeros((ROWS, DIM)) for name in ("m", "v", "highest")}
    others = [(row, np.zeros(DIM)) for row in range(ROWS)]  # whose moments decay, too
    for step, (rows, values) in enumerate(batches(), 1):
        reference.adam(table, state, [*zip(rows, values, strict=True), *others], step, RATE)
    found = trained(optimizers.summing_rows(of_keras("Adam")))[0]
    np.testing.assert_allclose(found, table, rtol=2e-5, atol=2e-6)


def small_ranker(optimizer, run_eagerly=False):
    keras.utils.set_random_seed(0)
    config = {"num_layers": 1, "information_flow": "sole", "interaction": "dot"}
    ranker = Ranker(learned_schema(), backbone_config=config, embedding={"dim": 8}, tower_units=(8,))
    ranker.compile(optimizer, jit_compile=False, run_eagerly=run_eagerly)
    return ranker


def expected_ranker(optimizer):
    """One with dense gradients. What is tested is the other one, as a graph."""
    return small_ranker(dense(optimizer), run_eagerly=True)


@cache
def batches_of_the_log():
    """Items stand in the feature and in both histories, which share a table."""
    encoded = Preprocessor(learned_schema()).training_batch(raw_batch(48, 3))
    return tf.data.Dataset.from_tensor_slices(encoded).batch(16)


def fit(ranker):
    return ranker.fit(batches_of_the_log(), verbose=0, shuffle=False).history["loss"]


def assert_equal(one, two):
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


# Adam's own epsilon lets the rounding of a gradient near zero decide a whole step.
RANKERS = {
    "adam": lambda: keras.optimizers.Adam(1e-2, epsilon=1e-4),
    "adamw": lambda: keras.optimizers.AdamW(1e-2, epsilon=1e-4, weight_decay=0.1, global_clipnorm=0.05),
    "rmsprop": lambda: keras.optimizers.RMSprop(1e-2, epsilon=1e-3),
    "adagrad": lambda: keras.optimizers.Adagrad(1e-2, clipnorm=0.01),
}


@pytest.mark.parametrize("case", RANKERS)
def test_a_ranker_equals_one_with_dense_gradients(case):
    one, two = small_ranker(RANKERS[case]()), expected_ranker(RANKERS[case]())
    assert type(one.optimizer) is type(RANKERS[case]())
    np.testing.assert_allclose(fit(one), fit(two), rtol=1e-5)
    assert_equal(one, two)


@pytest.mark.parametrize("kind", ["Adam", "Adagrad"])
def test_the_tables_of_a_table_optimizer(kind):
    config = {"learning_rate": 1e-2, "epsilon": 1e-4}
    make = getattr(keras.optimizers, kind)
    one = small_ranker(TableOptimizer(make(**config), make(**config)))
    two = expected_ranker(make(**config))
    np.testing.assert_allclose(fit(one), fit(two), rtol=1e-5)
    assert_equal(one, two)


def test_by_name():
    ranker = small_ranker("adam")
    expected = expected_ranker(keras.optimizers.Adam())
    assert type(ranker.optimizer) is keras.optimizers.Adam
    encoded, labels = ranker.preprocessor.training_batch(raw_batch(32, 5))
    for model in (ranker, expected):
        model.train_on_batch(encoded, labels)
    # The first step of Adam is the rate long, whatever the gradient; the moments tell.
    for one, two in zip(ranker.optimizer.variables, expected.optimizer.variables, strict=True):
        np.testing.assert_allclose(np.array(one), np.array(two), rtol=1e-4, atol=1e-9)


def test_a_loaded_ranker_trains_on_as_if_it_had_not_been_saved(tmp_path):
    made, expected = small_ranker(RANKERS["adamw"]()), expected_ranker(RANKERS["adamw"]())
    fit(made)
    fit(expected)
    made.save(str(tmp_path / "model.keras"))
    again = Ranker.from_file(tmp_path / "model.keras")
    assert type(again.optimizer) is keras.optimizers.AdamW
    assert again.optimizer.get_config() == made.optimizer.get_config()
    assert keras.optimizers.serialize(again.optimizer) == keras.optimizers.serialize(RANKERS["adamw"]()) | {
        "config": again.optimizer.get_config()
    }
    for one, two in zip(made.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(two))
    for model in (made, again, expected):
        fit(model)
    assert_equal(again, made)
    assert_equal(again, expected)


@pytest.mark.parametrize("given", [False, True])
def test_loss_scale(float16, given):
    scaled = keras.mixed_precision.LossScaleOptimizer if given else (lambda optimizer: optimizer)
    one = small_ranker(scaled(RANKERS["adam"]()))
    two = small_ranker(scaled(dense(RANKERS["adam"]())))
    assert isinstance(one.optimizer, keras.mixed_precision.LossScaleOptimizer)
    start = one.get_weights()[0]
    for _ in range(4):  # the first scales are too high
        fit(one)
        fit(two)
    assert np.abs(one.get_weights()[0] - start).max() > 1e-3
    assert_equal(one, two)


@pytest.mark.skipif(LEGACY, reason="tf_keras looks at all parts")
def test_an_infinite_part_is_seen_under_a_loss_scale():
    optimizer = optimizers.summing_rows(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0)))
    table = tf.Variable(tf.ones((3, 1)))
    gradient = tf.IndexedSlices(tf.constant([[float("inf")], [1.0]]), [1, 1], (3, 1))
    optimizer.apply_gradients([(gradient, table)])
    np.testing.assert_array_equal(table.numpy()[:, 0], [1.0, 1.0, 1.0])


def test_what_it_leaves_as_it_is():
    made = optimizers.summing_rows(keras.optimizers.Adam())
    apply = made.apply_gradients if LEGACY else made.apply
    assert optimizers.summing_rows(made) is made
    assert (made.apply_gradients if LEGACY else made.apply) == apply  # compiled twice, summed once
    lazy = optimizers.LazyAdam()
    assert optimizers.summing_rows(lazy) is lazy
    assert "apply" not in vars(lazy)
    assert optimizers.summing_rows("no optimizer") == "no optimizer"
