"""The models that weigh behaviours by the target: the contract, the equations, the auxiliary losses, the Ranker."""

from functools import partial
from inspect import signature

import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.case import LENGTHS, batch, check_backbone, with_garbage
from tests.layer_case import (
    assert_close,
    assert_graph_and_xla,
    assert_saves,
    gradients,
    scramble,
    tensors,
)
from tests.reference import behaviour_sequence as reference
from tests.reference.weights import weights_of
from tests.small_log import learned_schema, raw_batch
from tf_interformer import Categorical, FeatureSchema, Label, Ranker, Sequence, backbones
from tf_interformer._keras import keras
from tf_interformer.backbones._targets import targets_of
from tf_interformer.layers import sequences
from tf_interformer.layers.sequences._common import next_event_loss

TARGETS = {"a": [3, -1], "b": [3]}
SMALL = {
    "din": {"attention_units": (5,)},
    "dien": {},
    "bst": {"num_heads": 2, "max_positions": 3},
    "dmin": {"num_interests": 2, "num_heads": 2, "ffn_dim": 5, "attention_units": (5,), "max_positions": 3},
    "dmr": {"attention_dim": 5, "max_positions": 3},
    "transact": {"num_recent_tokens": 3, "ffn_dim": 5},
    "dmt": {"num_heads": 2, "max_positions": 3},
    "hstu": {"num_heads": 2, "max_positions": 3},
}
# As Keras has it, which rounds it to float32.
SLOPE = float(-keras.activations.get("leaky_relu")(tf.constant(-1.0, tf.float64)))
REFERENCES = {
    "din": reference.din,
    "dien": reference.dien,
    "bst": partial(reference.bst, heads=2, pooling="mean", slope=SLOPE),
    "dmin": partial(reference.dmin, interests=2, heads=2, slope=SLOPE),
    "dmr": reference.dmr,
    "transact": partial(reference.transact, heads=2, recents=3),
    "dmt": partial(reference.dmt, heads=2),
    "hstu": partial(reference.hstu, heads=2),
}


def make(name, **kwargs):
    return backbones.get(name, **{"targets": TARGETS, **SMALL[name], **kwargs})


def made(name, inputs, **kwargs):
    layer = make(name, **kwargs)
    layer(tensors(inputs))
    scramble(layer, scale=0.2)
    return layer


def label(layer, inputs):
    return layer(tensors(inputs))["label"]


@pytest.mark.parametrize("name", SMALL)
def test_contract(name):
    check_backbone(partial(make, name), batch())


@pytest.mark.parametrize("name", SMALL)
def test_padding_never_changes_the_output(name):
    inputs = batch()
    layer = made(name, inputs)
    expected = label(layer, inputs)
    for scale in (1e4, np.nan):
        assert_close(label(layer, with_garbage(inputs, scale=scale)), expected, 1e-6)
    longer = {k: np.pad(v, ((0, 0), (0, 3), (0, 0))) for k, v in inputs["sequences"].items()}
    assert_close(label(layer, {**inputs, "sequences": longer}), expected, 1e-5, "more padding")


@pytest.mark.parametrize("name", SMALL)
def test_empty_histories_are_finite(name):
    inputs = with_garbage(batch(lengths={key: np.zeros(4, "int32") for key in LENGTHS}), scale=np.nan)
    layer = made(name, inputs)
    assert np.isfinite(label(layer, inputs).numpy()).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients(layer, inputs).values())


@pytest.mark.parametrize("name", SMALL)
def test_a_graph_of_any_batch_and_time_is_equal(name):
    inputs = batch()
    layer = made(name, inputs)
    signature = tf.nest.map_structure(lambda x: tf.TensorSpec([None] * min(x.ndim, 2) + list(x.shape[2:])), inputs)
    signature["features"] = tf.TensorSpec((None, *inputs["features"].shape[1:]))
    signature["lengths"] = {key: tf.TensorSpec((None,), tf.int32) for key in inputs["lengths"]}
    compiled = tf.function(lambda x: layer(x)["label"], input_signature=[signature], autograph=False)
    assert_close(compiled(tensors(inputs)), label(layer, inputs), 1e-5)


