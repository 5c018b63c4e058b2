"""The feature-interaction models: the layer contract, their equations, in a Ranker."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.case import batch, with_garbage
from tests.layer_case import (
    assert_close,
    assert_graph_and_xla,
    assert_saves,
    check_layer,
    functional,
    gradients,
    scramble,
    tensors,
)
from tests.reference import feature_interaction as reference
from tests.reference.weights import weights_of
from tests.small_log import learned_schema, raw_batch
from tf_interformer import Ranker, backbones, layers
from tf_interformer._keras import keras
from tf_interformer.layers import interactions

DEEP = {"deep_units": [6, 5]}
MEMORY = {"codebook_size": 50, "hidden_dim": 16}
# Model and arguments; the first variant of each model has its name.
VARIANTS = {
    "fm": ("fm", {}),
    "fmfm": ("fmfm", {}),
    "afm": ("afm", {"attention_dim": 7}),
    "dlrm": ("dlrm", {}),
    "dlrm_products": ("dlrm", {"keep_tokens": False}),
    "dcn": ("dcn", {"num_layers": 2, **DEEP}),
    "dcn_v2": ("dcn_v2", {"num_layers": 2, **DEEP}),
    "dcn_v2_stacked": ("dcn_v2", {"num_layers": 1, "structure": "stacked", "rank": 3, **DEEP}),
    "dcn_v2_experts": ("dcn_v2", {"num_layers": 2, "rank": 3, "num_experts": 2, **DEEP}),
    "xdeepfm": ("xdeepfm", {"cin_units": [4, 3], **DEEP}),
    "autoint": ("autoint", {"num_layers": 2, "num_heads": 2}),
    "autoint_plus": ("autoint", {"num_layers": 2, "num_heads": 2, "head_dim": 3, **DEEP}),
    "fibinet": ("fibinet", {"matrices": "interaction"}),
    "fibinet_each": ("fibinet", {"matrices": "each", "reduction": 2}),
    "fibinet_all": ("fibinet", {"matrices": "all"}),
    "memonet": ("memonet", MEMORY),
    "memonet_attentive": (
        "memonet",
        {**MEMORY, "restoring": "attentive", "share_codebook": False, "codebook_dim": 3, "fields": [0, 2, 4]},
    ),
    "dhen": ("dhen", {"num_layers": 1, "rank": 4}),
    "wukong": ("wukong", {"num_layers": 2, "rank": 2, "units": [9]}),
    "wukong_fewer": ("wukong", {"num_layers": 2, "rank": 2, "units": [9], "fm_tokens": 1, "linear_tokens": 2}),
    "rankmixer": ("rankmixer", {"num_tokens": 3, "dim": 6, "ffn_dim": 5}),
    "tokenmixer_large": ("rankmixer", {"num_tokens": 4, "dim": 8, "ffn_dim": 5, "block": "tokenmixer_large"}),
    "transformer": ("transformer", {"num_layers": 1, "num_heads": 2, "ffn_dim": 16}),
    "transformer_positions": (
        "transformer",
        {"num_layers": 1, "num_heads": 2, "ffn_dim": 16, "positions": True, "norm": "pre"},
    ),
    "hstu_fields": ("hstu_fields", {"num_layers": 2, "num_heads": 2}),
}
MODELS = sorted(reference.MODELS)
COMPILED = {"dlrm", "fibinet", "memonet", "rankmixer"}


def make(name, **kwargs):
    model, config = VARIANTS[name]
    return backbones.get(model, **{"tasks": ["click", "like"], **config, **kwargs})


def inputs(**kwargs):
    made = batch(**kwargs)
    return {**made, "ids": np.random.default_rng(3).integers(0, 5, made["features"].shape[:2]).astype("int32")}


@pytest.mark.parametrize("name", VARIANTS)
def test_contract(name):
    layer = check_layer(partial(make, name), inputs(), saves=False, xla=False)
    expected = layer(tensors(inputs()))
    assert list(expected) == ["click", "like"]
    assert_graph_and_xla(layer, inputs(), xla=name in COMPILED)
    if name in COMPILED:
        assert_saves(partial(make, name), inputs())
    else:
        model = functional(layer, inputs())
        assert model.outputs[0].shape[0] is None
        assert_close(model(tf.nest.flatten(tensors(inputs()))), expected, 1e-5, "symbolic")


@pytest.mark.parametrize("name", VARIANTS)
def test_equals_the_equations(name):
    model, config = VARIANTS[name]
    layer = make(name, dtype="float64")
    x = inputs(width=4, events=(3, 5), dtype="float64")
    layer(tensors(x))
    scramble(layer, scale=0.2)
    got = layer(tensors(x))["click"].numpy()
    weights = weights_of(layer)
    assert got.shape == (4, layer.compute_output_shape(_shapes(x))["click"][1])
    for i in (0, 1, 3):
        tokens = reference.tokens_of(
            x["features"][i], [x["sequences"][k][i] for k in "ab"], [int(x["lengths"][k][i]) for k in "ab"], weights
        )
        more = {"ids": x["ids"][i]} if model == "memonet" else {}
        expected = reference.MODELS[model](tokens, weights, config, **more)
        np.testing.assert_allclose(got[i], expected, rtol=1e-9, atol=1e-9)


def _shapes(nest):
    return tf.nest.map_structure(lambda x: x.shape, nest)


@pytest.mark.parametrize("name", MODELS)
def test_padding_and_empty_histories(name):
    layer = make(name, sequence_pooling="attention" if name == "fm" else "mean", entry_norm=name == "dcn")
    expected = layer(tensors(inputs()))
    assert_close(layer(tensors(with_garbage(inputs(), scale=np.nan))), expected, 1e-5)
    empty = {**inputs(), "lengths": {"a": np.zeros(4, "int32"), "b": np.zeros(4, "int32")}}
    assert np.isfinite(layer(tensors(with_garbage(empty)))["click"].numpy()).all()
    for weight, gradient in gradients(layer, with_garbage(empty)).items():
        assert np.isfinite(gradient).all(), weight


@pytest.mark.parametrize("name", MODELS)
def test_without_sequences(name):
    few = {**inputs(), "sequences": {}, "lengths": {}}
    layer = make(name)
    assert tuple(layer(tensors(few))["click"].shape) == layer.compute_output_shape(_shapes(few))["click"]


@pytest.fixture(scope="module")
def schema():
    return learned_schema()


@pytest.mark.parametrize("name", MODELS)
def test_in_a_ranker(name, schema):
    ranker = Ranker(schema, name, VARIANTS[name][1], {"dim": 8}, tower_units=(8,))
    assert ranker.backbone.token_names(["item"], ["viewed", "bought"]) == ["item", "bought", "viewed"]
    clicks = ranker.score(raw_batch(4))["click"]
    assert clicks.shape == (4,) and ((clicks > 0) & (clicks < 1)).all()


def test_fits(schema):
    keras.utils.set_random_seed(1)
    ranker = Ranker(schema, "memonet", MEMORY, {"dim": 8}, tower_units=(8,))
    ranker.compile(keras.optimizers.Adam(5e-3), jit_compile=False)
    encoded, labels = ranker.preprocessor(raw_batch(64)), ranker.preprocessor.labels(raw_batch(64))
    before = ranker.backbone.memory.codebook.numpy()
    losses = ranker.fit(encoded, labels, batch_size=32, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert not np.array_equal(ranker.backbone.memory.codebook.numpy(), before)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("autoint", {}),
        ("dcn", {"num_layers": 2}),
        ("expert_cross", {"rank": 3, "num_experts": 2}),
        ("hstu", {"num_heads": 2}),
        ("senet", {}),
        ("transformer", {"num_heads": 2}),
        ("wukong", {"rank": 2}),
    ],
)
def test_as_an_interaction(name, config):
    x = batch(size=2)["features"]
    arch = layers.InteractionArch(name, config)
    assert arch(tf.constant(x)).shape == x.shape
    layer = interactions.get(name, **config)
    assert layer.compute_output_shape(x.shape) == x.shape
    expected = layer(tf.constant(x))
    assert_close(layer([x[:, i] for i in range(5)]), expected, 1e-5)


def test_a_memory_as_an_interaction_of_interformer():
    layer = backbones.get("interformer", num_layers=1, num_heads=2, interaction="memonet", interaction_config=MEMORY)
    assert np.isfinite(layer(tensors(inputs()))["label"].numpy()).all()
    with pytest.raises(ValueError, match="without ids"):
        interactions.get("memonet")(batch()["features"])


@pytest.mark.parametrize(
    ("name", "config", "named"),
    [
        ("fm", {"sequence_pooling": "max"}, "sequence_pooling"),
        ("afm", {"attention_dim": 0}, "attention_dim"),
        ("dcn", {"deep_units": [0]}, "deep_units"),
        ("dcn_v2", {"num_experts": 2}, "num_experts=2"),
        ("dcn_v2", {"rank": 2, "num_experts": 1}, "num_experts"),
        ("dcn_v2", {"structure": "both"}, "structure"),
        ("xdeepfm", {"cin_units": []}, "cin_units"),
        ("autoint", {"num_heads": 0}, "num_heads"),
        ("fibinet", {"matrices": "none"}, "matrices"),
        ("memonet", {"fields": [1]}, "fields"),
        ("memonet", {"restoring": "lmr"}, "restoring"),
        ("memonet", {"num_hashes": 2, "codebook_size": 2**30}, "codebook_size=1073741824"),
        ("wukong", {"fm_tokens": 0}, "fm_tokens"),
        ("rankmixer", {"num_tokens": 5}, "num_tokens=5, dim=64"),
        ("rankmixer", {"block": "large"}, "block"),
        ("transformer", {"norm": None}, "norm"),
        ("hstu_fields", {"dropout": 1.0}, "dropout"),
    ],
)
def test_a_wrong_argument_is_named(name, config, named):
    with pytest.raises(ValueError, match=named):
        backbones.get(name, **config)


def test_what_does_not_fit_the_tokens_is_named():
    one = {"features": np.ones((2, 1, 8), "float32"), "sequences": {}, "lengths": {}}
    with pytest.raises(ValueError, match="at least 2 tokens"):
        backbones.get("fm")(tensors(one))
    with pytest.raises(ValueError, match=r"fields=\[0, 9\]"):
        backbones.get("memonet", fields=[0, 9], codebook_size=9)(tensors(inputs()))
    with pytest.raises(ValueError, match="num_tokens=16"):
        backbones.get("rankmixer", num_tokens=16)(tensors(one))
    with pytest.raises(ValueError, match="fm_tokens=7"):
        backbones.get("wukong", fm_tokens=7)(tensors(inputs()))
    with pytest.raises(ValueError, match="without ids"):
        backbones.get("memonet", codebook_size=9)(tensors(batch()))
