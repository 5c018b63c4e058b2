from functools import cache

import numpy as np
import pytest
import tensorflow as tf

from tests.small_log import learned_schema, raw_batch
from tf_interformer import backbones
from tf_interformer._keras import LEGACY, keras
from tf_interformer.callbacks import RankingMetrics
from tf_interformer.evaluation import evaluate, metrics_of, predict
from tf_interformer.metrics import auc, gauc, mrr, ndcg
from tf_interformer.preprocessing import Preprocessor
from tf_interformer.ranker import Ranker
from tf_interformer.schema import Categorical, FeatureSchema, Label, SchemaError

# The ranker is on trial here, not its backbone: a small one keeps the tests quick.
SMALL = {
    "backbone_config": {"num_layers": 1, "information_flow": "sole", "interaction": "dot"},
    "embedding": {"dim": 8},
    "tower_units": (8,),
}
TASKS = ("click", "buy")


def make(tasks=TASKS, **kwargs):
    keras.utils.set_random_seed(1)
    return Ranker(learned_schema(tasks), **(SMALL | kwargs))


def dataset(ranker, count=64, batch_size=16, seed=3):
    return encoded_log(ranker.schema.tasks, count, seed).batch(batch_size)


@cache
def encoded_log(tasks, count, seed):
    raw = raw_batch(count, seed, tasks)
    encoded, labels = Preprocessor(learned_schema(tasks)).training_batch(raw)
    return tf.data.Dataset.from_tensor_slices((encoded, labels, {"group": raw["user"]}))


def without_group(data):
    return data.map(lambda encoded, labels, _: (encoded, labels))


def test_keras_own_export_takes_encoded_batches(tmp_path):
    """Ids are integers there, too, and any number of rows fits."""
    ranker = Ranker(learned_schema(), "fm", embedding={"dim": 4})
    ranker.compile(jit_compile=True)
    batch, _ = ranker.preprocessor.training_batch(raw_batch(8))
    expected = ranker(batch)["click"]
    ranker.export(tmp_path / "model", **({} if LEGACY else {"verbose": False}))
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    served = loaded.serve(batch)["click"]
    np.testing.assert_allclose(served, expected, atol=1e-6)


def test_weights_exist_from_the_start_and_scores_start_at_the_base_rate():
    ranker = make()
    assert ranker.count_params() > 0
    scores = ranker.score(raw_batch())
    for label in ranker.schema.labels:
        assert scores[label.name].shape == (32,)
        assert scores[label.name].mean() == pytest.approx(label.mean, abs=0.15)


def test_a_rare_label_starts_rare():
    schema = FeatureSchema(
        features=[Categorical("a", vocabulary=["x"]), Categorical("b", hash_buckets=3)], labels=[Label("y", mean=0.001)]
    )
    keras.utils.set_random_seed(1)
    scores = Ranker(schema, **SMALL).score({name: np.array(["x", "?"], object) for name in "ab"})["y"]
    assert (scores < 0.05).all()


@pytest.mark.parametrize("jit", [False, True])
def test_fit_learns_and_reaches_every_weight(jit):
    ranker = make()
    before = [np.array(w) for w in ranker.trainable_weights]
    data = without_group(dataset(ranker))
    ranker.compile(keras.optimizers.Adam(5e-3), jit_compile=jit)
    history = ranker.fit(data, epochs=12, verbose=0, shuffle=False).history["loss"]
    assert history[-1] < 0.8 * history[0]
    for old, weight in zip(before, ranker.trainable_weights, strict=True):
        assert not np.array_equal(old, np.array(weight)), weight.name


def test_the_first_step_is_traced_once(monkeypatch):
    traced = []
    step = Ranker.train_step
    monkeypatch.setattr(Ranker, "train_step", lambda self, *data: (traced.append(1), step(self, *data))[1])
    ranker = make()
    ranker.compile("adam", jit_compile=False)
    ranker.fit(without_group(dataset(ranker)), verbose=0, shuffle=False)
    assert traced == [1]


