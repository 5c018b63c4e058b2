"""Dual Enhanced Attention and its two parts: the equations, the layer contract, the arguments."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from tests.layer_case import assert_close, check_layer, gradients, scramble, tensors
from tests.reference import dual_enhanced_attention as reference
from tests.reference.weights import weights_of
from tf_interformer import layers
from tf_interformer._keras import keras
from tf_interformer.layers import interactions
from tf_interformer.layers.collapse_avoiding_attention import batch_abundance

rng = np.random.default_rng(0)
IDS = np.array([[1, 2, 3, 0, 5], [2, 2, 3, 9, 5], [1, 0, 0, 0, 7], [4, 4, 4, 4, 4]], "int32")
TOKENS = rng.normal(size=(4, 5, 6))
INPUTS = {"tokens": TOKENS, "ids": IDS}
SMALL = {"tokens": TOKENS.astype("float32"), "ids": IDS}
SCORES = {"scores": rng.normal(size=(4, 2, 5, 5)).astype("float32"), "tokens": SMALL["tokens"]}
ABUNDANCES = np.array([0.9, 0.2, 0.6, 1.0, 0.5], "float32")
SHAPES = {"tokens": (4, 5, 6), "ids": (4, 5), "scores": (4, 2, 5, 5)}


def masks_of(layer):
    if isinstance(layer, layers.CollapseAvoidingAttention):
        return [layer]
    if isinstance(layer, layers.ComboIdAttention):
        return []
    if isinstance(layer, layers.DualEnhancedAttention):
        return [layer.collapse_avoiding] if layer.use_collapse_avoiding else []
    blocks = getattr(layer, "blocks", None) or [layer]
    return [mask for block in blocks for mask in masks_of(block.attention)]


def make(cls, **kwargs):
    """A layer whose fields differ in abundance: with equal ones the threshold would not matter."""
    layer = cls(**kwargs)
    names = ("scores", "tokens") if cls is layers.CollapseAvoidingAttention else ("tokens", "ids")
    layer.build({name: SHAPES[name] for name in names})
    for mask in masks_of(layer):
        if hasattr(mask, "abundance"):
            mask.abundance.assign(ABUNDANCES)
    return layer


def close(actual, expected):
    np.testing.assert_allclose(actual, np.array(expected), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("gate", ["softmax", "sigmoid"])
@pytest.mark.parametrize(("fields", "count"), [(None, 5), (None, 4), (None, 1), ([3, 0, 4], 5), ([2], 5)])
@pytest.mark.parametrize("codebooks", [1, 3])
def test_combo_ids(gate, fields, count, codebooks):
    inputs = {"tokens": TOKENS[:, :count], "ids": IDS[:, :count]}
    layer = layers.ComboIdAttention(2, codebooks, 20, 3, gate, fields, return_pairs=True, dtype="float64")
    layer(tensors(inputs))
    scramble(layer)
    got = layer(tensors(inputs))
    for b in range(4):
        pairs, scores = reference.combo(
            inputs["tokens"][b],
            inputs["ids"][b],
            weights_of(layer),
            heads=2,
            codebooks=codebooks,
            size=20,
            gate=gate,
            fields=fields,
        )
        close(got["pairs"][b], pairs)
        close(got["scores"][b], scores)


@pytest.mark.parametrize("pair", ["min", "product"])
@pytest.mark.parametrize("threshold_on", ["abundance", "score"])
@pytest.mark.parametrize("filter", ["soft", "hard"])
def test_masks(filter, threshold_on, pair):
    layer = make(
        layers.CollapseAvoidingAttention,
        filter=filter,
        threshold_on=threshold_on,
        pair_abundance=pair,
        threshold_strength=0.7,
        temperature=0.3,
        dtype="float64",
    )
    scores = SCORES["scores"].astype("float64")
    got = layer(tensors({"scores": scores, "tokens": TOKENS})).numpy()
    for b in range(4):
        expected = scores[b] + reference.log_mask(
            scores[b],
            ABUNDANCES.astype("float64"),
            [0.7, 0.7],
            temperature=0.3,
            threshold_on=threshold_on,
            pair=pair,
            hard=filter == "hard",
        )
        np.testing.assert_allclose(got[b], expected, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(np.diagonal(got[b], axis1=1, axis2=2), np.diagonal(scores[b], axis1=1, axis2=2))


@pytest.mark.parametrize("value_embedding", [False, True])
@pytest.mark.parametrize("fusion", ["gated", "weighted_sum", "multiply"])
def test_equals_the_equations(fusion, value_embedding):
    layer = make(
        layers.DualEnhancedAttentionBlock,
        num_heads=2,
        ffn_dim=5,
        fusion=fusion,
        value_embedding=value_embedding,
        combo_config={"codebook_size": 20, "codebook_dim": 3},
        collapse_config={"temperature": 0.3},
        dtype="float64",
    )
    scramble(layer)
    got = layer(tensors(INPUTS)).numpy()
    for b in range(4):
        expected = reference.block(
            TOKENS[b],
            IDS[b],
            weights_of(layer),
            heads=2,
            fusion=fusion,
            codebooks=2,
            size=20,
            gate="softmax",
            temperature=0.3,
            abundances=ABUNDANCES.astype("float64"),
        )
        np.testing.assert_allclose(got[b], expected, rtol=1e-6, atol=1e-6)


def test_both_switched_off_it_is_plain_attention():
    layer = layers.DualEnhancedAttention(2, combo=False, collapse_avoiding=False, dtype="float64")
    plain = layers.MultiHeadAttention(2, rotary=False, dtype="float64")
    got = layer(tensors(INPUTS))
    plain(TOKENS)
    plain.set_weights(layer.get_weights())
    close(got, plain(tf.constant(TOKENS)))
    close(layer([tf.constant(TOKENS[:, i]) for i in range(5)]), got)


COMBO = {"codebook_size": 20}
CONTRACT = {
    "combo": (layers.ComboIdAttention, {"num_heads": 2, **COMBO}, SMALL),
    "combo_of_fields": (
        layers.ComboIdAttention,
        {"num_heads": 2, "gate": "sigmoid", "fields": [1, 4], "return_pairs": True, **COMBO},
        SMALL,
    ),
    "mask": (layers.CollapseAvoidingAttention, {"temperature": 0.3}, SCORES),
    "mask_by_score": (layers.CollapseAvoidingAttention, {"threshold_on": "score"}, SCORES),
    "gated": (layers.DualEnhancedAttention, {"num_heads": 2, "combo_config": COMBO}, SMALL),
    "weighted_sum_and_values": (
        layers.DualEnhancedAttention,
        {"num_heads": 3, "fusion": "weighted_sum", "value_embedding": True, "combo_config": COMBO},
        SMALL,
    ),
    "multiply": (layers.DualEnhancedAttention, {"num_heads": 2, "fusion": "multiply", "combo_config": COMBO}, SMALL),
    "hard": (
        layers.DualEnhancedAttention,
        {"num_heads": 2, "collapse_config": {"filter": "hard"}, "combo_config": COMBO},
        SMALL,
    ),
    "plain": (layers.DualEnhancedAttention, {"combo": False, "collapse_avoiding": False, "num_heads": 2}, SMALL),
    "block": (layers.DualEnhancedAttentionBlock, {"num_heads": 2, "dropout": 0.1, "combo_config": COMBO}, SMALL),
    "interaction": (
        layers.DualEnhancedAttentionInteraction,
        {"num_heads": 2, "combo_config": COMBO, "collapse_config": {"temperature": 0.3}},
        SMALL,
    ),
}


@pytest.mark.parametrize("name", CONTRACT)
def test_contract(name):
    cls, arguments, inputs = CONTRACT[name]
    slow = name in ("combo_of_fields", "mask", "interaction")
    check_layer(partial(make, cls, **arguments), inputs, saves=slow, xla=slow)


@pytest.mark.parametrize("policy", ["mixed_float16", "float64"])
def test_policies(policy):
    layer = make(layers.DualEnhancedAttention, num_heads=2, value_embedding=True, combo_config=COMBO, dtype=policy)
    assert layer(tensors(INPUTS)).dtype.name == policy.removeprefix("mixed_")
    assert layer.combo.compute_dtype == policy.removeprefix("mixed_")


def test_ids_of_nothing_leave_no_trace():
    layer = make(layers.ComboIdAttention, num_heads=2, return_pairs=True, **COMBO)
    scramble(layer)
    inputs = {"tokens": SMALL["tokens"], "ids": np.where(np.arange(5) == 2, 0, 3 + IDS).astype("int32")}
    got = layer(tensors(inputs))
    assert not got["scores"].numpy()[:, :, 2].any() and not got["pairs"].numpy()[:, :, 2].any()
    assert got["scores"].numpy()[:, :, 1, 3].all()
    alone = gradients(layer, {**inputs, "ids": np.zeros_like(IDS)})
    assert not any(gradient.any() for gradient in alone.values())


def test_a_pair_changes_its_own_score_only():
    layer = make(layers.ComboIdAttention, num_heads=2, codebook_size=10_000, gate="sigmoid")
    other = {**SMALL, "ids": SMALL["ids"] + [0, 0, 0, 0, 17]}
    moved = np.abs(layer(tensors(SMALL)) - layer(tensors(other))).max(axis=(0, 1)) > 0
    expected = np.zeros((5, 5), bool)
    expected[4, :] = expected[:, 4] = True
    np.testing.assert_array_equal(moved, expected)


@pytest.mark.parametrize("shape", [(50, 3, 6), (4, 2, 9)])
def test_batch_abundance_is_that_of_the_singular_values(shape):
    tokens = rng.normal(size=shape)
    tokens[:, 1] = np.outer(rng.normal(size=shape[0]), rng.normal(size=shape[2]))
    got = batch_abundance(tf.constant(tokens)).numpy()
    expected = [reference.abundance(tokens[:, i]) / min(shape[0], shape[2]) for i in range(shape[1])]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    np.testing.assert_allclose(batch_abundance(tf.constant(tokens.astype("float32"))), expected, rtol=0.02)


def collapsed_batch():
    tokens = rng.normal(size=(64, 5, 6)).astype("float32")
    tokens[:, 3] = np.outer(rng.choice([-1, 1], 64), rng.normal(size=6))
    return {"scores": np.zeros((64, 2, 5, 5), "float32"), "tokens": tokens}


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_refresh_in_training_only_and_every_few_steps(mode):
    layer = layers.CollapseAvoidingAttention(refresh_every=3, momentum=0.25)
    inputs = tensors(collapsed_batch())

    def step(training):
        return layer(inputs, training=training)

    layer.build({name: tuple(x.shape) for name, x in inputs.items()})
    run = step if mode == "eager" else tf.function(step, jit_compile=mode == "xla", autograph=False)
    assert_close(run(False), inputs["scores"], 1e-6, "nothing is filtered before the first refresh")
    for _ in range(2):
        assert_close(run(True), inputs["scores"], 1e-6)
    np.testing.assert_array_equal(layer.abundance.numpy(), np.ones(5))
    masked = run(True)
    expected = 0.25 + 0.75 * batch_abundance(inputs["tokens"]).numpy()
    np.testing.assert_allclose(layer.abundance.numpy(), expected, rtol=1e-3)
    assert layer.abundance.numpy()[3] < 0.5 < np.delete(layer.abundance.numpy(), 3).min()
    for _ in range(2):
        assert_close(run(True), masked, 1e-6, "kept between refreshes")
        assert_close(run(False), masked, 1e-6, "kept for inference")
    np.testing.assert_allclose(layer.abundance.numpy(), expected, rtol=1e-3)
    run(True)
    assert not np.allclose(layer.abundance.numpy(), expected, rtol=1e-3)
    weights = tf.nn.softmax(masked).numpy()
    others = np.delete(np.arange(5), 3)
    assert weights[0][:, others, 3].max() < 0.1 and weights[0][:, 3, 3].min() > 0.4


def test_a_diverged_batch_does_not_fail():
    inputs = collapsed_batch()
    inputs["tokens"][0, 0, 0] = np.nan
    layer = layers.CollapseAvoidingAttention(refresh_every=1)
    layer(tensors(inputs), training=True)
    assert np.isfinite(layer.abundance.numpy()).all()


def test_equal_fields_are_not_filtered_however_hard():
    for filter in ("soft", "hard"):
        layer = layers.CollapseAvoidingAttention(filter=filter)
        layer.build({name: tuple(x.shape) for name, x in SCORES.items()})
        layer.abundance.assign(np.full(5, 0.7, "float32"))
        assert_close(layer(tensors(SCORES)), SCORES["scores"], 1e-5)


@pytest.mark.parametrize("filter", [None, "soft"])
def test_nothing_to_filter(filter):
    alone = {"scores": SCORES["scores"][:, :, :1, :1], "tokens": SCORES["tokens"][:, :1]}
    inputs = SCORES if filter is None else alone
    layer = layers.CollapseAvoidingAttention(filter=filter)
    assert_close(layer(tensors(inputs), training=True), inputs["scores"])
    assert not layer.weights


def test_interaction_arch_passes_the_ids():
    arch = layers.InteractionArch("dual_enhanced_attention", {"num_heads": 2, "combo_config": {"codebook_size": 999}})
    inputs = {"features": SMALL["tokens"], "summary": SMALL["tokens"][:, :2], "ids": IDS}
    one = arch(tensors(inputs)).numpy()
    other = arch(tensors({**inputs, "ids": IDS + 50})).numpy()
    assert one.shape == (4, 5, 6) and np.abs(one - other).max() > 1e-6
    with pytest.raises(ValueError, match="combo=False"):
        arch(tensors({"features": SMALL["tokens"], "summary": SMALL["tokens"][:, :2]}))


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r'pass \{"tokens".*combo=False'):
        interactions.get("dual_enhanced_attention", num_heads=2)([tf.constant(SMALL["tokens"][:, i]) for i in range(5)])
    plain = interactions.get("dual_enhanced_attention", num_heads=2, combo=False)
    assert plain([tf.constant(SMALL["tokens"][:, i]) for i in range(5)]).shape == (4, 5, 6)
    with pytest.raises(ValueError, match="num_heads"):
        layers.DualEnhancedAttention(4, combo=False)(tensors(SMALL))
    with pytest.raises(ValueError, match="below the number of tokens"):
        layers.ComboIdAttention(fields=[1, 5])(tensors(SMALL))
    for cls, wrong, message in [
        (layers.ComboIdAttention, {"gate": "max"}, "gate"),
        (layers.ComboIdAttention, {"fields": []}, "fields"),
        (layers.ComboIdAttention, {"fields": [1, 1]}, "fields"),
        (layers.ComboIdAttention, {"codebook_size": 2**30}, "2\\^31"),
        (layers.CollapseAvoidingAttention, {"filter": "firm"}, "filter"),
        (layers.CollapseAvoidingAttention, {"temperature": 0}, "temperature"),
        (layers.CollapseAvoidingAttention, {"threshold_strength": None}, "threshold_strength"),
        (layers.CollapseAvoidingAttention, {"momentum": 1.0}, "momentum"),
        (layers.DualEnhancedAttention, {"fusion": "add"}, "fusion"),
        (layers.DualEnhancedAttention, {"combo_config": {"codebook_size": 0}}, "codebook_size"),
        (layers.DualEnhancedAttention, {"combo": False, "value_embedding": True}, "value_embedding"),
        (layers.DualEnhancedAttentionInteraction, {"num_layers": 0}, "num_layers"),
    ]:
        with pytest.raises(ValueError, match=message):
            cls(**wrong)


def test_attention_weights_can_be_read():
    from tf_interformer.layers._recording import recording

    layer = make(layers.DualEnhancedAttention, num_heads=2, combo_config=COMBO)
    with recording() as recorded:
        layer(tensors(SMALL))
    (weights,) = recorded.values()
    assert weights.shape == (4, 2, 5, 5)
    np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-5)


def test_registered():
    layer = interactions.get("dual_enhanced_attention", num_heads=2, fusion="multiply")
    copy = interactions.get(keras.saving.serialize_keras_object(layer))
    assert copy.get_config() == layer.get_config() and copy.needs_ids
