"""Row updates against loops over rows; dense gradients against Keras's own optimisers."""

import numpy as np
import pytest
import tensorflow as tf

from tests.reference import optimizers as reference
from tf_interformer._keras import LEGACY, keras
from tf_interformer.optimizers import LazyAdam, LazyAdamW, RowWiseAdagrad, SparseAdagrad, SparseFtrl

ROWS, DIM, STEPS = 9, 3, 5
RATE = 0.05


def batches(seed=0):
    """Rows of each step, some twice, and their gradients; rows 0 and 8 never come."""
    random = np.random.default_rng(seed)
    return [(random.integers(1, 8, 6), random.normal(size=(6, DIM))) for _ in range(STEPS)]


def start(dtype):
    return np.random.default_rng(1).normal(size=(ROWS, DIM)).astype(dtype)


def sparse(rows, values, dtype):
    return tf.IndexedSlices(tf.convert_to_tensor(values, dtype), tf.convert_to_tensor(rows, tf.int32), (ROWS, DIM))


def trained(optimizer, dtype, graph=True):
    table = tf.Variable(start(dtype))
    optimizer.build([table])

    def step(rows, values):
        optimizer.apply_gradients([(sparse(rows, values, dtype), table)])

    step = tf.function(step) if graph else step
    for rows, values in batches():
        step(tf.constant(rows, tf.int32), tf.constant(values, dtype))
    return table.numpy()


def zeros():
    return np.zeros((ROWS, DIM))


def looped_adam(own_steps=False, **config):
    table, state = start("float64"), {"m": zeros(), "v": zeros(), "highest": zeros(), "count": np.zeros(ROWS)}
    for step, (rows, values) in enumerate(batches(), 1):
        given = list(zip(rows, values, strict=True))
        reference.adam(table, state, given, None if own_steps else step, RATE, **config)
    return table


def looped_adagrad(**config):
    table, state = start("float64"), {"accumulator": zeros() + 0.1}
    for rows, values in batches():
        reference.adagrad(table, state, list(zip(rows, values, strict=True)), RATE, **config)
    return table


def looped_row_wise(**config):
    table, state = start("float64"), {"accumulator": np.full(ROWS, 0.1)}
    for rows, values in batches():
        reference.row_wise_adagrad(table, state, list(zip(rows, values, strict=True)), RATE, **config)
    return table


def looped_ftrl(**config):
    table, accumulator = start("float64"), zeros() + 0.1
    starting = {name: value for name, value in config.items() if name != "shrinkage"}
    linear = reference.ftrl_start(table, accumulator, RATE, **starting)
    state = {"accumulator": accumulator, "linear": linear}
    for rows, values in batches():
        reference.ftrl(table, state, list(zip(rows, values, strict=True)), RATE, **config)
    return table


