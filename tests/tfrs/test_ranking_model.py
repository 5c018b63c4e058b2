"""A `Ranker` trained as a model of TensorFlow Recommenders."""

import numpy as np
import pytest
import tensorflow as tf

from tests.small_log import learned_schema, raw_batch
from tf_interformer import Ranker, RankingMetrics, optimizers
from tf_interformer._keras import LEGACY, keras
from tf_interformer.export import export_saved_model
from tf_interformer.losses import list_losses
from tf_interformer.metrics import gauc, log_loss, normalized_entropy

if not LEGACY:
    pytest.skip("TensorFlow Recommenders needs TF_USE_LEGACY_KERAS=1", allow_module_level=True)

import tensorflow_recommenders as tfrs

from tf_interformer.tfrs import RankingModel

SMALL = {
    "backbone_config": {"num_layers": 1, "information_flow": "sole", "interaction": "dot"},
    "tower_units": (8,),
}
TASKS = ("click", "buy")


def ranker(labels=("click",), l2=0.0, **kwargs):
    keras.utils.set_random_seed(1)
    return Ranker(learned_schema(labels), **SMALL, embedding={"dim": 8, "l2": l2}, **kwargs)


def model(labels=("click",), l2=0.0, rate=0.0, optimizer=keras.optimizers.SGD, run_eagerly=False, **kwargs):
    """A batch or two are quicker evaluated than traced: `run_eagerly`."""
    made = RankingModel(ranker(labels, l2), **kwargs)
    made.compile(optimizer(rate), jit_compile=False, run_eagerly=run_eagerly)
    return made


def raw(count=40, tasks=("click",), seed=3):
    return raw_batch(count, seed, tasks) | {"sample_weight": np.linspace(0.5, 2.0, count, dtype="float32")}


def encoded(made, count=40, batch=16, weighted=False, tasks=("click",)):
    columns = raw(count, tasks)
    if not weighted:
        del columns["sample_weight"]
    return tf.data.Dataset.from_tensor_slices(columns).batch(batch).map(made.encode)


def losses_of(made, tasks=("click",), count=40):
    """The loss of each example, in float64, by task."""
    columns = raw(count, tasks)
    logits = {task: z.numpy()[:, 0].astype(float) for task, z in made.ranker(made.ranker.preprocessor(columns)).items()}
    return {task: np.logaddexp(0, z) - columns[task] * z for task, z in logits.items()}, logits, columns


def test_the_weight_column_of_the_schema_weighs_examples():
    keras.utils.set_random_seed(1)
    schema = learned_schema().model_copy(update={"weight": "importance"})
    made = RankingModel(Ranker(schema, **SMALL, embedding={"dim": 8}))
    columns = raw_batch(8, 3) | {"importance": np.linspace(0.5, 2.0, 8, dtype="float32")}
    features, _, others = made.encode(columns)
    assert "importance" not in features
    assert others["sample_weight"].numpy()[:, 0].tolist() == columns["importance"].tolist()


def test_keys_stand_beside_the_labels():
    schema = learned_schema().model_copy(update={"request": "shown", "request_dtype": "string"})
    made = RankingModel(Ranker(schema, **SMALL, embedding={"dim": 8}), group_column="user")
    columns = raw_batch(8, 3) | {"shown": np.repeat(["a", "b"], 4)}
    features, _, others = made.encode(columns)
    assert set(others) == {"user", "request"} and "shown" not in features
    assert others["request"].numpy().tolist() == [b"a"] * 4 + [b"b"] * 4


def test_losses_are_means_over_the_epoch_also_with_a_small_last_batch():
    made = model(l2=1e-2)
    data = encoded(made)  # 16 + 16 + 8
    expected = losses_of(made)[0]["click"].mean()
    history = made.fit(data, validation_data=data, verbose=0).history
    assert history["loss"][0] == pytest.approx(expected, rel=1e-5) == history["val_loss"][0]
    penalties = []
    for features, _, _ in data:
        made.ranker(features)
        penalties.append(float(sum(made.ranker.losses)) * len(features["item"]))
    assert history["regularization_loss"][0] == pytest.approx(sum(penalties) / 40, rel=1e-5)
    assert history["total_loss"][0] == pytest.approx(expected + sum(penalties) / 40, rel=1e-5)


