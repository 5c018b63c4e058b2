"""InterFormer in all its variants: the layer contract, the arguments, what each information flow may see."""

from functools import partial

import numpy as np
import pytest

from tests.backbones.case import batch
from tests.layer_case import assert_graph_and_xla, assert_saves, check_layer, gradients, scramble, tensors
from tf_interformer import backbones, layers
from tf_interformer._keras import keras
from tf_interformer.backbones import InterFormer
from tf_interformer.layers._token_norm import TokenNorm

TARGETS = {"a": [1, -1], "b": [4]}
VARIANTS = {
    "default": {"targets": TARGETS},
    "without_targets": {},
    "final_summary_tokens": {"final_features": "summary", "targets": TARGETS, "num_target_tokens": 1},
    "faithful_dot": {"faithful": True, "num_layers": 1, "interaction": "dot"},
    "faithful_dcn": {"faithful": True, "num_layers": 1, "interaction": "dcn_v2", "interaction_config": {"rank": 3}},
    "algorithm1": {"final_summary": "algorithm1"},
    "algorithm1_one_layer": {"final_summary": "algorithm1", "num_layers": 1},
    "sole": {"information_flow": "sole"},
    "sep": {"information_flow": "sep"},
    "n2s": {"information_flow": "n2s"},
    "s2n": {"information_flow": "s2n", "dropout": 0.2},
    "n2s_without_pffn": {"information_flow": "n2s", "personalized_ffn": None},
    "average": {"aggregation": "average"},
    "average_without_attention": {"aggregation": "average", "attention": False, "personalized_ffn": "plain"},
    "mlp": {"aggregation": "mlp"},
    "mha": {"aggregation": "mha"},
    "two_layer": {"personalized_ffn": "two_layer", "ffn_hidden_dim": 5},
    "without_pffn": {"personalized_ffn": None},
    "without_attention": {"attention": False},
    "without_cls": {"cls_tokens": False, "rotary": None},
    "without_pma": {"num_pma_tokens": 0},
    "without_recent": {"num_recent_tokens": 0},
    "cls_alone": {"num_pma_tokens": 0, "num_recent_tokens": 0},
    "without_gates": {"gating": None},
    "target_alone": {"num_pma_tokens": 0, "num_recent_tokens": 0, "cls_tokens": False, "targets": TARGETS},
    "tanh": {"gating": "tanh", "gating_units": [4], "rotary": "behaviours"},
    "joint": {"rotary": "joint"},
    "lce": {"interaction_mlp": "lce", "interaction": "dot", "sequence_alignment": "oldest"},
    "request": {"candidate_flow": "request", "candidate_tokens": [1, 3, 4], "targets": TARGETS},
    "request_that_asks_nothing": {
        "candidate_flow": "request",
        "candidate_tokens": [0],
        "num_target_tokens": 0,
        "user_tokens": "tokens",
        "personalized_ffn": "plain",
    },
    "two_tasks": {"tasks": ["click", "like"], "sequence_mask_ratio": None, "interaction_mlp_units": [9]},
}
# The others differ from these in nothing that a compiler or a file could see, or by layers with tests of their own.
COMPILED = ("default", "sole", "request")


def make(name="default", **kwargs):
    return InterFormer(**{"num_layers": 2, "num_heads": 2, **VARIANTS[name], **kwargs})


def shapes():
    import tensorflow as tf

    return tf.nest.map_structure(lambda x: tuple(x.shape), batch())


@pytest.mark.parametrize("name", VARIANTS)
def test_contract(name):
    check_layer(partial(make, name), batch(), saves=False, xla=False)


@pytest.mark.parametrize("name", COMPILED)
def test_graph_xla_and_files(name):
    layer = make(name)
    layer(tensors(batch()))
    scramble(layer)
    assert_graph_and_xla(layer, batch())
    assert_saves(partial(make, name, num_layers=1), batch())