FTRL = {
    "l1_regularization_strength": 0.6,
    "l2_regularization_strength": 0.1,
    "l2_shrinkage_regularization_strength": 0.2,
    "beta": 0.3,
}
CASES = {
    "adam": (lambda: LazyAdam(RATE), looped_adam),
    "amsgrad": (lambda: LazyAdam(RATE, amsgrad=True, beta_2=0.7), lambda: looped_adam(amsgrad=True, beta_2=0.7)),
    "adamw": (lambda: LazyAdamW(RATE, weight_decay=0.3), lambda: looped_adam(weight_decay=0.3)),
    "adam, own steps": (lambda: LazyAdam(RATE, bias_correction="rows"), lambda: looped_adam(own_steps=True)),
    "adamw, own steps": (
        lambda: LazyAdamW(RATE, weight_decay=0.3, bias_correction="rows"),
        lambda: looped_adam(own_steps=True, weight_decay=0.3),
    ),
    "adagrad": (lambda: SparseAdagrad(RATE), looped_adagrad),
    "adagrad, decay": (lambda: SparseAdagrad(RATE, weight_decay=0.3), lambda: looped_adagrad(weight_decay=0.3)),
    "row-wise": (lambda: RowWiseAdagrad(RATE), looped_row_wise),
    "row-wise, decay": (lambda: RowWiseAdagrad(RATE, weight_decay=0.3), lambda: looped_row_wise(weight_decay=0.3)),
    "ftrl": (lambda: SparseFtrl(RATE), looped_ftrl),
    "ftrl, l1": (  # weights become 0, and leave it again
        lambda: SparseFtrl(RATE, learning_rate_power=-0.3, l1_regularization_strength=4.0),
        lambda: looped_ftrl(power=-0.3, l1=4.0),
    ),
    "ftrl, all terms": (
        lambda: SparseFtrl(RATE, **FTRL),
        lambda: looped_ftrl(l1=0.6, l2=0.1, shrinkage=0.2, beta=0.3),
    ),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_equals_loops_over_rows(case, dtype):
    make, looped = CASES[case]
    # The learning rate is a float32 variable in both cases.
    tolerance = {"rtol": 2e-5, "atol": 2e-6} if dtype == "float32" else {"rtol": 1e-6, "atol": 1e-7}
    np.testing.assert_allclose(trained(make(), dtype), looped(), **tolerance)


@pytest.mark.parametrize("case", CASES)
def test_rows_outside_the_batch_stay_as_they_are(case):
    table = trained(CASES[case][0](), "float32", graph=False)
    changed = (table != start("float32")).any(axis=1)
    seen = np.unique(np.concatenate([rows for rows, _ in batches()]))
    np.testing.assert_array_equal(np.flatnonzero(changed), seen)


@pytest.mark.parametrize("case", [case for case in CASES if "row-wise" in case or "ftrl" in case])
def test_dense_gradients_follow_the_same_rule(case):
    make, _ = CASES[case]
    results = []
    for whole in (False, True):
        optimizer, table = make(), tf.Variable(start("float32"))
        for _, values in batches():
            every = np.tile(values, (2, 1))[:ROWS]
            gradient = tf.constant(every, "float32") if whole else sparse(np.arange(ROWS), every, "float32")
            optimizer.apply_gradients([(gradient, table)])
        results.append(table.numpy())
    np.testing.assert_allclose(*results, rtol=1e-6, atol=1e-7)


def test_weights_that_ftrl_sets_to_zero_come_back():
    seen = looped_ftrl(power=-0.3, l1=4.0)[1:8]
    assert 0 < (seen == 0).sum() < seen.size  # or the case above would not tell


def test_ftrl_of_weights_that_start_at_zero_is_that_of_keras():
    results = []
    for kind in (SparseFtrl, keras.optimizers.Ftrl):
        variable = tf.Variable(tf.zeros((2, DIM)))
        optimizer = kind(RATE, **FTRL)
        for _, values in batches():
            optimizer.apply_gradients([(tf.constant(values[:2], "float32"), variable)])
        results.append(variable.numpy())
    assert (results[0] != 0).any()
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("accumulator", [0.1, 0.0])
def test_ftrl_moves_a_weight_by_what_the_rate_of_the_step_allows(accumulator):
    """Without a gradient, or at a rate of 0, as a warm-up begins, nothing moves."""
    rates = [0.0, 0.01, 0.5, 0.001]
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([0, 1, 2], rates)
    optimizer, table = SparseFtrl(schedule, initial_accumulator_value=accumulator), tf.Variable(start("float64"))
    gradient, squares = np.array([[1.0, -2.0, 0.0]]), np.full((1, DIM), accumulator)
    for rate in rates:
        before = table.numpy()[1:2]
        optimizer.apply_gradients([(sparse([1], gradient, "float64"), table)])
        squares = squares + gradient**2
        step = np.divide(rate * gradient, np.sqrt(squares), out=np.zeros((1, DIM)), where=squares > 0)
        np.testing.assert_allclose(table.numpy()[1:2], before - step, rtol=1e-6)
    np.testing.assert_array_equal(table.numpy()[2:], start("float64")[2:])


def test_row_wise_keeps_one_accumulator_per_row():
    optimizer = RowWiseAdagrad(RATE)
    optimizer.build([tf.Variable(tf.zeros((ROWS, DIM))), tf.Variable(tf.zeros((4, 2, 3))), tf.Variable(tf.zeros(5))])
    shapes = [tuple(variable.shape) for variable in optimizer.variables if len(variable.shape)]
    assert shapes == [(ROWS, 1), (4, 1, 1), (5,)]


def test_what_was_saved_as_row_wise_before_is_sparse_adagrad():
    saved = keras.saving.serialize_keras_object(RowWiseAdagrad(RATE, clipnorm=0.5))
    del saved["config"]["accumulator_per"]
    again = keras.saving.deserialize_keras_object(saved)
    assert type(again) is SparseAdagrad
    assert again.clipnorm == 0.5
    old, new = SparseAdagrad(RATE), RowWiseAdagrad(RATE)
    for optimizer in (old, new):
        optimizer.build([tf.Variable(tf.zeros((ROWS, DIM)))])
    store = {}
    old.save_own_variables(store)
    with pytest.raises(ValueError, match=r"is SparseAdagrad: load it into that. Received: shapes .*\(9, 3\)"):
        new.load_own_variables(store)


def test_moments_of_other_rows_stay_too():
    optimizer, table = LazyAdam(RATE), tf.Variable(start("float32"))
    for rows in ([1, 2], [2, 3], [3, 4]):
        before = [np.array(v) for v in optimizer.variables if tuple(v.shape) == (ROWS, DIM)]
        optimizer.apply_gradients([(sparse(rows, np.ones((2, DIM)), "float32"), table)])
        after = [np.array(v) for v in optimizer.variables if tuple(v.shape) == (ROWS, DIM)]
        for one, two in zip(before, after, strict=bool(before)):
            assert np.flatnonzero((one != two).any(axis=1)).tolist() == rows


@pytest.mark.parametrize(("kind", "moved"), [("steps", 0.316), ("rows", 0.1)])
def test_how_far_a_row_moves_that_is_first_read_late(kind, moved):
    optimizer, table = LazyAdam(0.1, bias_correction=kind), tf.Variable(tf.zeros((3, 2)))
    optimizer.build([table])
    optimizer.iterations.assign(20_000)  # on other rows
    optimizer.apply_gradients([(sparse([1], np.ones((1, 2)), "float32"), table)])
    assert table.numpy()[1] == pytest.approx([-moved, -moved], rel=2e-3)


def test_bias_correction_is_one_of_two():
    with pytest.raises(ValueError, match=r"`bias_correction` must be one of 'steps', 'rows'.*'row'"):
        LazyAdam(bias_correction="row")


def test_an_empty_batch_changes_nothing():
    optimizer, table = LazyAdam(RATE), tf.Variable(start("float32"))
    optimizer.apply_gradients([(sparse([], np.zeros((0, DIM)), "float32"), table)])
    np.testing.assert_array_equal(table.numpy(), start("float32"))


DENSE = [
    ({}, "float32"),
    ({"clipnorm": 0.5}, "float32"),
    ({"global_clipnorm": 0.5}, "float32"),
    ({"clipvalue": 0.1}, "float32"),
    ({"weight_decay": 0.1}, "float32"),
    ({"weight_decay": 0.1}, "float64"),
]
PAIRS = [
    (LazyAdam, "Adam"),
    (LazyAdamW, "AdamW"),
    (SparseAdagrad, "Adagrad"),
]


@pytest.mark.parametrize(("config", "dtype"), DENSE, ids=str)
@pytest.mark.parametrize(("ours", "name"), PAIRS, ids=[name for _, name in PAIRS])
def test_dense_gradients_equal_keras(ours, name, config, dtype):
    results = []
    for kind in (ours, getattr(keras.optimizers, name)):
        variables = [tf.Variable(start(dtype)), tf.Variable([1.0, -2.0], dtype=dtype)]
        optimizer = kind(RATE, **config)
        for _, values in batches():
            gradients = [tf.constant(values[:1].repeat(ROWS, axis=0), dtype), tf.constant([0.3, -3.0], dtype)]
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
        results.append([v.numpy() for v in variables])
    # TensorFlow's operation has 1 - 0.999 rounded to float32, Keras the powers of 0.999, in float64 too.
    loose = name != "Adagrad"
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, rtol=2e-5 if loose else 1e-6, atol=2e-6 if loose else 1e-7)


