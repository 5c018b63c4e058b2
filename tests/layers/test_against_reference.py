"""Single layers against naive loops and explicit formulas, in float64."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from tests.layer_case import scramble, tensors
from tests.reference import interformer as reference
from tests.reference.weights import weights_of
from tf_interformer import layers
from tf_interformer.layers import interactions

rng = np.random.default_rng(0)
LENGTHS = np.array([5, 3, 1, 0], "int32")
SEQUENCE = rng.normal(size=(4, 5, 8))
TOKENS = rng.normal(size=(4, 6, 8))


def layer_form(name):
    return "dcn_v2" if name == "cross" else name


def run(layer, inputs):
    layer(tensors(inputs))
    scramble(layer, scale=0.2)
    return tf.nest.map_structure(lambda x: x.numpy(), layer(tensors(inputs)))


def close(actual, expected):
    np.testing.assert_allclose(actual, np.array(expected), rtol=1e-9, atol=1e-9)


def test_linear_compression():
    layer = layers.LinearCompression(3, dtype="float64")
    got = run(layer, TOKENS)
    close(got, [reference.lce(tokens, layer.kernel.numpy()) for tokens in TOKENS])


@pytest.mark.parametrize("sigma", ["identity", "tanh", "sigmoid"])
def test_gating(sigma):
    layer = layers.Gating(sigma, [5], dtype="float64")
    got = run(layer, TOKENS)
    close(got, [reference.gating(tokens, weights_of(layer), sigma) for tokens in TOKENS])


@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_a_fresh_identity_gate_is_close_to_the_identity(scale):
    inputs = scale * rng.normal(size=(64, 6, 16))
    gates = layers.Gating(dtype="float64")(inputs).numpy() / inputs
    assert gates.std() < 0.15 and gates.min() > 0.4


def test_a_fresh_personalized_ffn_in_a_branch_is_close_to_the_identity():
    """Singular values of `I + W_PFFN`, for summaries of scale one."""
    summary = rng.normal(size=(64, 4, 16))
    identity = np.tile(np.eye(16), (64, 1, 1))
    for start, low, high in ((0.1, 0.5, 2.0), (1.0, 0.0, 20.0)):
        layer = layers.PersonalizedFFN(start=start, dtype="float64")
        values = np.linalg.svd(identity + layer({"sequence": identity, "summary": summary}).numpy(), compute_uv=False)
        assert low <= values.min() and values.max() <= high
    assert values.min() < 0.5 or values.max() > 2.0
    for wrong in (None, 0.0, "small"):
        with pytest.raises(ValueError, match=f"`start` must be a positive number. Received: start={wrong!r}"):
            layers.PersonalizedFFN(start=wrong)


@pytest.mark.parametrize("alignment", ["recent", "oldest"])
def test_masknet_merge(alignment):
    inputs = {
        "sequences": {"b": rng.normal(size=(4, 3, 2)), "a": SEQUENCE},
        "lengths": {"b": np.array([0, 3, 2, 0], "int32"), "a": LENGTHS},
    }
    layer = layers.MaskNetMerge(8, alignment=alignment, dtype="float64")
    got = run(layer, inputs)
    np.testing.assert_array_equal(got["lengths"], [5, 3, 2, 0])
    for i, length in enumerate(got["lengths"]):
        lengths = [LENGTHS[i], inputs["lengths"]["b"][i]]
        pair = [SEQUENCE[i], inputs["sequences"]["b"][i]]
        if length:
            naive = reference.masknet_merge(pair, lengths, weights_of(layer), alignment)
            close(got["sequence"][i, :length], naive)
        np.testing.assert_array_equal(got["sequence"][i, length:], 0.0)


def test_recent_alignment_lets_the_latest_events_meet():
    one = np.arange(1.0, 6.0).reshape(1, 5, 1)
    two = 10.0 * np.arange(1.0, 4.0).reshape(1, 3, 1)
    layer = layers.MaskNetMerge(2, mask_ratio=None, dtype="float64")
    inputs = {"sequences": {"one": one, "two": two}, "lengths": {"one": np.array([4]), "two": np.array([2])}}
    layer(tensors(inputs))
    layer.set_weights([np.eye(2)])
    merged = layer(tensors(inputs))["sequence"].numpy()[0]
    np.testing.assert_array_equal(merged, [[1, 0], [2, 0], [3, 10], [4, 20], [0, 0]])


@pytest.mark.parametrize("rotary", [True, False])
def test_attention(rotary):
    layer = layers.MultiHeadAttention(2, rotary=rotary, dtype="float64")
    inputs = {"sequence": SEQUENCE, "mask": np.arange(5) < LENGTHS[:, None]}
    places = rng.integers(0, 9, (4, 5))
    for positions in (None, places[0], places):
        given = inputs if positions is None else {**inputs, "positions": positions}
        got = run(layer, given)
        for i, length in enumerate(LENGTHS):
            if length:
                tokens = [list(token) for token in SEQUENCE[i, :length]]
                own = list(range(5)) if positions is None else np.broadcast_to(positions, (4, 5))[i]
                naive = reference.attention(tokens, weights_of(layer), 2, own if rotary else None)
                close(got[i, :length], naive)
        np.testing.assert_array_equal(got[LENGTHS == 0], 0.0)


@pytest.mark.parametrize("rotary", ["recent", "joint", "behaviours"])
def test_where_positions_of_the_sequence_arch_count_from(rotary):
    layer = layers.SequenceArch(None, num_heads=2, rotary=rotary, num_cls_tokens=2, residual=False, dtype="float64")
    lengths = np.array([3, 2, 1, 0], "int32")
    got = run(layer, {"sequence": SEQUENCE, "lengths": lengths})
    for i, length in enumerate(lengths):
        events = list(range(length))
        positions = {
            "recent": [length, length + 1, *events],
            "joint": [0, 1, *(2 + t for t in events)],
            "behaviours": [0, 0, *events],
        }[rotary]
        tokens = [list(token) for token in SEQUENCE[i, : 2 + length]]
        close(got[i, : 2 + length], reference.attention(tokens, weights_of(layer)["mha"], 2, positions))


def test_rotary_products_depend_on_the_distance_only():
    query, key = rng.normal(size=(2, 8))
    angles = layers.rotary_angles(9, 8, dtype="float64")
    turned = [layers.rotate(tf.constant(np.tile(v, (9, 1))), angles).numpy() for v in (query, key)]
    products = turned[0] @ turned[1].T
    for distance in range(-8, 9):
        np.testing.assert_allclose(np.diagonal(products, distance), products.diagonal(distance)[0])
    np.testing.assert_allclose(turned[0][0], query)
    with pytest.raises(ValueError, match="head_dim=3"):
        layers.rotary_angles(9, 3)


def test_personalized_ffn():
    summary = rng.normal(size=(4, 3, 8))
    layer = layers.PersonalizedFFN(dtype="float64")
    got = run(layer, {"sequence": SEQUENCE, "summary": summary})
    close(got, [reference.pffn(x, s, layer.hyper_kernel.numpy()) for x, s in zip(summary, SEQUENCE, strict=True)])


def test_personalized_ffn_of_two_layers_with_its_weights_written_out():
    summary = rng.normal(size=(4, 3, 8))
    layer = layers.PersonalizedFFN("two_layer", 6, dtype="float64")
    got = run(layer, {"sequence": SEQUENCE, "summary": summary})
    w = weights_of(layer)

    def rms_norm(x, gamma):
        return gamma * x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-5)

    def gelu(x):
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))

    for i in range(4):
        first = summary[i].T @ w["first_hyper_kernel"]
        second = w["second_hyper_kernel"].T @ summary[i]
        hidden = rms_norm(gelu(SEQUENCE[i] @ first + w["first_bias"]), w["hidden_norm"]["gamma"])
        close(got[i], rms_norm(hidden @ second + w["second_bias"], w["output_norm"]["gamma"]))


def test_pooling_by_attention():
    layer = layers.PoolingByAttention(3, 2, dtype="float64")
    got = run(layer, {"sequence": SEQUENCE, "lengths": LENGTHS})
    for i, length in enumerate(LENGTHS):
        close(got[i], reference.pma([list(x) for x in SEQUENCE[i, :length]], weights_of(layer), 2))


def test_target_pooling():
    target = rng.normal(size=(4, 11))
    layer = layers.TargetPooling(3, 2, dtype="float64")
    got = run(layer, {"sequence": SEQUENCE, "lengths": LENGTHS, "target": target})
    for i, length in enumerate(LENGTHS):
        events = [list(x) for x in SEQUENCE[i, :length]]
        close(got[i], reference.target_pooling(target[i], events, weights_of(layer), 2))


@pytest.mark.parametrize("count", range(5))
def test_recent_tokens(count):
    if not count:
        with pytest.raises(ValueError, match="num_tokens"):
            layers.RecentTokens(0)
        return
    got = run(layers.RecentTokens(count, dtype="float64"), {"sequence": SEQUENCE, "lengths": LENGTHS})
    for i, length in enumerate(LENGTHS):
        close(got[i], reference.recent(list(SEQUENCE[i, :length]), count, 8))


@pytest.mark.parametrize("tokens", [2, 3, 5, 6])
@pytest.mark.parametrize(
    ("name", "config"), [("dot", {}), ("cross", {"num_layers": 2}), ("dcn_v2", {"rank": 3}), ("dhen", {"rank": 3})]
)
def test_interactions(name, config, tokens):
    layer = interactions.get(name, dtype="float64", **config)
    got = run(layer, TOKENS[:, :tokens])
    naive = partial(reference.dhen, epsilon=1.0) if name == "dhen" else reference.INTERACTIONS[layer_form(name)]
    close(got, [naive([list(token) for token in x], weights_of(layer)) for x in TOKENS[:, :tokens]])
    as_list = layer([tf.constant(TOKENS[:, i]) for i in range(tokens)])
    close(as_list, got)


def test_unknown_interactions_and_what_comes_instead():
    with pytest.raises(ValueError, match=r"dcn_v2.*dhen.*Received: 'dhenn'"):
        interactions.get("dhenn")
    layer = layers.DotInteraction()
    assert interactions.get(layer) is layer
    with pytest.raises(ValueError, match="at least two tokens"):
        layer(TOKENS[:, :1])
    with pytest.raises(ValueError, match="known numbers of tokens"):
        interactions.get("cross").build((None, None, 4))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_sub_layers_inherit_the_policy(policy):
    layer = layers.CrossArch(num_heads=2, dtype=policy)
    layer(tensors({"features": TOKENS, "sequence": SEQUENCE, "lengths": LENGTHS}))
    for part in (layer.compression, layer.feature_gate.mlp, layer.pma, layer.sequence_norm):
        assert part.compute_dtype == policy.removeprefix("mixed_")