def test_loss_weights_come_from_the_schema():
    schema = learned_schema(TASKS)
    labels = (schema.labels[0], schema.labels[1].model_copy(update={"weight": 0.0}))
    keras.utils.set_random_seed(1)
    ranker = Ranker(schema.model_copy(update={"labels": labels}), **SMALL)
    ranker.compile(keras.optimizers.SGD(0.1), jit_compile=False)
    before = [np.array(w) for w in ranker.tower_buy.trainable_weights]
    ranker.fit(without_group(dataset(ranker)), epochs=1, verbose=0, shuffle=False)
    for old, weight in zip(before, ranker.tower_buy.trainable_weights, strict=True):
        np.testing.assert_array_equal(old, np.array(weight))


def test_keras_file_round_trip_with_optimizer(tmp_path):
    ranker = make()
    ranker.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    data = without_group(dataset(ranker))
    ranker.fit(data, epochs=1, verbose=0, shuffle=False)
    ranker.save(tmp_path / "ranker.keras")
    again = Ranker.from_file(tmp_path / "ranker.keras")
    raw = raw_batch(seed=9)
    for task in TASKS:
        np.testing.assert_array_equal(ranker.score(raw)[task], again.score(raw)[task])
    # the optimiser's moments came along: the next epoch is the same
    ranker.fit(data, epochs=1, verbose=0, shuffle=False)
    again.fit(data, epochs=1, verbose=0, shuffle=False)
    for task in TASKS:
        np.testing.assert_allclose(ranker.score(raw)[task], again.score(raw)[task], rtol=1e-5)


def test_from_file_refuses_another_model(tmp_path):
    other = keras.Sequential([keras.layers.Dense(1)])
    other.build((None, 2))
    other.save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match=r"other.keras must hold a Ranker. Received: Sequential"):
        Ranker.from_file(tmp_path / "other.keras")


def test_config_round_trip():
    ranker = make(tower_dropout=0.1)
    again = Ranker.from_config(ranker.get_config())
    assert again.get_config() == ranker.get_config()
    assert [tuple(w.shape) for w in again.weights] == [tuple(w.shape) for w in ranker.weights]


def test_towers_that_read_the_numbers(tmp_path):
    ranker = make(tower_numbers=True)
    numbers = len(ranker.schema.numerics)
    narrow, broad = (r.tower_click.trainable_weights[0].shape[0] for r in (make(), ranker))
    assert broad == narrow + numbers > narrow
    raw = raw_batch(seed=9)
    logits, representations = ranker.served.outputs(raw)
    encoded = ranker.preprocessor(raw, serving=True)
    read = np.stack([np.asarray(encoded[f.name]) for f in ranker.schema.numerics], axis=1)
    assert ranker.schema.numerics and representations["click"].shape[1] == narrow  # what the backbone returns, no more
    taken = np.concatenate([np.asarray(representations["click"]), read], axis=1)
    np.testing.assert_allclose(np.asarray(logits["click"]), np.asarray(ranker.tower_click(taken)), rtol=1e-5, atol=1e-6)
    ranker.save(tmp_path / "ranker.keras")
    np.testing.assert_array_equal(
        ranker.score(raw)["buy"], Ranker.from_file(tmp_path / "ranker.keras").score(raw)["buy"]
    )
    without = FeatureSchema(features=[Categorical("a", vocabulary=["x"])], labels=[Label("y", mean=0.1)])
    with pytest.raises(ValueError, match="`tower_numbers` needs numeric features"):
        Ranker(without, **SMALL, tower_numbers=True)