@pytest.mark.parametrize("clipping", [None, {}, {"clipnorm": 0.02}])
def test_trains_as_the_ranker_itself_does(clipping):
    def optimizer():
        return None if clipping is None else keras.optimizers.Adam(1e-2, **clipping)

    alone, wrapped = ranker(TASKS, l2=1e-3), RankingModel(ranker(TASKS, l2=1e-3))
    data = encoded(wrapped, 48, tasks=TASKS)
    for made in (wrapped, alone):
        made.compile(optimizer(), jit_compile=clipping is None)
    assert type(wrapped.optimizer) is (optimizers.LazyAdam if clipping is None else keras.optimizers.Adam)
    total = wrapped.fit(data, epochs=2, verbose=0, shuffle=False).history["total_loss"]
    expected = alone.fit(data.map(lambda x, y, _: (x, y)), epochs=2, verbose=0, shuffle=False).history["loss"]
    np.testing.assert_allclose(total, expected, rtol=1e-5)
    for one, two in zip(alone.get_weights(), wrapped.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_every_form_of_a_batch_is_the_same():
    made = model(metrics=["gauc", "ne"], run_eagerly=True)
    columns = raw()
    features, labels = made.ranker.preprocessor(columns), made.ranker.preprocessor.labels(columns)
    extras = {"sample_weight": columns["sample_weight"], "group": columns["user"]}
    forms = [
        made.encode(columns),
        features | labels | extras,
        (features | extras, columns["click"]),
        (features | {"group": columns["user"]}, labels, columns["sample_weight"][:, None]),
        (features, labels, {"sample_weight": {"click": columns["sample_weight"]}, "group": columns["user"]}),
    ]
    results = [made.evaluate(tf.data.Dataset.from_tensors(form), verbose=0, return_dict=True) for form in forms]
    losses, logits, _ = losses_of(made)
    assert results[0]["loss"] == pytest.approx((losses["click"] * columns["sample_weight"]).mean(), rel=1e-5)
    assert results[0]["gauc"] == pytest.approx(gauc(columns["click"], logits["click"], columns["user"]))
    for result in results[1:]:
        assert result == pytest.approx(results[0], rel=1e-6)
    assert made.evaluate(features | labels | extras, verbose=0) == pytest.approx(list(results[0].values()))


def test_tasks_have_weights_and_losses_of_their_own():
    made = model(TASKS, weights={"buy": 0.25}, metrics=[], run_eagerly=True)
    losses, _, _ = losses_of(made, TASKS)
    logs = made.evaluate(encoded(made, tasks=TASKS), verbose=0, return_dict=True)
    means = {task: values.mean() for task, values in losses.items()}
    assert {task: logs[f"{task}_loss"] for task in TASKS} == pytest.approx(means, rel=1e-5)
    assert logs["loss"] == pytest.approx(means["click"] + 0.25 * means["buy"], rel=1e-5)


def test_a_sample_weight_per_task():
    made = model(TASKS, metrics=[], run_eagerly=True)
    losses, _, columns = losses_of(made, TASKS)
    weights = {"click": np.ones(40, "float32"), "buy": columns["click"]}  # buys count among clicks only
    features, labels, _ = made.encode(columns)
    logs = made.evaluate(
        tf.data.Dataset.from_tensors((features, labels, {"sample_weight": weights})), verbose=0, return_dict=True
    )
    assert logs["buy_loss"] == pytest.approx((losses["buy"] * columns["click"]).mean(), rel=1e-5)


def test_the_loss_within_lists_goes_by_the_groups():
    plain, made = (RankingModel(ranker(list_loss=factor)) for factor in (0.0, 0.5))
    plain.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    made.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    binary, logits, columns = losses_of(made)
    within = list_losses(columns["click"], logits["click"], columns["user"])
    weight = columns["sample_weight"]
    expected = np.mean(weight * (binary["click"] + 0.5 * np.asarray(within)))
    data = encoded(made, batch=40, weighted=True)
    assert made.fit(data, verbose=0).history["loss"][0] == pytest.approx(expected, rel=1e-5)
    assert plain.fit(data, verbose=0).history["loss"][0] < expected - 0.01
    with pytest.raises(ValueError, match="list_loss needs the batch's groups under 'group'"):
        made.fit(data.map(lambda x, y, others: (x, y)), verbose=0)


def test_metrics_are_of_the_whole_evaluation():
    made = model(TASKS, metrics=["auc", "ne", "calibration", "gauc", "gauc_click_weighted"])
    data = encoded(made, tasks=TASKS)
    losses, logits, columns = losses_of(made, TASKS)
    for _ in range(2):  # the second evaluation knows nothing of the first
        logs = made.evaluate(data, verbose=0, return_dict=True)
        for label in made.schema.labels:
            task, z = label.name, logits[label.name]
            assert logs[f"{task}_gauc"] == pytest.approx(gauc(columns[task], z, columns["user"]))
            clicks = gauc(columns[task], z, columns["user"], weighting="clicks")
            assert logs[f"{task}_gauc_click_weighted"] == pytest.approx(clicks)
            expected = normalized_entropy(columns[task], z, base_rate=label.mean, from_logits=True)
            assert logs[f"{task}_ne"] == pytest.approx(expected, rel=1e-5)
            assert losses[task].mean() == pytest.approx(log_loss(columns[task], z, from_logits=True))
    history = made.fit(data, validation_data=data, verbose=0).history
    assert history["val_click_gauc"][0] == pytest.approx(logs["click_gauc"])
    assert not {"click_auc", "click_ne", "click_gauc"} & set(history)  # none on training batches


def test_an_evaluation_corrects_for_dropped_negatives():
    schema = learned_schema()
    label = schema.labels[0].model_copy(update={"negative_rate": 0.1, "mean": 0.1})
    keras.utils.set_random_seed(1)
    own = Ranker(schema.model_copy(update={"labels": (label,)}), **SMALL, embedding={"dim": 8})
    made = RankingModel(own, metrics=["ne", "calibration", "auc", "gauc"], training_metrics=True)
    made.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    columns = raw()
    learned = own(own.preprocessor(columns))["click"].numpy()[:, 0].astype(float)
    logits, clicked = learned + np.log(0.1), columns["click"]
    losses = [(np.logaddexp(0, z) - clicked * z).mean() for z in (learned, logits)]
    thinned = 0.1 / (0.1 + 0.9 * 0.1)  # the rate of clicks in the training split
    entropy, of_training = (-(rate * np.log(rate) + (1 - rate) * np.log(1 - rate)) for rate in (0.1, thinned))
    history = made.fit(encoded(made), validation_data=encoded(made), verbose=0).history
    assert history["val_ne"][0] == pytest.approx(losses[1] / entropy, rel=1e-5)
    assert history["ne"][0] == pytest.approx(losses[0] / of_training, rel=1e-5)
    assert history["val_calibration"][0] == pytest.approx((1 / (1 + np.exp(-logits))).sum() / clicked.sum(), rel=1e-5)
    assert (history["loss"][0], history["val_loss"][0]) == pytest.approx(losses, rel=1e-5)


def test_metrics_of_training_batches_where_asked():
    made = model(training_metrics=True)
    history = made.fit(encoded(made), verbose=0).history
    _, logits, columns = losses_of(made)
    rate = made.schema.labels[0].mean
    expected = normalized_entropy(columns["click"], logits["click"], base_rate=rate, from_logits=True)
    assert history["ne"][0] == pytest.approx(expected, rel=1e-5) and "auc" in history


def test_string_groups_and_monitoring_callbacks():
    made = model(rate=1e-2, metrics=["gauc"])
    data = encoded(made).map(lambda x, y, others: (x, y, {"group": tf.strings.as_string(others["group"])}))
    stop = keras.callbacks.EarlyStopping("val_gauc", mode="max", patience=1)
    history = made.fit(
        data, validation_data=data, epochs=2, verbose=0, callbacks=[RankingMetrics(data, prefix="exact_"), stop]
    ).history
    np.testing.assert_allclose(history["val_gauc"], history["exact_gauc"])
    assert stop.best == pytest.approx(max(history["val_gauc"]))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision(policy):
    made = RankingModel(ranker(dtype=policy))
    made.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    scaled = isinstance(made.optimizer, keras.mixed_precision.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    data = encoded(made)
    history = made.fit(data, epochs=8, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert all(z.dtype == tf.float32 for z in made(next(iter(data))[0]).values())
    assert {w.dtype for w in made.trainable_weights} == {tf.float32}


def test_float16_gradients_are_scaled_and_unscaled():
    rules = {"optimizer": keras.optimizers.SGD, "rate": 0.5}
    single = model(**rules)
    half = RankingModel(ranker(dtype="mixed_float16"))
    half.compile(keras.mixed_precision.LossScaleOptimizer(keras.optimizers.SGD(0.5), dynamic=False, initial_scale=1024))
    before = single.get_weights()
    for made in (single, half):
        made.fit(encoded(made, 16), verbose=0)
    steps = [
        np.concatenate([np.ravel(w - b) for w, b in zip(m.get_weights(), before, strict=True)]) for m in (single, half)
    ]
    assert np.linalg.norm(steps[1] - steps[0]) < 0.02 * np.linalg.norm(steps[0])


def test_tasks_of_ones_own():
    squared = keras.losses.MeanSquaredError(reduction="none")
    task = tfrs.tasks.Ranking(loss=squared, metrics=[keras.metrics.RootMeanSquaredError(name="rmse")])
    made = model(tasks={"click": task}, rate=1e-2, run_eagerly=True)
    logs = made.evaluate(encoded(made), verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(logs["rmse"] ** 2, rel=1e-5)
    with pytest.raises(NotImplementedError, match="save its `ranker`"):
        made.get_config()


def test_weights_are_the_rankers_alone():
    made = model(metrics=["auc", "gauc"], run_eagerly=True)
    made.fit(encoded(made), validation_data=encoded(made), verbose=0)
    assert [id(w) for w in made.weights] == [id(w) for w in made.ranker.weights]


def test_saved_and_exported(tmp_path):
    made = model(optimizer=keras.optimizers.Adam, rate=1e-2, metrics=["ne", "gauc"], weights={"click": 2.0})
    data = encoded(made)
    made.fit(data, verbose=0, shuffle=False)
    made.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_config() == made.get_config()
    kept = made.evaluate(data, verbose=0, return_dict=True)
    assert again.evaluate(data, verbose=0, return_dict=True) == pytest.approx(kept)
    for one in (made, again):  # the optimiser's moments came along
        one.fit(data, verbose=0, shuffle=False)
    np.testing.assert_allclose(again.get_weights()[0], made.get_weights()[0], atol=1e-6)
    folder = export_saved_model(made.ranker, tmp_path / "export")
    signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
    columns = {name: tf.constant(value) for name, value in raw().items()}
    asked = {name: tf.cast(columns[name], spec.dtype) for name, spec in made.schema.signature().items()}
    expected = made.ranker.score(raw())["click"]
    np.testing.assert_allclose(signature(**asked)["probability"].numpy()[:, 0], expected, rtol=1e-5)


def test_errors():
    with pytest.raises(ValueError, match=r"`metrics` must be a list of auc, .* Received: metrics=\['ndcg'\]"):
        RankingModel(ranker(), metrics=["ndcg"])
    with pytest.raises(ValueError, match=r"`weights` must go by the labels \['click'\]. Received: \['buy'\]"):
        RankingModel(ranker(), weights={"buy": 1.0})
    with pytest.raises(ValueError, match=r"`tasks` must go by the labels .* Received: \['click'\]"):
        RankingModel(ranker(TASKS), tasks={"click": tfrs.tasks.Ranking()})
    same = {task: tfrs.tasks.Ranking(metrics=[keras.metrics.AUC(name="auc")]) for task in TASKS}
    with pytest.raises(ValueError, match=r"different names. Received: \['auc', 'auc'\]"):
        RankingModel(ranker(TASKS), tasks=same)
    with pytest.raises(ValueError, match=r"not of compile. Received: \['loss'\]"):
        RankingModel(ranker()).compile(loss="mse")
    reduced = model(tasks={"click": tfrs.tasks.Ranking()})
    columns = raw()
    with pytest.raises(ValueError, match="give it `reduction='none'`"):
        reduced.compute_loss(reduced.encode(columns))
    made = model(TASKS, metrics=["gauc"])
    features = made.ranker.preprocessor(columns)
    with pytest.raises(ValueError, match=r"lacks the labels \['click', 'buy'\]"):
        made.compute_loss(features)
    with pytest.raises(ValueError, match=r"several tasks .* must be a dict. Received: ndarray"):
        made.compute_loss((features, columns["click"]))
    with pytest.raises(ValueError, match=r"A batch must be .* Received: a tuple of 4"):
        made.compute_loss((features, 1, 2, 3))
    with pytest.raises(ValueError, match=r"The features of a batch must be a dict. Received: ndarray"):
        made.compute_loss(np.zeros(3))
    with pytest.raises(ValueError, match=r"gauc needs the batch's groups under 'group'"):
        made.compute_loss((features, dict.fromkeys(TASKS, columns["click"])))


def learn(replicas):
    keras.utils.set_random_seed(0)
    with tf.distribute.MirroredStrategy([f"/cpu:{i}" for i in range(replicas)]).scope():
        config = {"num_layers": 1, "information_flow": "sole", "interaction": "dot"}
        embedding = {"dim": 8, "l2": 1e-2}
        ranker = Ranker(learned_schema(), backbone_config=config, embedding=embedding, tower_units=(8,))
        model = RankingModel(ranker, metrics=["ne", "gauc"])
        model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    raw = tf.data.Dataset.from_tensor_slices(raw_batch(40, 3))
    # 16 + 16 + 7 + 1: shares of different size, and a replica without any example
    data = raw.take(39).batch(16).concatenate(raw.skip(39).batch(16)).map(model.encode)
    history = model.fit(data, validation_data=data, epochs=2, verbose=0, shuffle=False).history
    return history, [np.asarray(w) for w in model.get_weights()]


def test_two_replicas_equal_one(two_cpus):
    (history, weights), (history2, weights2) = two_cpus(learn, 1), two_cpus(learn, 2)
    assert sorted(history) == sorted(history2) and {"val_gauc", "regularization_loss"} <= set(history)
    for name in history:
        np.testing.assert_allclose(history2[name], history[name], rtol=1e-5, err_msg=name)
    for one, two in zip(weights, weights2, strict=True):
        np.testing.assert_allclose(two, one, atol=1e-4)  # Adam makes much of a small gradient's sign


def test_logs_go_by_the_names_of_tasks_that_tensorflow_takes_for_none():
    tasks = ("2 größe", "a/b")
    made = model(tasks, metrics=["auc", "ne"], training_metrics=True)
    logs = made.fit(encoded(made, tasks=tasks), verbose=0).history
    assert {f"{task}_{name}" for task in tasks for name in ("loss", "auc", "ne")} < set(logs)
