"""The layers of Hiformer: contract, naive loops in float64, low rank and pruning as identities."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from tests.layer_case import check_layer, gradients, scramble, tensors
from tests.reference import hiformer as reference
from tests.reference.weights import weights_of
from tf_interformer import layers
from tf_interformer._keras import keras
from tf_interformer.layers import interactions

rng = np.random.default_rng(0)
TOKENS = rng.normal(size=(3, 4, 6)).astype("float32")

CASES = {
    "projection": (layers.CompositeProjection, {"num_heads": 2, "head_dim": 3, "use_bias": True}),
    "projection_low_rank": (layers.CompositeProjection, {"num_heads": 2, "head_dim": 3, "rank": 5, "num_outputs": 2}),
    "projection_rank_per_head": (
        layers.CompositeProjection,
        {"num_heads": 2, "head_dim": 3, "rank": 5, "num_outputs": 2, "rank_per_head": True},
    ),
    "heterogeneous": (layers.HeterogeneousAttention, {"num_heads": 3}),
    "heterogeneous_pruned": (
        layers.HeterogeneousAttention,
        {"num_heads": 4, "key_dim": 2, "value_dim": 5, "num_queries": 1, "dropout": 0.1},
    ),
    "composite": (layers.CompositeAttention, {"num_heads": 2}),
    "composite_low_rank": (
        layers.CompositeAttention,
        {"num_heads": 2, "key_dim": 2, "value_dim": 5, "rank_k": 3, "rank_v": 7, "num_queries": 2},
    ),
    "composite_rank_per_head": (
        layers.CompositeAttention,
        {"num_heads": 2, "rank_k": 2, "rank_v": 4, "rank_per_head": True},
    ),
    "composite_own_query": (layers.CompositeAttention, {"num_heads": 2, "composite_query": False, "num_queries": 2}),
    "feed_forward": (layers.HeterogeneousFeedForward, {}),
    "feed_forward_gated": (layers.HeterogeneousFeedForward, {"gated": True, "activation": "swish", "start": 0.1}),
    "feed_forward_swish": (layers.HeterogeneousFeedForward, {"hidden_dim": 5, "activation": "swish", "dropout": 0.1}),
    "block": (layers.HiformerBlock, {"num_heads": 2}),
    "block_pre": (layers.HiformerBlock, {"num_heads": 2, "norm": "pre", "num_queries": 1, "rank_k": 4, "rank_v": 4}),
    "block_heterogeneous": (
        layers.HiformerBlock,
        {"num_heads": 2, "attention": "heterogeneous", "dropout": 0.1, "num_queries": 2},
    ),
    "interaction": (layers.HiformerInteraction, {"num_layers": 2, "num_heads": 2, "rank_k": [3, None], "norm": "pre"}),
    "interaction_rank_per_head": (layers.HiformerInteraction, {"num_heads": 2, "rank_v": 4, "rank_per_head": True}),
    "interaction_heterogeneous": (layers.HeterogeneousAttentionInteraction, {"num_heads": 2, "ffn_dim": 5}),
}
COMPILED = {
    "projection_low_rank",
    "projection_rank_per_head",
    "heterogeneous_pruned",
    "composite_low_rank",
    "interaction",
}


@pytest.mark.parametrize("name", CASES)
def test_contract(name):
    layer, arguments = CASES[name]
    check_layer(partial(layer, **arguments), TOKENS, saves=name in COMPILED, xla=name in COMPILED)


def run(layer, inputs=TOKENS):
    """Outputs in float64, with weights off their initial values."""
    inputs = inputs.astype("float64")
    layer(inputs)
    scramble(layer, scale=0.3)
    return layer(inputs).numpy(), weights_of(layer)


def close(actual, expected, tolerance=1e-10):
    np.testing.assert_allclose(actual, np.array(expected), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rank", [None, 2, 99])
@pytest.mark.parametrize("num_outputs", [None, 3])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("rank_per_head", [True, False])
def test_composite_projection(rank, num_outputs, use_bias, rank_per_head):
    layer = layers.CompositeProjection(2, 5, rank, num_outputs, use_bias, rank_per_head, dtype="float64")
    got, weights = run(layer)
    assert got.shape == (3, 2, num_outputs or 4, 5) == layer.compute_output_shape((3, 4, 6))
    close(got, [reference.composite(tokens, weights, 2, 5) for tokens in TOKENS])


@pytest.mark.parametrize("queries", [None, 1, 3])
@pytest.mark.parametrize("dims", [(None, None), (2, 4)])
@pytest.mark.parametrize("form", ["heterogeneous", "composite", "low_rank", "rank_per_head", "own_query"])
def test_attention(form, dims, queries):
    arguments = {
        "heterogeneous": {},
        "composite": {},
        "low_rank": {"rank_k": 3, "rank_v": 5},
        "rank_per_head": {"rank_k": 3, "rank_v": 5, "rank_per_head": True},
        "own_query": {"composite_query": False, "rank_v": 4},
    }[form]
    kind = layers.HeterogeneousAttention if form == "heterogeneous" else layers.CompositeAttention
    got, weights = run(kind(3, *dims, num_queries=queries, dtype="float64", **arguments))
    key_dim, value_dim = dims[0] or 2, dims[1] or 2
    close(got, [reference.attention(list(x), weights, 3, key_dim, value_dim, queries) for x in TOKENS])


def test_feed_forward():
    got, weights = run(layers.HeterogeneousFeedForward(5, dtype="float64"))
    close(got, [reference.feed_forward(tokens, weights) for tokens in TOKENS])


@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("queries", [None, 2])
def test_block(norm, queries):
    got, weights = run(layers.HiformerBlock(num_heads=2, norm=norm, num_queries=queries, dtype="float64"))
    close(got, [reference.block(list(x), weights, 2, 3, 3, norm, queries) for x in TOKENS])


@pytest.mark.parametrize("name", ["hiformer", "heterogeneous_attention"])
@pytest.mark.parametrize("tokens", [1, 2, 4])
def test_interactions(name, tokens):
    layer = interactions.get(name, num_layers=2, num_heads=2, dtype="float64")
    inputs = TOKENS[:, :tokens].astype("float64")
    got, weights = run(layer, inputs)
    for x, y in zip(inputs, got, strict=True):
        for block in weights["blocks"]:
            x = reference.block(list(x), block, 2, 3, 3)
        close(y, x)
    close(layer([tf.constant(inputs[:, i]) for i in range(tokens)]), got)
    clone = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert clone.attention == ("composite" if name == "hiformer" else "heterogeneous")


def factors(kernel, heads, rank=None):
    """The factors of the matrix by its singular values; those of every head's matrix where there are heads."""
    left, right = [], []
    for matrix in np.split(kernel, heads or 1, axis=1):
        u, s, v = np.linalg.svd(matrix, full_matrices=False)
        left.append((u * s)[:, :rank])
        right.append(v[:rank])
    return [np.concatenate(left, axis=1), np.stack(right) if heads else right[0]]