@pytest.mark.parametrize("jit_compile", [True, False])
def test_linear_terms(tmp_path, jit_compile):
    ranker = make(linear_terms=10.0)
    before = [np.array(w) for w in ranker.trainable_weights]
    assert len(before) >= len(make().trainable_weights) + 5  # weights of ids, two maps for each of two tasks
    ranker.compile("adam", jit_compile=jit_compile)
    ranker.fit(without_group(dataset(ranker)), epochs=2, verbose=0, shuffle=False)
    for old, weight in zip(before, ranker.trainable_weights, strict=True):
        assert not np.array_equal(old, np.array(weight)), weight.name

    # Term by term: what is left are the towers alone.
    raw = raw_batch(seed=9)
    encoded = ranker.preprocessor(raw)
    embedder = ranker.linear_embedder
    assert not any(column.startswith(("viewed", "bought")) for column in embedder.columns)
    terms = np.asarray(embedder(encoded)["features"])[:, :, 0]
    x = np.stack([np.asarray(encoded[f.name]) for f in ranker.schema.numerics], axis=1)
    item = embedder.feature_names.index("item")
    np.testing.assert_allclose(terms[:, item], embedder.rows_of("item")[np.asarray(encoded["item"]), 0], rtol=1e-6)
    found = ranker(encoded)
    representations = ranker.served.outputs(raw)[1]
    for task, tower in ranker.towers.items():
        ids, numbers = (np.asarray(part.kernel) for part in ranker.linear_maps[task].values())
        expected = 10.0 * (terms @ ids + x @ numbers)
        assert np.abs(expected).max() > 0.01
        alone = np.asarray(tower(representations[task]))
        np.testing.assert_allclose(np.asarray(found[task]), alone + expected, rtol=1e-4, atol=1e-5)

    ranker.save(tmp_path / "ranker.keras")
    again = Ranker.from_file(tmp_path / "ranker.keras")
    np.testing.assert_array_equal(ranker.score(raw)["buy"], again.score(raw)["buy"])
    with pytest.raises(ValueError, match="`linear_terms`"):
        make(linear_terms=-1.0)


def test_linear_terms_without_numbers():
    features = [Categorical("a", vocabulary=["x", "y"]), Categorical("b", hash_buckets=3)]
    schema = FeatureSchema(features=features, labels=[Label("y", mean=0.1)])
    ranker = Ranker(schema, **SMALL, linear_terms=2.0)
    assert all(layer.built for layer in ranker.linear_maps["y"].values())
    raw = {"a": np.array(["x", "y"], object), "b": np.array(["?", "!"], object)}
    encoded = ranker.preprocessor(raw)
    random = np.random.default_rng(0)
    ranker.linear_embedder.set_weights([random.normal(size=w.shape) for w in ranker.linear_embedder.weights])
    terms = np.asarray(ranker.linear_embedder(encoded)["features"])[:, :, 0].sum(axis=1, keepdims=True)
    alone = np.asarray(ranker.towers["y"](ranker.served.outputs(raw)[1]["y"]))
    np.testing.assert_allclose(np.asarray(ranker(encoded)["y"]), alone + 2.0 * terms, rtol=1e-4, atol=1e-5)


def test_the_choice_of_xla_is_saved(tmp_path):
    for choice in (True, False):
        ranker = make()
        ranker.compile("adam", jit_compile=choice)
        ranker.save(tmp_path / "ranker.keras")
        assert (Ranker.from_file(tmp_path / "ranker.keras")._compiled_network is not None) == choice


def test_auto_compiles_where_xla_is_known_to_be_faster(monkeypatch):
    with_attention = {"num_layers": 1, "interaction": "dot", "num_heads": 2}

    def compiled(gpus, **backbone):
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: gpus)
        ranker = make(backbone_config=backbone)
        ranker.compile_network("auto")
        return ranker._compiled_network is not None

    assert not compiled([], **with_attention)
    assert compiled(["/gpu:0"], **with_attention)
    assert compiled([], **with_attention, information_flow="sole")
    assert compiled([], **with_attention, attention=False)


def test_predict_scores_every_example_once_in_order():
    ranker = make()
    data = dataset(ranker, count=50)  # 16 + 16 + 16 + 2
    predictions = predict(ranker, data)
    expected = ranker.score(raw_batch(50, 3, TASKS))
    for task in TASKS:
        np.testing.assert_allclose(predictions.probabilities(task), expected[task], rtol=1e-5)
        np.testing.assert_array_equal(predictions.labels[task], raw_batch(50, 3, TASKS)[task])
    np.testing.assert_array_equal(predictions.others["group"], raw_batch(50, 3, TASKS)["user"])
    with pytest.raises(ValueError, match="holds no batch"):
        predict(ranker, [])