@pytest.mark.parametrize("graph", [False, True])
def test_global_norm_counts_every_row_once(graph):
    rows, values = [2, 2, 5], np.array([[3.0, 0, 0], [-1.0, 4, 0], [0, 0, 2]])
    dense = np.array([1.0, -1.0])
    table, bias = tf.Variable(start("float64")), tf.Variable([0.5, 0.5], dtype="float64")
    optimizer = SparseAdagrad(RATE, global_clipnorm=0.7)
    optimizer.build([table, bias])

    def step():
        gradients = [sparse(rows, values, "float64"), tf.constant(dense)]
        optimizer.apply_gradients(zip(gradients, [table, bias], strict=True))

    (tf.function(step) if graph else step)()
    summed, (clipped,) = reference.clip_by_global_norm(reference.by_row(zip(rows, values, strict=True)), [dense], 0.7)
    expected, state = start("float64"), {"accumulator": zeros() + 0.1}
    reference.adagrad(expected, state, summed.items(), RATE)
    np.testing.assert_allclose(table.numpy(), expected, rtol=1e-6)
    naive = 0.5 - RATE * clipped / np.sqrt(0.1 + clipped**2 + 1e-7)
    np.testing.assert_allclose(bias.numpy(), naive, rtol=1e-6)


def test_no_operation_is_as_large_as_the_table():
    """Whatever a step computes, clipped and decayed, has the size of the batch."""
    rows = 100_000
    table = tf.Variable(tf.zeros((rows, 2)))
    optimizer = LazyAdamW(RATE, global_clipnorm=1.0)
    optimizer.build([table])

    @tf.function
    def step(ids):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(tf.gather(table, ids) - 1.0))
        optimizer.apply_gradients([(tape.gradient(loss, table), table)])

    graph = step.get_concrete_function(tf.TensorSpec((5,), tf.int32)).graph
    large = [t.name for op in graph.get_operations() for t in op.outputs if t.shape.rank and t.shape[0] == rows]
    assert not large
    reads = [op.outputs[0].shape.rank for op in graph.get_operations() if op.type == "ReadVariableOp"]
    assert reads
    assert max(reads) == 0


