"""Single layers against naive loops and explicit formulas, in float64."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from tests.layer_case import scramble, tensors
from tests.reference import interformer as reference
from tests.reference.weights import weights_of
from tf_interformer import layers
from tf_interformer._keras import keras
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


@pytest.mark.parametrize("sigma", ["identity", "tanh", "sigmoid", "glu"])
def test_gating(sigma):
    layer = layers.Gating(sigma, [5], dtype="float64")
    got = run(layer, TOKENS)
    close(got, [reference.gating(tokens, weights_of(layer), sigma) for tokens in TOKENS])


@pytest.mark.parametrize("scale", [0.01, 1.0])
@pytest.mark.parametrize(("sigma", "passes"), [("identity", 1.0), ("glu", 0.5)])
def test_a_fresh_gate_lets_a_token_pass(sigma, passes, scale):
    inputs = scale * rng.normal(size=(64, 6, 16))
    gates = layers.Gating(sigma, dtype="float64")(inputs).numpy() / inputs / passes
    assert abs(gates.mean() - 1.0) < 0.05 and gates.std() < 0.15 and gates.min() > 0.4


@pytest.mark.parametrize(("activation", "passes"), [(None, 1.0), ("sigmoid", 0.5)])
def test_a_fresh_mask_lets_an_event_pass(activation, passes):
    """Of a quiet event the mask is what its last bias starts at."""
    events = 1e-6 * SEQUENCE
    layer = layers.MaskNetMerge(8, mask_activation=activation, dtype="float64")
    merged = layer(tensors({"sequences": {"a": events}, "lengths": {"a": np.full(4, 5, "int32")}}))["sequence"]
    np.testing.assert_allclose(1e6 * merged, 1e6 * passes * (events @ layer.kernel.numpy()), atol=1e-3)


@pytest.mark.parametrize(("ratio", "hidden"), [(0.5, 4), (2, 16), (1e-3, 1)])
def test_the_hidden_layer_of_a_mask_is_a_multiple_of_its_input(ratio, hidden):
    layer = layers.MaskNetMerge(3, mask_ratio=ratio)
    layer(tensors({"sequences": {"a": SEQUENCE}, "lengths": {"a": LENGTHS}}))
    assert layer.mask.units == (hidden, 8)


@pytest.mark.parametrize("mode", ["linear", "two_layer", "plain"])
def test_a_personalized_ffn_starts_with_so_much_of_its_output(mode):
    inputs = tensors({"sequence": SEQUENCE, "summary": rng.normal(size=(4, 3, 8))})
    outputs = []
    for start in (1.0, 0.1):
        keras.utils.set_random_seed(1)
        outputs.append(layers.PersonalizedFFN(mode, start=start, dtype="float64")(inputs).numpy())
    assert np.abs(outputs[0]).max() > 0.1
    np.testing.assert_allclose(outputs[1], 0.1 * outputs[0], rtol=1e-6, atol=1e-9)


def test_a_residual_branch_starts_near_the_identity_and_the_printed_form_at_full_strength():
    inputs = tensors({"sequence": SEQUENCE, "lengths": LENGTHS, "summary": rng.normal(size=(4, 3, 8))})
    outputs = []
    for residual in (False, True):
        keras.utils.set_random_seed(1)
        outputs.append(layers.SequenceArch(attention=False, residual=residual, dtype="float64")(inputs).numpy())
    events = SEQUENCE * (np.arange(SEQUENCE.shape[1]) < LENGTHS[:, None])[:, :, None]
    joined = events + 0.1 * outputs[0]
    fresh = {"gamma": np.ones(8), "beta": np.zeros(8)}
    close(outputs[1], [[reference.layer_norm(list(x), fresh, reference.SOFT) for x in tokens] for tokens in joined])


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


def test_pooling_by_a_whole_attention_block():
    layer = layers.PoolingByAttention(3, 2, full=True, dtype="float64")
    got = run(layer, {"sequence": SEQUENCE, "lengths": LENGTHS})
    for i, length in enumerate(LENGTHS):
        close(got[i], reference.pma_block([list(x) for x in SEQUENCE[i, :length]], weights_of(layer), 2))


def test_target_pooling():
    target = rng.normal(size=(4, 11))
    layer = layers.TargetPooling(3, 2, dtype="float64")
    got = run(layer, {"sequence": SEQUENCE, "lengths": LENGTHS, "target": target})
    for i, length in enumerate(LENGTHS):
        events = [list(x) for x in SEQUENCE[i, :length]]
        close(got[i], reference.target_pooling(target[i], events, weights_of(layer), 2))


@pytest.mark.parametrize("aggregation", ["selective", "average", "mlp", "mha"])
def test_what_stands_at_padded_positions_is_never_summarised(aggregation):
    layer = layers.CrossArch(num_heads=2, aggregation=aggregation, dtype="float64")
    inputs = {"features": TOKENS, "sequence": SEQUENCE, "lengths": LENGTHS}
    expected = run(layer, inputs)["sequence"]
    padded = (np.arange(5) >= LENGTHS[:, None])[:, :, None]
    close(layer(tensors({**inputs, "sequence": np.where(padded, 1e3, SEQUENCE)}))["sequence"], expected)


def test_summaries_of_other_aggregations():
    inputs = {"features": TOKENS, "sequence": SEQUENCE, "lengths": LENGTHS}
    plain = {"gating": None, "normalize": False, "summarize_features": False, "cls_tokens": False, "num_heads": 2}
    got = run(layers.CrossArch(aggregation="average", **plain, dtype="float64"), inputs)["sequence"]
    means = [SEQUENCE[i, :length].mean(axis=0) if length else np.zeros(8) for i, length in enumerate(LENGTHS)]
    close(got, np.array(means)[:, None])
    layer = layers.CrossArch(aggregation="mlp", **plain, dtype="float64")
    got = run(layer, inputs)["sequence"]
    events = np.where((np.arange(5) < LENGTHS[:, None])[:, :, None], SEQUENCE, 0.0)
    assert got.shape == (4, 4, 8)
    close(got, [reference.lce(list(x), layer.mixing.kernel.numpy()) for x in events])
    layer = layers.CrossArch(aggregation="mha", **plain, dtype="float64")
    got = run(layer, inputs)["sequence"]
    for i, length in enumerate(LENGTHS):
        events = [list(x) for x in SEQUENCE[i, :length]]
        attended = reference.attention(events, weights_of(layer.attention), 2, None) if length else np.zeros((1, 8))
        close(got[i], np.mean(attended, axis=0, keepdims=True))


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
    ("name", "config"),
    [
        ("dot", {}),
        ("cross", {"num_layers": 2}),
        ("dcn_v2", {"rank": 3}),
        ("dhen", {"rank": 3}),
        ("dhen", {"rank": None, "shortcut": "identity", "num_layers": 2, "cross_layers": 2}),
    ],
)
def test_interactions(name, config, tokens):
    layer = interactions.get(name, dtype="float64", **config)
    got = run(layer, TOKENS[:, :tokens])
    naive = partial(reference.dhen, epsilon=1.0) if name == "dhen" else reference.INTERACTIONS[layer_form(name)]
    close(got, [naive([list(token) for token in x], weights_of(layer)) for x in TOKENS[:, :tokens]])
    as_list = layer([tf.constant(TOKENS[:, i]) for i in range(tokens)])
    close(as_list, got)


@pytest.mark.parametrize("own, others", [(2, 3), (1, 4), (3, 1)])
@pytest.mark.parametrize("name", ["dot", "dcn_v2", "dhen"])
def test_tokens_that_examples_share(name, own, others):
    """Four examples of two users, and all four of one."""
    layer = interactions.get(name, dtype="float64", **({"rank": 3} if name != "dot" else {}))
    tokens, shared = TOKENS[:, :own], TOKENS[:2, ::-1][:, :others]
    row = np.array([1, 0, 0, 1], "int32")
    got = run(layer, {"tokens": tokens, "shared": shared, "row": row})
    naive = partial(reference.dhen, epsilon=1.0) if name == "dhen" else reference.INTERACTIONS[name]

    def expected(row):
        every = np.concatenate([tokens, shared[row]], axis=1)
        return [naive([list(token) for token in x], weights_of(layer), shared=others) for x in every]

    close(got, expected(row))
    of_one = {"tokens": tokens, "shared": shared[:1], "row": 0 * row}
    close(layer(tensors(of_one)), expected(0 * row))


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