@pytest.mark.parametrize("flow", ["default", "n2s", "s2n", "sep"])
def test_each_flow_lets_through_what_it_says(flow):
    """A gradient of one side's summary with respect to the other side's input is there or is exactly zero."""
    import tensorflow as tf

    layer = make(flow, final_summary="recompute", dropout=0.0, targets=None)
    inputs = tensors(batch())
    features, sequence = inputs["features"], inputs["sequences"]["a"]
    layer(inputs)
    scramble(layer)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([features, sequence])
        representation = layer(inputs)["label"]
        of_features, of_sequence = representation[:, : 5 * 8], representation[:, 5 * 8 :]
        of_features, of_sequence = tf.reduce_sum(of_features**2), tf.reduce_sum(of_sequence**2)
    sequence_to_features = tape.gradient(of_features, sequence, unconnected_gradients="zero")
    features_to_sequence = tape.gradient(of_sequence, features, unconnected_gradients="zero")
    assert bool(tf.reduce_any(sequence_to_features != 0)) == (flow in ("default", "s2n"))
    assert bool(tf.reduce_any(features_to_sequence != 0)) == (flow in ("default", "n2s"))


def test_without_sequences_it_is_the_interaction_alone():
    inputs = {**batch(), "sequences": {}, "lengths": {}}
    layer = make()
    assert tuple(layer(tensors(inputs))["label"].shape) == (4, 5 * 8)
    assert layer.compute_output_shape({"features": (4, 5, 8), "sequences": {}, "lengths": {}}) == {"label": (4, 40)}
    assert all(np.abs(gradient).max() > 0 for gradient in gradients(layer, inputs).values())


def test_features_may_be_a_list():
    inputs = tensors(batch())
    layer = make()
    expected = layer(inputs)["label"]
    as_list = {**inputs, "features": [inputs["features"][:, i] for i in range(5)]}
    np.testing.assert_allclose(layer(as_list)["label"], expected, rtol=1e-5, atol=1e-5)


def test_algorithm1_is_the_recomputed_form_with_a_layer_less():
    printed = {"final_features": "summary"}
    literal = make(num_layers=3, final_summary="algorithm1", **printed)
    recomputed = make(num_layers=2, **printed)
    inputs = tensors(batch())
    literal(inputs), recomputed(inputs)
    literal.set_weights(recomputed.get_weights())
    np.testing.assert_array_equal(literal(inputs)["label"], recomputed(inputs)["label"])


def test_interaction_as_a_layer_and_as_a_config():
    inputs = tensors(batch())
    cross = layers.CrossInteraction(num_layers=2, rank=3)
    for interaction in (cross, keras.saving.serialize_keras_object(cross)):
        layer = make(interaction=interaction)
        layer(inputs)
        held = [arch.interaction for arch in layer.interaction_arches]
        assert all(isinstance(x, layers.CrossInteraction) and (x.num_layers, x.rank) == (2, 3) for x in held)
        assert held[0] is not held[1]


def test_the_printed_form_is_one_argument_away():
    layer = make(faithful=True, interaction="dot", targets=TARGETS)
    layer(tensors(batch()))
    assert layer.compute_output_shape(shapes()) == {"label": (4, (4 + 4 + 2 + 2) * 8)}
    assert not [part for part in layer._flatten_layers() if isinstance(part, TokenNorm)]
    assert not [part for part in layer._flatten_layers() if isinstance(part, layers.TargetPooling)]


def test_the_distance_to_the_latest_event_does_not_depend_on_the_length():
    """Longer histories whose older events are hidden from the attention give what the latest events alone give."""
    arch = layers.SequenceArch(None, num_heads=2, num_cls_tokens=1)
    rng = np.random.default_rng(0)
    cls, events = rng.normal(size=(1, 1, 8)), rng.normal(size=(1, 3, 8))
    older = np.zeros((1, 2, 8))
    short = arch(tensors({"sequence": np.concatenate([cls, events], 1), "lengths": np.array([3], "int32")}))
    long = np.concatenate([cls, older, events], 1)
    mha = arch.mha
    positions = arch._positions(tensors(np.array([5], "int32")), 6)
    mask = np.array([[True, False, False, True, True, True]])
    attended = mha({**tensors({"sequence": long, "mask": mask}), "positions": positions})
    alone = mha(
        {
            **tensors({"sequence": np.concatenate([cls, events], 1), "mask": np.ones((1, 4), bool)}),
            "positions": arch._positions(tensors(np.array([3], "int32")), 4),
        }
    )
    assert tuple(short.shape) == (1, 4, 8)
    np.testing.assert_allclose(np.asarray(attended)[:, [0, 3, 4, 5]], alone, rtol=1e-4, atol=1e-5)


