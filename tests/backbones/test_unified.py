"""The models that take events and features for tokens of one kind: the contract, the equations, in a Ranker."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.case import LENGTHS, batch, check_backbone, with_garbage
from tests.layer_case import (
    assert_close,
    assert_every_weight_learns,
    assert_graph_and_xla,
    assert_saves,
    gradients,
    scramble,
    tensors,
)
from tests.reference import unified as reference
from tests.reference.weights import weights_of
from tests.small_log import learned_schema, raw_batch
from tf_interformer import FeatureSchema, Ranker, backbones, layers
from tf_interformer._keras import keras

# Model and arguments; the first variant of each model has its name.
VARIANTS = {
    "onetrans": (
        "onetrans",
        {"num_layers": 3, "num_tokens": 3, "num_heads": 2, "pyramid": [6, 2], "max_positions": 3, "ffn_dim": 5},
    ),
    "onetrans_groups": (
        "onetrans",
        {"num_layers": 2, "num_tokens": 3, "dim": 6, "num_heads": 2, "tokenizer": "groups", "own_weights": False},
    ),
    "longer": (
        "longer",
        {"num_layers": 3, "num_merged_events": 3, "num_recent_tokens": 2, "num_heads": 2, "max_positions": 3},
    ),
    "longer_inner": (
        "longer",
        {"num_layers": 2, "num_merged_events": 2, "num_recent_tokens": 4, "num_heads": 2, "inner_transformer": True},
    ),
    "longer_unmerged": (
        "longer",
        {"num_layers": 1, "num_merged_events": 1, "num_recent_tokens": 9, "num_heads": 2, "num_cls_tokens": 0},
    ),
}
HYFORMER = {"num_layers": 2, "num_tokens": 4, "dim": 8, "num_heads": 2, "ffn_dim": 5, "max_positions": 3}
VARIANTS |= {
    "hyformer": ("hyformer", {**HYFORMER, "num_queries": 1}),
    "hyformer_recent": ("hyformer", {**HYFORMER, "num_queries": 1, "encoder": "recent", "num_recent_events": 2}),
    "hyformer_swiglu": (
        "hyformer",
        {**HYFORMER, "num_queries": 3, "num_layers": 1, "num_tokens": 8, "encoder": "swiglu"},
    ),
}
KUNLUN = {"num_heads": 2, "num_seeds": 3, "num_products": 2, "rank": 2, "units": [5], "max_positions": 3}
WINDOWS = {"num_full_layers": 1, "windows": [3, 2], "num_heads": 2, "ffn_dim": 5, "max_positions": 3}
VARIANTS |= {
    "kunlun": ("kunlun", {**KUNLUN, "num_layers": 3, "window": 2, "num_summary_tokens": 2, "num_pooled_tokens": 3}),
    "kunlun_even": ("kunlun", {**KUNLUN, "num_layers": 2, "window": 9}),
    "tokenformer": ("tokenformer", {**WINDOWS, "targets": {"a": [3, -1], "b": [3]}}),
    "tokenformer_both_ways": ("tokenformer", {**WINDOWS, "num_full_layers": 2, "windows": [2], "causal": False}),
}
MODELS = sorted(reference.MODELS)
reference.LEAKY = float(-keras.activations.get("leaky_relu")(tf.constant(-1.0, tf.float64)))


def make(name, **kwargs):
    model, config = VARIANTS[name]
    return backbones.get(model, **{**config, **kwargs})


def made(name, inputs, **kwargs):
    layer = make(name, **kwargs)
    layer(tensors(inputs))
    scramble(layer, scale=0.2)
    return layer


def label(layer, inputs):
    return layer(tensors(inputs))["label"]


@pytest.mark.parametrize("name", VARIANTS)
def test_contract(name):
    check_backbone(partial(make, name), batch())


@pytest.mark.parametrize("name", MODELS)
def test_more_padding_and_a_graph_of_any_batch_and_time(name):
    inputs = batch()
    layer = made(name, inputs)
    expected = label(layer, inputs)
    signature = tf.nest.map_structure(lambda x: tf.TensorSpec([None] * min(x.ndim, 2) + list(x.shape[2:])), inputs)
    signature["features"] = tf.TensorSpec((None, *inputs["features"].shape[1:]))
    signature["lengths"] = {key: tf.TensorSpec((None,), tf.int32) for key in inputs["lengths"]}
    graph = tf.function(lambda x: layer(x)["label"], input_signature=[signature], autograph=False)
    assert_close(graph(tensors(inputs)), expected, 1e-5)
    for more in (3, 4):
        longer = {k: np.pad(v, ((0, 0), (0, more), (0, 0))) for k, v in inputs["sequences"].items()}
        longer = with_garbage({**inputs, "sequences": longer}, scale=np.nan)
        assert_close(graph(tensors(longer)), expected, 1e-5, "more padding")


@pytest.mark.parametrize("name", MODELS)
def test_empty_histories_are_finite(name):
    inputs = with_garbage(batch(lengths={key: np.zeros(4, "int32") for key in LENGTHS}), scale=np.nan)
    layer = made(name, inputs)
    assert np.isfinite(label(layer, inputs).numpy()).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients(layer, inputs).values())


@pytest.mark.parametrize("name", ["hyformer", "onetrans", "tokenformer"])
def test_files(name):
    assert_saves(partial(make, name), batch())


def test_xla():
    assert_graph_and_xla(made("onetrans", batch()), batch())


@pytest.mark.parametrize("name", VARIANTS)
def test_equals_the_equations(name):
    model, config = VARIANTS[name]
    inputs = batch(dtype="float64", tokens=4)
    layer = made(name, inputs, dtype="float64")
    outputs = label(layer, inputs).numpy()
    weights = weights_of(layer)
    for i in range(4):
        histories = [inputs["sequences"][key][i, : inputs["lengths"][key][i]].tolist() for key in "ab"]
        expected = reference.MODELS[model](inputs["features"][i].tolist(), histories, weights, config)
        np.testing.assert_allclose(outputs[i], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_one_sequence_alone(name):
    inputs = batch(times=(6,), events=(8,))
    layer = made(name, inputs)
    assert_every_weight_learns(layer, inputs)


@pytest.mark.parametrize("name", MODELS)
def test_without_a_sequence_there_is_nothing_to_read(name):
    with pytest.raises(ValueError, match="Received: no sequences"):
        make(name)({"features": batch()["features"], "sequences": {}, "lengths": {}})


def test_a_global_token_needs_groups():
    with pytest.raises(ValueError, match="Received: tokenizer='joint'"):
        layers.FeatureTokens(tokenizer="joint", global_token=True)


def test_queries_leave_room_for_features():
    with pytest.raises(ValueError, match="num_tokens=4, num_queries=2, 2 sequences"):
        make("hyformer", num_queries=2)(tensors(batch()))


def test_one_feature_is_enough_for_kunlun():
    inputs = batch(tokens=1)
    assert label(make("kunlun"), inputs).shape == (4, (2 + 3) * 8)


def test_the_candidate_must_be_among_the_features():
    with pytest.raises(ValueError, match="indices of the 5 feature tokens"):
        make("tokenformer", targets={"a": [5]})(tensors(batch()))


CANDIDATE = ("item", "tags", "price")
SCHEMA = FeatureSchema.from_config({**learned_schema().get_config(), "candidate": CANDIDATE})


@pytest.mark.parametrize("name", MODELS)
def test_candidates_of_one_user_score_as_rows_do(name):
    config = {key: value for key, value in VARIANTS[name][1].items() if key != "targets"}
    ranker = Ranker(SCHEMA, name, config, embedding={"dim": 8, "stddev": 0.5}, tower_units=(8,))
    raw = {key: value for key, value in raw_batch(6).items() if key != "click"}
    user = {key: value[5:] for key, value in raw.items() if key not in CANDIDATE}
    items = {key: raw[key][:4] for key in CANDIDATE}
    rows = {**{key: np.repeat(value, 4, axis=0) for key, value in user.items()}, **items}
    found = ranker.score_candidates(user, items)["click"]
    assert np.ptp(found) > 1e-4
    np.testing.assert_allclose(found, ranker.score(rows)["click"], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "config", "named"),
    [
        ("onetrans", {"pyramid": [3]}, r"pyramid=\[3\], num_layers=3"),
        ("onetrans", {"tokenizer": "auto"}, "tokenizer"),
        ("onetrans", {"num_tokens": 0}, "num_tokens"),
        ("onetrans", {"max_positions": 0}, "max_positions"),
        ("longer", {"num_merged_events": 0}, "num_merged_events"),
        ("longer", {"num_cls_tokens": -1}, "num_cls_tokens"),
        ("longer", {"dropout": 1.0}, "dropout"),
        ("hyformer", {"dim": 9}, "num_tokens=4, dim=9"),
        ("hyformer", {"encoder": "gru"}, "encoder"),
        ("kunlun", {"window": 0}, "window"),
        ("kunlun", {"num_seeds": 0}, "num_seeds"),
        ("tokenformer", {"windows": 3}, "windows"),
        ("tokenformer", {"targets": {"a": 3}}, "targets"),
    ],
)
def test_a_wrong_argument_is_named(name, config, named):
    with pytest.raises(ValueError, match=named):
        make(name, **config)