@pytest.mark.parametrize("outputs", [None, 1])
@pytest.mark.parametrize("rank_per_head", [True, False])
def test_low_rank_at_full_rank_is_the_full_projection(outputs, rank_per_head):
    full = layers.CompositeProjection(2, 5, num_outputs=outputs, dtype="float64")
    expected, weights = run(full)
    low = layers.CompositeProjection(
        2, 5, rank=10**6, num_outputs=outputs, rank_per_head=rank_per_head, dtype="float64"
    )
    low(TOKENS)
    low.set_weights(factors(weights["kernel"], 2 if rank_per_head else None))
    close(low(TOKENS), expected, 1e-12)


def test_a_lower_rank_is_the_best_approximation_of_that_rank():
    full = layers.CompositeProjection(2, 5, dtype="float64")
    expected, weights = run(full)
    errors = []
    for rank in (6, 12, 18, 24):
        low = layers.CompositeProjection(2, 5, rank=rank, dtype="float64")
        low(TOKENS)
        low.set_weights(factors(weights["kernel"], None, rank))
        errors.append(np.abs(low(TOKENS) - expected).mean())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-12


@pytest.mark.parametrize("rank", [None, 1, 8, 64, 10**6])
@pytest.mark.parametrize("rank_per_head", [True, False])
def test_outputs_start_with_the_variance_of_the_inputs(rank, rank_per_head):
    keras.utils.set_random_seed(1)
    inputs = np.random.default_rng(1).normal(size=(200, 12, 16)).astype("float32")
    variance = float(np.var(layers.CompositeProjection(8, 8, rank, rank_per_head=rank_per_head)(inputs)))
    assert 0.7 < variance < 1.4