def test_learning_rate_schedule():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([0], [0.5, 0.0])
    optimizer, table = SparseAdagrad(schedule), tf.Variable(start("float32"))
    seen = []
    for _ in range(3):
        optimizer.apply_gradients([(sparse([1], np.ones((1, DIM)), "float32"), table)])
        seen.append(table.numpy())
    assert (seen[0] != start("float32")).any()
    np.testing.assert_array_equal(seen[1], seen[2])


@pytest.mark.skipif(LEGACY, reason="an option of Keras 3")
def test_loss_scale_factor():
    found = []
    for config, scale in (({}, 1.0), ({"loss_scale_factor": 8.0}, 8.0)):
        table, bias = tf.Variable(start("float32")), tf.Variable([0.5, 0.5])
        optimizer = SparseAdagrad(RATE, **config)
        gradients = [sparse([1, 1], np.full((2, DIM), scale), "float32"), tf.constant([2 * scale, -scale])]
        optimizer.apply_gradients(zip(gradients, [table, bias], strict=True))
        assert float(optimizer.scale_loss(1.0)) == scale
        assert (bias.numpy() != 0.5).all()
        found.append((table.numpy(), bias.numpy()))
    for one, scaled in zip(*found, strict=True):
        np.testing.assert_array_equal(one, scaled)


def test_accumulation_is_refused():
    with pytest.raises(ValueError, match=r"LazyAdam takes no `gradient_accumulation_steps`.*Received: 2"):
        LazyAdam(gradient_accumulation_steps=2)


@pytest.mark.parametrize(("ours", "name"), [*PAIRS, (RowWiseAdagrad, "Adagrad"), (SparseFtrl, "Ftrl")])
def test_config_round_trip(ours, name):
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    made = ours(schedule, clipnorm=0.5, name="mine")
    if name.startswith("Adam"):
        made.bias_correction = "rows"
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert type(again) is ours
    assert again.get_config() == made.get_config()
    assert issubclass(ours, getattr(keras.optimizers, name))