def test_evaluate_is_exact_over_the_split():
    ranker = make()
    metrics = evaluate(ranker, dataset(ranker, count=50))
    raw = raw_batch(50, 3, TASKS)
    for task in TASKS:
        assert metrics[task]["auc"] == pytest.approx(auc(raw[task], ranker.score(raw)[task]), abs=1e-9)
        assert metrics[task]["examples"] == 50
        assert 0 <= metrics[task]["gauc"] <= 1


def test_entropy_is_normalised_by_the_base_rate_of_training():
    ranker = make()
    data = dataset(ranker, count=50)
    predictions = predict(ranker, data)
    found = metrics_of(ranker, predictions)
    for label in ranker.schema.labels:
        rate = label.mean
        assert rate != pytest.approx(predictions.labels[label.name].mean(), abs=0.01)
        entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
        assert found[label.name]["ne"] == pytest.approx(found[label.name]["log_loss"] / entropy)


def test_metrics_by_list_need_the_lists():
    ranker = make(("click",))
    raw = raw_batch(64, 3, ("click",))
    lists = np.arange(64) // 4
    data = dataset(ranker, batch_size=64).map(lambda x, y, others: (x, y, others | {"request": lists}))
    found, without = evaluate(ranker, data)["click"], evaluate(ranker, dataset(ranker))["click"]
    scores = ranker.score(raw)["click"]
    assert {name: found[name] for name in set(found) - set(without)} == pytest.approx(
        {
            "request_gauc": gauc(raw["click"], scores, lists),
            "mrr": mrr(raw["click"], scores, lists),
            "ndcg_10": ndcg(raw["click"], scores, lists),
        }
    )


def test_callback_puts_metrics_where_early_stopping_sees_them():
    ranker = make(("click",))
    ranker.compile("adam", jit_compile=False)
    data = dataset(ranker)
    stop = keras.callbacks.EarlyStopping("val_auc", mode="max", patience=1)
    history = ranker.fit(
        without_group(data), epochs=2, verbose=0, shuffle=False, callbacks=[RankingMetrics(data), stop]
    ).history
    assert len(history["val_auc"]) == len(history["val_gauc"]) >= 1
    assert history["val_auc"][-1] == pytest.approx(evaluate(ranker, data)["click"]["auc"])


def test_metrics_of_two_tasks_are_told_apart():
    ranker = make()
    ranker.compile("adam", jit_compile=False)
    data = dataset(ranker)
    logs = ranker.fit(without_group(data), epochs=1, verbose=0, shuffle=False, callbacks=[RankingMetrics(data)]).history
    assert {"val_click_auc", "val_buy_auc"} <= set(logs)


def test_backbone_may_be_an_instance_or_a_config():
    backbone = backbones.InterFormer(tasks=TASKS, num_layers=1, num_heads=2)
    ranker = Ranker(learned_schema(TASKS), backbone=backbone, embedding={"dim": 8})
    assert ranker.backbone is backbone
    with pytest.raises(
        ValueError, match=r"tasks must be the schema's labels \('click', 'buy'\). Received: \('other',\)"
    ):
        Ranker(learned_schema(TASKS), backbone=backbones.InterFormer(tasks=("other",)))
    with pytest.raises(ValueError, match="`backbone_config` needs a backbone given by name"):
        Ranker(learned_schema(TASKS), backbone=backbone, backbone_config={"num_layers": 1})


def test_a_raw_batch_is_needed_to_score():
    with pytest.raises(SchemaError, match="a raw batch must hold"):
        make().score({})


def test_unknown_values_and_histories_longer_than_the_model_takes():
    ranker = make()
    raw = raw_batch(4)
    raw["item"] = np.array(["never seen"] * 4, object)
    raw["viewed_item"] = np.array([["item_1"] * 40] * 4, object)
    raw["viewed_tag"] = np.full((4, 40), 100)
    raw["viewed_length"] = np.array([40, 12, 1, 0])
    assert np.isfinite(ranker.score(raw)["click"]).all()


def test_an_uncompiled_ranker_can_be_serialised():
    ranker = Ranker(learned_schema(), **SMALL, dtype="mixed_bfloat16")
    clone = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(ranker))
    assert clone.dtype_policy.name == "mixed_bfloat16"
    assert clone.backbone.dtype_policy.name == "mixed_bfloat16"
