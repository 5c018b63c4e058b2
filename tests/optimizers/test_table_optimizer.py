"""Two optimisers in one, in a `Ranker`, by name in a configuration, saved and restored, with a loss scale."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines.building import build_optimizer
from pipelines.config import load_config
from pipelines.weight_average import WeightAverage
from tests.small_log import learned_schema, raw_batch
from tf_interformer import Ranker, optimizers
from tf_interformer._keras import keras, ops
from tf_interformer.layers._lookup import NO_AUTOCAST, take_rows
from tf_interformer.optimizers import LazyAdam, LazyAdamW, RowWiseAdagrad, SparseAdagrad, SparseFtrl, TableOptimizer

ROWS = 20


@keras.saving.register_keras_serializable("tests")
class Rows(keras.layers.Layer):
    """A table and a gather, or, with `dense`, a product that gives the whole table a gradient."""

    def __init__(self, dense=False, **kwargs):
        super().__init__(**kwargs)
        self.dense = dense

    def build(self, input_shape):
        self.table = self.add_weight(name="table_4", shape=(ROWS, 4), initializer="glorot_uniform", **NO_AUTOCAST)

    def call(self, inputs):
        return ops.one_hot(inputs, ROWS) @ self.table if self.dense else take_rows(self.table, inputs)


@pytest.fixture(scope="module")
def data():
    random = np.random.default_rng(0)
    ids = random.integers(0, ROWS - 5, (64, 3)).astype("int32")
    return tf.data.Dataset.from_tensor_slices((ids, (ids[:, :1] % 2).astype("float32"))).batch(16)


def make(optimizer, dense=False):
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Input((3,), dtype="int32"), Rows(dense), keras.layers.GlobalAveragePooling1D()]
    model = keras.Sequential([*layers, keras.layers.Dense(1, dtype="float32")])
    model.compile(optimizer, loss="mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)
    return model


def fit(model, data, epochs=1):
    return model.fit(data, epochs=epochs, verbose=0, shuffle=False).history["loss"]


def values(model):
    return [np.array(weight) for weight in model.weights]  # table, kernel, bias


def schedule():
    return keras.optimizers.schedules.ExponentialDecay(0.02, 2, 0.5)


MAKERS = {
    "lazy_adam": lambda: LazyAdam(0.02, global_clipnorm=0.3),
    "lazy_adamw": lambda: LazyAdamW(schedule(), weight_decay=0.1),
    "sparse_ftrl": lambda: SparseFtrl(0.02, clipnorm=0.5),
    "both": lambda: TableOptimizer(RowWiseAdagrad(0.05), keras.optimizers.Adam(schedule()), global_clipnorm=0.3),
    "average": lambda: TableOptimizer("lazy_adamw", keras.optimizers.AdamW(0.01), use_ema=True, ema_momentum=0.5),
}


@pytest.mark.parametrize("case", MAKERS)
def test_a_saved_model_trains_on_as_if_it_had_not_been_saved(data, tmp_path, case):
    model = make(MAKERS[case]())
    WeightAverage(model)  # else `fit` would end by putting the average in place
    fit(model, data)
    model.save(str(tmp_path / "model.keras"))
    again = keras.models.load_model(str(tmp_path / "model.keras"))
    WeightAverage(again)
    assert type(again.optimizer) is type(model.optimizer)
    assert again.optimizer.get_config() == model.optimizer.get_config()
    for one, two in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(two))
    assert int(again.optimizer.iterations) == 4
    np.testing.assert_allclose(fit(again, data), fit(model, data), rtol=1e-6)
    for one, two in zip(values(model), values(again), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-7)


def test_checkpoint(data, tmp_path):
    model, other = make(TableOptimizer()), make(TableOptimizer())
    fit(model, data)
    path = tf.train.Checkpoint(model=model, optimizer=model.optimizer).write(str(tmp_path / "checkpoint"))
    tf.train.Checkpoint(model=other, optimizer=other.optimizer).read(path).assert_existing_objects_matched()
    for one, two in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(two))
    np.testing.assert_allclose(fit(other, data), fit(model, data), rtol=1e-6)


def test_weights_of_the_optimizer(data):
    model, other = make(TableOptimizer()), make(TableOptimizer())
    fit(model, data)
    other.optimizer.set_weights([np.array(v) for v in model.optimizer.variables])
    assert int(other.optimizer.tables.iterations) == 4
    for one, two in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(two))


def test_equal_parts_equal_the_whole(data):
    """Tables and network by an optimiser each, of one kind: as one optimiser for both."""
    one = make(LazyAdamW(0.02, weight_decay=0.1, global_clipnorm=0.1))
    parts = (LazyAdamW(0.02, weight_decay=0.1), LazyAdamW(0.02, weight_decay=0.1))
    two = make(TableOptimizer(*parts, global_clipnorm=0.1))
    np.testing.assert_allclose(fit(two, data, 2), fit(one, data, 2), rtol=1e-6)
    for a, b in zip(values(one), values(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_each_group_has_its_own_rate(data):
    model = make(TableOptimizer(LazyAdam(0.0), "sgd"))
    before = values(model)
    fit(model, data)
    assert [(a != b).any() for a, b in zip(before, values(model), strict=True)] == [False, True, True]
    model.optimizer.learning_rate = 0.0
    assert float(model.optimizer.network.learning_rate) == 0.0
    before = values(model)
    fit(model, data)
    assert [(a != b).any() for a, b in zip(before, values(model), strict=True)] == [False] * 3


def test_lazy_adam_is_adam_where_every_row_is_read_in_every_step(data):
    same = data.take(1).repeat(5)
    one, two = make(LazyAdam(0.02)), make(keras.optimizers.Adam(0.02), dense=True)
    np.testing.assert_allclose(fit(one, same), fit(two, same), rtol=1e-5)
    for a, b in zip(values(one), values(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("maker", [lambda: LazyAdam(0.01), lambda: TableOptimizer("lazy_adam", "adam")])
def test_loss_scale(data, tmp_path, float16, maker):
    model = make(optimizers.RowLossScaleOptimizer(maker()))
    losses = fit(model, data, 8)
    model.save(str(tmp_path / "model.keras"))
    again = keras.models.load_model(str(tmp_path / "model.keras"))
    assert losses[-1] < losses[0]
    for one, two in zip(model.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(two))


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_ranker(request, tmp_path, policy):
    if policy == "mixed_float16":
        request.getfixturevalue("float16")
    keras.utils.set_random_seed(0)
    config = {"num_layers": 1, "information_flow": "sole", "interaction": "dot"}
    ranker = Ranker(learned_schema(), backbone_config=config, embedding={"dim": 8}, tower_units=(8,))
    ranker.compile(TableOptimizer("lazy_adam", keras.optimizers.Adam(0.01)), jit_compile=False)
    assert isinstance(ranker.optimizer, keras.mixed_precision.LossScaleOptimizer) == (policy == "mixed_float16")
    encode, raw = ranker.preprocessor, raw_batch(64, 3)
    batches = tf.data.Dataset.from_tensor_slices(raw).batch(16).map(lambda b: (encode(b), encode.labels(b)))
    losses = fit(ranker, batches, 5)
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    ranker.save(str(tmp_path / "model.keras"))
    again = Ranker.from_file(tmp_path / "model.keras")
    for one, two in zip(ranker.optimizer.variables, again.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.array(one), np.array(two))
    again.compile("lazy_adam")
    assert type(getattr(again.optimizer, "inner_optimizer", again.optimizer)) is LazyAdam


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lazy_adam", LazyAdam),
        ("lazy_adamw", LazyAdamW),
        ("row_wise_adagrad", RowWiseAdagrad),
        ("sparse_adagrad", SparseAdagrad),
        ("sparse_ftrl", SparseFtrl),
        ("adam", keras.optimizers.Adam),
    ],
)
def test_by_name_in_a_configuration(tmp_path, name, kind):
    (tmp_path / "config.yaml").write_text("dataset: {name: synthetic_clicks}")
    settings = [f"training.optimizer={name}", "training.clip_norm=2", "training.weight_decay=0.01"]
    optimizer = build_optimizer(load_config(tmp_path / "config.yaml", settings).training, 10)
    assert type(optimizer) is kind
    assert (optimizer.global_clipnorm, optimizer.weight_decay) == (2, 0.01)


def test_without_a_name(tmp_path):
    (tmp_path / "config.yaml").write_text("dataset: {name: synthetic_clicks}")
    ranker = Ranker(learned_schema(), backbone_config={"num_layers": 1}, embedding={"dim": 8}, tower_units=(8,))
    ranker.compile()
    made = build_optimizer(load_config(tmp_path / "config.yaml").training, 10)
    assert type(ranker.optimizer) is type(made) is type(optimizers.get(beta_1=0.5)) is LazyAdam


def test_names():
    assert optimizers.names() == ["lazy_adam", "lazy_adamw", "row_wise_adagrad", "sparse_adagrad", "sparse_ftrl"]
    with pytest.raises(ValueError, match=r"one of Keras or one of lazy_adam.*Received: 'adamant'"):
        optimizers.get("adamant")
    with pytest.raises(ValueError, match=r"by name takes arguments. Received: \['beta_1'\]"):
        optimizers.get(LazyAdam(), beta_1=0.5)


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match=r"`clipnorm` belongs to the TableOptimizer, not to its `network`.*clipnorm=1"):
        TableOptimizer(network=keras.optimizers.Adam(clipnorm=1.0))
    with pytest.raises(ValueError, match="must be two optimizers"):
        TableOptimizer(*[LazyAdam()] * 2)
    built = LazyAdam()
    built.build([tf.Variable([1.0])])
    with pytest.raises(ValueError, match="`tables` must be a new optimizer"):
        TableOptimizer(built)
    with pytest.raises(ValueError, match=r"`pattern` must find the embedding tables.*pattern='nothing'"):
        TableOptimizer(pattern="nothing").build([tf.Variable([1.0], name="kernel")])