@pytest.mark.parametrize("name", ["dien", "hstu"])
def test_xla_and_files(name):
    inputs = batch()
    assert_graph_and_xla(made(name, inputs), inputs)
    assert_saves(partial(make, name), inputs)


@pytest.mark.parametrize("name", SMALL)
def test_equals_the_equations(name):
    inputs = batch(dtype="float64", tokens=4)
    layer = made(name, inputs, dtype="float64")
    outputs = label(layer, inputs).numpy()
    stand_in = layer.stand_ins["a"].numpy()[0]
    parts = weights_of(layer)["sequence_layers"]
    for i in range(4):
        token = inputs["features"][i, 3]
        targets = {"a": [*token, *stand_in], "b": [*token]}
        expected = [*inputs["features"][i].reshape(-1)]
        for key, weights in zip("ab", parts, strict=True):
            expected += REFERENCES[name](history(inputs, key, i), targets[key], weights)
        np.testing.assert_allclose(outputs[i], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", sorted({*SMALL} - {"din"}))
def test_arguments_are_those_of_the_layer(name):
    model = make(name)
    own = [parameter for key, parameter in signature(model.layer_class).parameters.items() if key != "kwargs"]
    told = list(signature(type(model)).parameters.values())
    assert [(each.name, each.default) for each in told[2:]] == [(each.name, each.default) for each in own]
    assert [each.name for each in told[:2]] == ["tasks", "targets"]
    given = {key: list(value) if isinstance(value, tuple) else value for key, value in SMALL[name].items()}
    layer = model.sequence_layer("sequence_0")
    for config in (model.get_config(), layer.get_config()):
        assert {key: config[key] for key in given} == given
    with pytest.raises(ValueError, match=f"`{own[-1].name}` must be"):
        make(name, **{own[-1].name: -1})


def history(inputs, key, i):
    return [[float(v) for v in event] for event in inputs["sequences"][key][i, : inputs["lengths"][key][i]]]


def test_bst_may_read_the_target():
    inputs = batch(dtype="float64", tokens=4, times=(6,), events=(8,))
    layer = made("bst", inputs, dtype="float64", pooling="target", num_blocks=2, targets={"a": [1]})
    outputs = label(layer, inputs).numpy()[:, 32:]
    weights = weights_of(layer)["sequence_layers"][0]
    for i in range(4):
        target = [*inputs["features"][i, 1]]
        expected = reference.bst(history(inputs, "a", i), target, weights, 2, "target", SLOPE)
        np.testing.assert_allclose(outputs[i], expected, rtol=1e-6, atol=1e-9)


AUXILIARY = {
    "dien": (sequences.InterestEvolution, {}),
    "dmin": (sequences.MultiInterest, {"num_interests": 2, "num_heads": 2}),
    "dmr": (sequences.MatchToRank, {}),
}


@pytest.mark.parametrize("name", AUXILIARY)
def test_auxiliary_loss(name):
    case = batch(dtype="float64", times=(6,), events=(8,))
    inputs = {"sequence": case["sequences"]["a"], "lengths": np.array([6, 2, 0, 3], "int32")}
    inputs["target"] = case["features"][:, 0]
    kind, arguments = AUXILIARY[name]
    layer = kind(**arguments, auxiliary_weight=0.5, dtype="float64")
    layer(tensors(inputs))
    scramble(layer, scale=0.1)
    layer(tensors(inputs), training=False)
    assert not layer.losses
    layer(tensors(inputs), training=True)
    weights = weights_of(layer)
    histories = [inputs["sequence"][i, :n].tolist() for i, n in enumerate(inputs["lengths"])]
    if name == "dmr":
        expected = reference.dmr_loss(histories, weights)
    elif name == "dien":
        states = [reference.gru(events, weights["extractor"], [1.0] * len(events), 8) for events in histories]
        expected = reference.next_event_loss(histories, states)
    else:
        expected = reference.next_event_loss(
            histories,
            [
                reference.transformer_block(e, e, weights["refiner"], 2, lambda v: reference.leaky_relu(v, SLOPE), True)
                for e in histories
            ],
        )
    np.testing.assert_allclose(float(layer.losses[0]), 0.5 * expected, rtol=1e-6)


@pytest.mark.parametrize("pairs", [0, 1, 2])
def test_next_event_loss_is_a_mean_over_the_neighbours_there_are(pairs):
    events = np.random.default_rng(5).normal(size=(2, 4, 3))
    lengths = np.array([pairs + 1, 1], "int32")
    histories = [events[i, :n].tolist() for i, n in enumerate(lengths)]
    loss = float(next_event_loss(tf.constant(events), tf.constant(events), tf.constant(lengths)))
    np.testing.assert_allclose(loss, reference.next_event_loss(histories, histories), rtol=1e-9)


@pytest.mark.parametrize("name", ["dien", "dmt"])
def test_what_is_computed_before_the_target_gives_the_same(name):
    inputs = tensors(batch())
    for layer, sequence in zip(made(name, inputs).sequence_layers, "ab", strict=True):
        x = {"sequence": inputs["sequences"][sequence], "lengths": inputs["lengths"][sequence]}
        x["target"] = x["sequence"][:, 0]
        assert_close(layer({**x, **layer.before_target(x)}), layer(x), 1e-6)


def test_the_target_matters_and_only_where_it_is_one():
    inputs = batch()
    layer = made("din", inputs)
    expected = label(layer, inputs).numpy()
    changed = batch()
    changed["features"][:, 3] += 1.0
    moved = np.abs(label(layer, changed).numpy() - expected)[:, 40:]
    assert moved[0, :16].max() > 1e-3
    assert moved[0, 16:].max() > 1e-3
    assert moved[3].max() == 0.0  # both histories are empty
    changed = batch()
    changed["features"][:, 2] += 1.0
    np.testing.assert_array_equal(label(layer, changed).numpy()[:, 40:], expected[:, 40:])


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (None, "target of sequence 'a'"),
        ({"a": [1], "b": [1]}, "each of the 2 fields"),
        ({"a": [1, 5], "b": [1]}, "indices of the 5 feature tokens"),
        ({"a": "item"}, "list of integers"),
        ([1, 2], "list of integers"),
    ],
)
def test_targets_that_do_not_fit(targets, message):
    with pytest.raises(ValueError, match=message):
        make("din", targets=targets)(tensors(batch()))


