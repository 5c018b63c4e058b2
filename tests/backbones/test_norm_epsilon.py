"""`norm_epsilon` reaches the norms where tokens enter and residuals join, and no other."""

import inspect

import numpy as np
import pytest

from tests.backbones.case import batch
from tf_interformer import backbones, layers
from tf_interformer._keras import keras, ops
from tf_interformer.layers import interactions, sequences
from tf_interformer.layers._soft_norms import WithSoftNorms
from tf_interformer.layers._token_norm import TokenNorm

GIVEN = 0.25  # nobody's default
SHAPES = {
    "features": (None, 5, 8),
    "sequences": {"a": (None, 6, 16), "b": (None, 4, 8)},
    "lengths": {"a": (None,), "b": (None,)},
    "ids": (None, 5),
}
# What a backbone takes of these gives it every norm that it can have.
ARGUMENTS = {
    "num_heads": 2,
    "entry_norm": True,
    "targets": {"a": [3, -1], "b": [3]},
    "codebook_size": 50,
    "combo_config": {"codebook_size": 50},
}
WITHOUT_NORMS = {"dien", "din", "dmr", "hstu"}

TOKENS = (None, 5, 8)
HISTORY = {"sequence": (None, 7, 8), "lengths": (None,)}
WITH_TARGET = {**HISTORY, "target": (None, 8)}
LAYERS = [
    (layers.CandidateBlock, {"target_pooling": layers.TargetPooling(2, 2)}, {"features": TOKENS, **WITH_TARGET}),
    (layers.CrossArch, {"num_heads": 2}, {"features": TOKENS, **HISTORY}),
    (layers.DHENInteraction, {"num_layers": 2}, TOKENS),
    (layers.DualEnhancedAttentionBlock, {"combo": False}, TOKENS),
    (layers.DualEnhancedAttentionInteraction, {"combo": False}, TOKENS),
    (layers.HeterogeneousAttentionInteraction, {}, TOKENS),
    (layers.HiformerBlock, {}, TOKENS),
    (layers.HiformerInteraction, {"num_layers": 2}, TOKENS),
    (layers.InteractionArch, {}, TOKENS),
    (layers.PoolingByAttention, {"full": True}, HISTORY),
    (layers.SequenceArch, {"num_heads": 2}, {**HISTORY, "summary": (None, 3, 8)}),
    (layers.TransformerInteraction, {}, TOKENS),
    (layers.WukongInteraction, {}, TOKENS),
    (sequences.CandidateTransformer, {}, WITH_TARGET),
    (sequences.EventMerging, {"inner_transformer": True}, HISTORY),
    (sequences.InterestDecoder, {}, WITH_TARGET),
    (sequences.MultiInterest, {}, WITH_TARGET),
    (sequences.SequenceTransformer, {}, WITH_TARGET),
    (sequences.TransformerBlock, {}, HISTORY),
]


def norms(layer):
    return [part for part in layer._flatten_layers() if isinstance(part, TokenNorm)]


def built(layer, shapes):
    """What its soft norms add, each number once, of a copy by its configuration."""
    config = {key: value for key, value in keras.saving.serialize_keras_object(layer).items() if key != "build_config"}
    found = []
    for each in (layer, keras.saving.deserialize_keras_object(config)):
        each.build(shapes)
        found.append({norm.epsilon for norm in norms(each) if norm.soft})
        assert {norm.epsilon for norm in norms(each) if not norm.soft} <= {1e-5}
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize("name", backbones.names())
def test_of_every_backbone(name):
    config = {key: value for key, value in ARGUMENTS.items() if key in backbones.arguments(name)}
    expected = (lambda number: set()) if name in WITHOUT_NORMS else (lambda number: {number})
    assert built(backbones.get(name, **config), SHAPES) == expected(1.0)
    assert built(backbones.get(name, **config, norm_epsilon=GIVEN), SHAPES) == expected(GIVEN)


@pytest.mark.parametrize(("kind", "config", "shapes"), LAYERS, ids=lambda part: getattr(part, "__name__", ""))
def test_of_every_layer(kind, config, shapes):
    assert built(kind(**config), shapes) == {1.0}
    assert built(kind(**config, norm_epsilon=GIVEN), shapes) == {GIVEN}
    # An earlier version knew no such argument.
    before = kind(**config, norm_epsilon=GIVEN).get_config()
    del before["norm_epsilon"]
    assert kind.from_config(before).norm_epsilon == 1.0
    with pytest.raises(ValueError, match=r"`norm_epsilon` must be a positive number. Received: norm_epsilon=0"):
        kind(**config, norm_epsilon=0)


def test_no_layer_is_left_out():
    exported = [value for module in (layers, sequences) for value in vars(module).values() if inspect.isclass(value)]
    assert {kind for kind in exported if issubclass(kind, WithSoftNorms)} == {kind for kind, _, _ in LAYERS}


@pytest.mark.parametrize("name", interactions.names())
def test_of_every_interaction_of_an_arch(name):
    arch = layers.InteractionArch(name, norm_epsilon=GIVEN)
    arch.build({"features": TOKENS})
    assert {norm.epsilon for norm in norms(arch) if norm.soft} == {GIVEN}


def test_the_arch_decides_unless_told_for_the_interaction():
    told = layers.InteractionArch("dhen", {"norm_epsilon": 0.5}, norm_epsilon=GIVEN)
    assert built(told, {"features": TOKENS}) == {GIVEN, 0.5}
    given = layers.InteractionArch(layers.DHENInteraction(norm_epsilon=0.5), norm_epsilon=GIVEN)
    assert built(given, {"features": TOKENS}) == {GIVEN}


@pytest.mark.parametrize(
    ("name", "config"),
    [("interformer", {"num_layers": 1, "num_heads": 2}), ("hiformer", {"num_layers": 1, "num_heads": 2})],
)
def test_quiet_tokens_come_out_loud_with_a_small_one(name, config):
    quiet = batch(size=2)
    quiet["features"] = quiet["features"] * 1e-3
    soft, hard = (backbones.get(name, tasks=["click"], norm_epsilon=number, **config) for number in (1.0, 1e-5))
    found = ops.convert_to_numpy(soft(quiet)["click"])
    hard(quiet)
    hard.set_weights(soft.get_weights())
    assert np.abs(ops.convert_to_numpy(hard(quiet)["click"]) - found).max() > 0.01


def test_a_norm_with_epsilon_one_is_the_equation():
    x = np.random.default_rng(0).normal(size=(2, 3, 8)) * np.array([1e-3, 1.0, 30.0])[:, None]
    centred = x - x.mean(-1, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1.0)
    found = ops.convert_to_numpy(TokenNorm(soft=True)(x.astype("float32")))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    sizes = np.sqrt((found**2).mean(-1)).mean(0)  # the quiet token stays quiet, the loud one has unit scale
    assert sizes[0] < 2e-3
    assert 0.9 < sizes[2] <= 1.0


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan")])
def test_a_wrong_one_is_told(wrong):
    with pytest.raises(ValueError, match="norm_epsilon"):
        backbones.get("interformer", norm_epsilon=wrong)
