"""Bugs that re-implementations of the paper share, each shown to be absent from InterFormer.

(Ids out of range, the tenth, never reach a backbone: they are the embedder's.)
"""

import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.case import batch, with_garbage
from tests.layer_case import assert_close, assert_every_weight_learns, gradients, scramble, tensors
from tf_interformer._keras import keras
from tf_interformer.backbones import InterFormer


def make(**kwargs):
    return InterFormer(**{"num_layers": 2, "num_heads": 2, **kwargs})


def scores(layer, inputs):
    return layer(tensors(inputs))["label"]


@pytest.mark.parametrize("aggregation", ["selective", "average", "mlp", "mha"])
@pytest.mark.parametrize("alignment", ["oldest", "recent"])
def test_bug_1_padding_never_changes_the_output(aggregation, alignment):
    layer = make(aggregation=aggregation, sequence_alignment=alignment)
    inputs = batch()
    expected = scores(layer, inputs)
    for scale in (1e4, 1e30, np.nan):
        assert_close(scores(layer, with_garbage(inputs, scale=scale)), expected, 1e-6)
    longer = {
        **inputs,
        "sequences": {k: np.pad(v, ((0, 0), (0, 3), (0, 0))) for k, v in inputs["sequences"].items()},
    }
    if aggregation != "mlp":
        assert_close(scores(layer, longer), expected, 1e-5, "more padding")


@pytest.mark.parametrize("kwargs", [{"information_flow": "sole"}, {"faithful": True}, {"information_flow": "s2n"}])
def test_bug_1_in_other_forms(kwargs):
    layer = make(interaction="dot", **kwargs)
    inputs = batch()
    expected = scores(layer, inputs)
    assert_close(scores(layer, with_garbage(inputs)), expected, 1e-6)