def test_no_sequences():
    inputs = {"features": batch()["features"], "sequences": {}, "lengths": {}}
    np.testing.assert_array_equal(label(make("din"), inputs), inputs["features"].reshape(4, -1))


def test_of_features_that_share_a_table_the_candidate_is_the_target():
    schema = FeatureSchema(
        features=[Categorical("last"), Categorical("item", table="last"), Categorical("shop")],
        sequences=[Sequence("seen", fields=[Categorical("item", table="last"), Categorical("page")], max_length=3)],
        labels=[Label("click")],
    )
    names = ["dense", "last", "item", "shop"]
    assert targets_of(schema, names) == {"seen": [1, -1]}
    assert targets_of(schema.model_copy(update={"candidate": ("shop", "item")}), names) == {"seen": [2, -1]}


SCHEMA = learned_schema()


@pytest.mark.parametrize("name", SMALL)
def test_ranker(name):
    heads = {"num_heads": 2} if "num_heads" in SMALL[name] else {}
    ranker = Ranker(SCHEMA, name, backbone_config=heads, embedding={"dim": 8}, tower_units=(8,))
    names = ranker.embedder.feature_names
    assert ranker.backbone.targets == {
        "viewed": [names.index("item"), names.index("tags")],
        "bought": [names.index("item")],
    }
    encoded = ranker.preprocessor(raw_batch(8))
    labels = {"click": raw_batch(8)["click"]}
    compiles = name in ("din",)
    # Of the others the graph is tried above, and its gradient is that of the same operations.
    ranker.compile("adam", jit_compile=compiles or name == "dien", run_eagerly=name not in ("din", "dien"))
    assert (ranker._compiled_network is not None) == compiles
    before = [np.array(w) for w in ranker.backbone.get_weights()]
    logs = ranker.train_on_batch(encoded, labels)
    assert np.isfinite(logs).all()
    after = ranker.backbone.get_weights()
    still = [w.name for w, a, b in zip(ranker.backbone.weights, before, after, strict=True) if np.array_equal(a, b)]
    assert not still