def test_heads_share_a_pair_of_factors_or_have_one_each():
    shapes = {}
    for rank_per_head in (True, False):
        layer = layers.CompositeProjection(2, 3, rank=5, rank_per_head=rank_per_head)
        layer(TOKENS)
        shapes[rank_per_head] = [tuple(w.shape) for w in layer.weights]
    assert shapes == {False: [(24, 5), (5, 24)], True: [(24, 10), (2, 5, 12)]}


@pytest.mark.parametrize(("rank_per_head", "shapes"), [(False, [(24, 6), (6, 6)]), (True, [(24, 6), (2, 3, 3)])])
def test_the_rank_is_cut_to_that_of_the_full_matrix(rank_per_head, shapes):
    layer = layers.CompositeProjection(2, 3, rank=100, num_outputs=1, rank_per_head=rank_per_head)
    layer(TOKENS)
    assert [tuple(w.shape) for w in layer.weights] == shapes


def test_queries_that_attend_equally_average_the_values():
    layer = layers.CompositeAttention(2, dtype="float64")
    layer(TOKENS)
    layer.query.set_weights([np.zeros((24, 24))])
    values = layer.value(TOKENS).numpy()
    mean = np.broadcast_to(values.mean(axis=2, keepdims=True), values.shape)
    joined = mean.transpose(0, 2, 1, 3).reshape(3, 4, 6)
    close(layer(TOKENS), np.einsum("ble,led->bld", joined, layer.output_kernel.numpy()))


def test_tokens_have_projections_of_their_own():
    """Equal tokens get different outputs, which an attention with shared projections could not give."""
    inputs = np.tile(TOKENS[:, :1], (1, 4, 1))
    for layer in (layers.HeterogeneousAttention(2), layers.HeterogeneousFeedForward(), layers.CompositeAttention(2)):
        output = layer(inputs).numpy()
        assert np.abs(output[:, 1:] - output[:, :1]).max() > 0.1


def test_softmax_is_wide_in_half_precision():
    inputs = 30.0 * TOKENS
    half = layers.CompositeAttention(2, dtype="mixed_bfloat16")
    assert np.isfinite(tf.cast(half(inputs), "float32").numpy()).all()
    for gradient in gradients(half, inputs).values():
        assert np.isfinite(np.asarray(gradient, "float32")).all()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: layers.CompositeProjection(0, 3), "num_heads"),
        (lambda: layers.CompositeProjection(2, 3, rank=0), "rank"),
        (lambda: layers.CompositeProjection(2, 3, num_outputs=5)(TOKENS), "num_outputs=5, 4 tokens"),
        (lambda: layers.HeterogeneousAttention(num_queries=0), "num_queries"),
        (lambda: layers.HeterogeneousAttention(2, num_queries=5)(TOKENS), "num_queries=5, 4 tokens"),
        (lambda: layers.HeterogeneousAttention(4)(TOKENS), "num_heads=4, width 6"),
        (lambda: layers.CompositeAttention(4, key_dim=2)(TOKENS), "num_heads=4, width 6"),
        (lambda: layers.CompositeAttention(rank_k=0), "rank_k"),
        (lambda: layers.CompositeAttention(rank_v=1.5), "rank_v"),
        (lambda: layers.HeterogeneousFeedForward(0), "hidden_dim"),
        (lambda: layers.HeterogeneousFeedForward(dropout=1), "dropout"),
        (lambda: layers.HiformerBlock("vanilla"), "attention"),
        (lambda: layers.HiformerBlock("heterogeneous", rank_k=3), "rank_k=3"),
        (lambda: layers.HiformerBlock(norm="middle"), "norm"),
        (lambda: layers.HiformerBlock(ffn_dim=0), "ffn_dim"),
        (lambda: layers.HiformerInteraction(2, rank_k=[3]), r"rank_k=\[3\], num_layers=2"),
        (lambda: layers.HiformerInteraction(0), "num_layers"),
        (lambda: interactions.get("heterogeneous_attention", rank_k=3), "rank_k"),
    ],
)
def test_a_wrong_argument_is_named(make, named):
    with pytest.raises(ValueError, match=named):
        make()


def test_dropout_acts_in_training_only():
    for layer in (layers.CompositeAttention(2, dropout=0.5), layers.HeterogeneousFeedForward(dropout=0.5)):
        inputs = tensors(TOKENS)
        np.testing.assert_array_equal(layer(inputs), layer(inputs))
        assert np.abs((layer(inputs, training=True) - layer(inputs)).numpy()).max() > 1e-3