def test_bug_2_recent_goes_by_length():
    """An untrained chain of one Cross Arch: the last tokens of the output are the most recent events."""
    layer = make(
        num_layers=1, final_summary="algorithm1", num_recent_tokens=3, gating=None, faithful=True, interaction="dot"
    )
    lengths = {"a": np.array([0, 1, 2, 3, 6], "int32")}
    inputs = with_garbage(batch(size=5, times=(6,), events=(16,), lengths=lengths))
    recent = scores(layer, inputs).numpy().reshape(5, -1, 8)[:, -3:]
    merged = layer.merge({"sequences": tensors(inputs["sequences"]), "lengths": lengths})["sequence"].numpy()
    for i, length in enumerate(lengths["a"]):
        for back in range(3):
            expected = merged[i, length - 1 - back] if back < length else np.zeros(8)
            np.testing.assert_allclose(recent[i, back], expected, atol=1e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16", "bfloat16", "float16"])
@pytest.mark.parametrize("flow", ["both", "s2n", "sole"])
def test_bug_3_an_empty_history_is_finite(policy, flow):
    lengths = {"a": np.zeros(4, "int32"), "b": np.zeros(4, "int32")}
    inputs = with_garbage(batch(lengths=lengths))
    layer = make(information_flow=flow, dtype=policy)
    assert np.isfinite(tf.cast(scores(layer, inputs), "float32").numpy()).all()
    for name, gradient in gradients(layer, inputs).items():
        assert np.isfinite(gradient.astype("float32")).all(), name


@pytest.mark.parametrize("interaction", ["dot", "dcn_v2", "dhen"])
@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.parametrize("layers", [1, 3])
def test_bug_4_every_weight_learns(interaction, faithful, layers):
    # As printed, each layer multiplies: numbers of the scale one would overflow float32 within three layers.
    kwargs = {"dtype": "float64"} if faithful else {}
    layer = make(interaction=interaction, faithful=faithful, num_layers=layers, **kwargs)
    inputs = batch()
    if faithful:
        inputs["features"] *= 0.3
        inputs["sequences"] = {name: 0.3 * x for name, x in inputs["sequences"].items()}
    layer(tensors(inputs))
    scramble(layer, scale=0.05)
    assert_every_weight_learns(layer, inputs, least=0.0 if faithful else 1e-9)


SIZES = {
    "one_token": ({"tokens": 1}, {}),
    "one_example": ({"size": 1}, {}),
    "time_equals_width": ({"times": (8,), "events": (8,)}, {}),
    "one_event": ({"times": (1,), "events": (3,)}, {}),
    "one_summary_token": ({}, {"num_summary_tokens": 1, "num_pma_tokens": 3, "num_recent_tokens": 5}),
    "more_summary_than_feature_tokens": ({"tokens": 2}, {"num_summary_tokens": 7}),
    "more_recent_than_events": ({"times": (2,), "events": (4,)}, {"num_recent_tokens": 4, "num_pma_tokens": 1}),
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("flow", ["both", "sole"])
def test_bug_5_sizes_need_not_coincide(name, flow):
    sizes, kwargs = SIZES[name]
    inputs = batch(**sizes)
    layer = make(information_flow=flow, **kwargs)
    output = scores(layer, inputs)
    shape = {k: tf.nest.map_structure(lambda x: tuple(x.shape), v) for k, v in inputs.items()}
    assert tuple(output.shape) == layer.compute_output_shape(shape)["label"]
    assert np.isfinite(output.numpy()).all()


def test_bug_6_nothing_leaks_across_the_batch():
    layer = make()
    inputs = batch()
    expected = scores(layer, inputs).numpy()
    changed = batch()
    changed["features"][0] += 1.0
    changed["sequences"]["a"][0] -= 1.0
    got = scores(layer, changed).numpy()
    np.testing.assert_allclose(got[1:], expected[1:], atol=1e-6)
    assert np.abs(got[0] - expected[0]).max() > 1e-2
    swapped = tf.nest.map_structure(lambda x: x[[1, 0, 2, 3]], inputs)
    np.testing.assert_allclose(scores(layer, swapped), expected[[1, 0, 2, 3]], atol=1e-5)


def test_bug_7_a_graph_of_unknown_sizes_scores_as_eager():
    """(XLA, files and SavedModel: test_interformer.py.)"""
    layer = make()
    inputs = tensors(batch())
    expected = scores(layer, batch())
    signature = tf.nest.map_structure(
        lambda x: tf.TensorSpec([None, *([None] if len(x.shape) == 3 else []), *x.shape[2:]], x.dtype), inputs
    )
    signature["features"] = tf.TensorSpec([None, 5, 8], "float32")
    unknown = tf.function(lambda x: layer(x), input_signature=[signature], autograph=False)
    assert_close(unknown(inputs)["label"], expected, 1e-5, "unknown batch and length")


def losses(devices):
    inputs = batch(size=8)
    labels = np.random.default_rng(0).integers(0, 2, size=(8, 1)).astype("float32")
    x = [inputs["features"], inputs["sequences"]["a"], inputs["lengths"]["a"]]
    with tf.distribute.MirroredStrategy(devices).scope():
        keras.utils.set_random_seed(1)
        i = [keras.Input(x[0].shape[1:]), keras.Input(x[1].shape[1:]), keras.Input((), dtype="int32")]
        tokens = {"features": i[0], "sequences": {"a": i[1]}, "lengths": {"a": i[2]}}
        h = InterFormer(num_layers=1, num_heads=2)(tokens)["label"]
        model = keras.Model(i, keras.layers.Dense(1, activation="sigmoid")(h))
        model.compile(keras.optimizers.SGD(0.05), "binary_crossentropy")
    data = tf.data.Dataset.from_tensor_slices((tuple(x), labels)).batch(8)
    return model.fit(data, epochs=4, verbose=0).history["loss"]


def test_bug_8_two_replicas_train_as_one(two_cpus):
    one, two = two_cpus(losses, ["CPU:0"]), two_cpus(losses, ["CPU:0", "CPU:1"])
    np.testing.assert_allclose(one, two, rtol=1e-4)
    assert one[-1] != one[0]


@pytest.mark.parametrize("interaction", ["dot", "dcn_v2", "dhen"])
def test_bug_9_the_variance_neither_grows_nor_dies_with_depth(interaction):
    """Mean square of the output at initialisation over that of the inputs: small tokens keep their scale, those of
    scale one come out at about one.
    """
    keras.utils.set_random_seed(0)  # single models lie a factor of two apart
    ratios: dict[float, list[float]] = {0.05: [], 1.0: []}
    inputs = batch(size=64, tokens=12, width=16, times=(10, 6), events=(32, 16))
    for layers in (1, 2, 4, 6):
        drawn = [make(num_layers=layers, interaction=interaction) for _ in range(3)]
        for scale in ratios:
            scaled = {
                **inputs,
                "features": inputs["features"] * scale,
                "sequences": {name: x * scale for name, x in inputs["sequences"].items()},
            }
            squares = [np.mean(scores(layer, scaled).numpy() ** 2) for layer in drawn]
            ratios[scale].append(np.median(squares) / scale**2)
    for values in ratios.values():
        assert min(values) > 0.1 and max(values) < 4 and max(values) / min(values) < 4, ratios