def test_dropout_acts_in_training_only():
    inputs = tensors(batch())
    layer = make(dropout=0.5)
    np.testing.assert_array_equal(layer(inputs)["label"], layer(inputs)["label"])
    first, second = layer(inputs, training=True)["label"], layer(inputs, training=True)["label"]
    assert np.abs(first.numpy() - second.numpy()).max() > 1e-3


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"tasks": "label"}, "tasks"),
        ({"tasks": ["a", "a"]}, "tasks"),
        ({"num_layers": 0}, "num_layers"),
        ({"interaction": "wukongg"}, "dcn_v2"),
        ({"interaction_mlp": "flat"}, "interaction_mlp"),
        ({"interaction_mlp_units": [0]}, "interaction_mlp_units"),
        ({"num_summary_tokens": -1}, "num_summary_tokens"),
        ({"num_pma_tokens": 1.5}, "num_pma_tokens"),
        ({"num_recent_tokens": -1}, "num_recent_tokens"),
        ({"num_heads": 0}, "num_heads"),
        ({"gating": "relu"}, "gating"),
        ({"personalized_ffn": "three_layer"}, "personalized_ffn"),
        ({"rotary": "all"}, "rotary"),
        ({"num_target_tokens": -1}, "num_target_tokens"),
        ({"targets": {"a": 3}}, "targets"),
        ({"final_features": "all"}, "final_features"),
        ({"information_flow": "int"}, "information_flow"),
        ({"aggregation": "max"}, "aggregation"),
        ({"final_summary": "none"}, "final_summary"),
        ({"sequence_alignment": "left"}, "sequence_alignment"),
        ({"sequence_mask_ratio": 0}, "sequence_mask_ratio"),
        ({"dropout": 1.0}, "dropout"),
        ({"candidate_flow": "both"}, "candidate_flow"),
        ({"candidate_flow": "request", "candidate_tokens": [-1]}, "candidate_tokens"),
        ({"candidate_flow": "request", "faithful": True}, "faithful"),
        ({"candidate_flow": "request", "information_flow": "n2s"}, "information_flow"),
        ({"attention": False, "personalized_ffn": None}, "personalized_ffn"),
        ({"num_pma_tokens": 0, "num_recent_tokens": 0, "attention": False}, "num_pma_tokens"),
        ({"num_pma_tokens": 0, "num_recent_tokens": 0, "information_flow": "s2n"}, "num_pma_tokens"),
    ],
)
def test_a_wrong_argument_is_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        InterFormer(**arguments)


def test_wrong_widths_are_named():
    with pytest.raises(ValueError, match="num_heads"):
        InterFormer(num_heads=3)(tensors(batch()))
    with pytest.raises(ValueError, match="targets"):
        make(targets={"a": [5]})(tensors(batch()))
    with pytest.raises(ValueError, match="candidate_tokens"):
        make("request", candidate_tokens=[5])(tensors(batch()))
    with pytest.raises(ValueError, match="candidate_tokens"):
        make("request", candidate_tokens=[])(tensors(batch()))
    with pytest.raises(ValueError, match="even width"):
        InterFormer(num_heads=8)(tensors(batch()))


def test_registry():
    layer = backbones.get("interformer", tasks=["click"], num_layers=2)
    assert isinstance(layer, InterFormer)
    assert backbones.get(layer) is layer
    assert backbones.get(keras.saving.serialize_keras_object(layer)).tasks == ("click",)
    with pytest.raises(ValueError, match="interformer"):
        backbones.get("interformerr")
