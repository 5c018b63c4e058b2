"""Whatever stands in padding, and whatever a length says: no layer that takes lengths or a mask lets it through."""

import inspect
import re

import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.case import batch
from tests.layer_case import scramble, tensors
from tests.layers.test_contract import CASES as CONTRACT
from tests.layers.test_contract import HISTORY, normal
from tf_interformer import backbones, layers
from tf_interformer._keras import LEGACY, keras
from tf_interformer.layers import sequences

SMALL = {"num_heads": 2, "max_positions": 3}
WITH_TARGET = {**HISTORY, "target": normal(4, 6)}
CASES = {
    **{
        name: (kind, {**arguments, "dropout": 0.0} if "dropout" in arguments else arguments, inputs)
        for name, (kind, arguments, inputs) in CONTRACT.items()
        if isinstance(inputs, dict) and {"lengths", "mask"} & set(inputs)
    },
    "attentional_gru": (sequences.AttentionalGRU, {"units": 3}, {**HISTORY, "attention": normal(4, 7)}),
    "candidate_transformer": (sequences.CandidateTransformer, {"ffn_dim": 5, "num_recent_tokens": 3}, WITH_TARGET),
    "event_merging": (sequences.EventMerging, {"num_events": 3}, HISTORY),
    "event_merging_inner": (
        sequences.EventMerging,
        {"num_events": 2, "inner_transformer": True, "num_heads": 2},
        HISTORY,
    ),
    "hstu_block": (sequences.HSTUBlock, SMALL, HISTORY),
    "interest_decoder": (sequences.InterestDecoder, SMALL, WITH_TARGET),
    "interest_decoder_encoded": (sequences.InterestDecoder, SMALL, {**WITH_TARGET, "encoded": normal(4, 7, 6)}),
    "interest_evolution": (sequences.InterestEvolution, {}, WITH_TARGET),
    "interest_evolution_given": (sequences.InterestEvolution, {}, {**WITH_TARGET, "interests": normal(4, 7, 6)}),
    "match_to_rank": (sequences.MatchToRank, {"max_positions": 3}, WITH_TARGET),
    "multi_interest": (
        sequences.MultiInterest,
        {**SMALL, "num_interests": 2, "attention_units": (5,), "auxiliary_weight": 0.5},
        WITH_TARGET,
    ),
    "recency_positions": (sequences.RecencyPositions, {"dim": 4, "max_positions": 3}, HISTORY),
    "sequence_attention": (sequences.SequenceAttention, {"num_heads": 2, "causal": True}, HISTORY),
    "sequence_attention_window": (sequences.SequenceAttention, {"num_heads": 2, "window": 2}, HISTORY),
    "sequence_attention_query": (sequences.SequenceAttention, {"num_heads": 2}, {**HISTORY, "query": normal(4, 2, 6)}),
    "sequence_transformer": (sequences.SequenceTransformer, {**SMALL, "pooling": "mean"}, WITH_TARGET),
    "sequence_transformer_target": (sequences.SequenceTransformer, {**SMALL, "pooling": "target"}, WITH_TARGET),
    "target_attention": (sequences.TargetAttention, {"units": (5,)}, {**WITH_TARGET, "context": normal(4, 7, 3)}),
    "target_attention_softmax": (sequences.TargetAttention, {"normalize": True}, WITH_TARGET),
    "target_transducer": (sequences.TargetTransducer, SMALL, WITH_TARGET),
    "transformer_block": (sequences.TransformerBlock, {"num_heads": 2}, HISTORY),
}
# What has a number for each event.
BY_EVENT = ("sequence", "attention", "context", "encoded", "interests", "compared")
# What has a length for each sequence.
SEVERAL = {"sequences", "compared"}


def padded(sequence, count, value):
    """The sequence with a value at every position from `count` on."""
    behind = np.arange(sequence.shape[1]) >= np.reshape(count, (-1, 1))
    return np.where(behind if sequence.ndim == 2 else behind[:, :, None], np.float32(value), sequence)


def with_padding(inputs, arguments, value):
    if "mask" in inputs:
        return {**inputs, "sequence": np.where(inputs["mask"][:, :, None], inputs["sequence"], np.float32(value))}
    for part in SEVERAL & set(inputs):
        lengths = inputs["lengths"]
        if isinstance(lengths, dict):
            return {**inputs, part: {n: padded(x, lengths[n], value) for n, x in inputs[part].items()}}
    count = np.maximum(inputs["lengths"], 0) + arguments.get("num_cls_tokens", 0)
    return inputs | {name: padded(inputs[name], count, value) for name in BY_EVENT if name in inputs}


def with_lengths(inputs, arguments, beyond):
    """The first history is full, the last one empty, each by so many events too much."""

    def lengths(sequence):
        full = sequence.shape[1] - arguments.get("num_cls_tokens", 0)
        return np.array([full + beyond, 2, 1, -beyond])

    for part in SEVERAL & set(inputs):
        if isinstance(inputs["lengths"], dict):
            return {**inputs, "lengths": {name: lengths(x) for name, x in inputs[part].items()}}
    return {**inputs, "lengths": lengths(inputs["sequence"])}


def results(layer, inputs):
    """Outputs, losses, and the gradients of their sum in float64 by weights and inputs."""
    given = tensors(inputs)
    watched = [x for x in tf.nest.flatten(given) if x.dtype.is_floating]
    weights = [w if LEGACY else w.value for w in layer.trainable_weights]
    takes_training = "training" in inspect.signature(layer.call).parameters
    with tf.GradientTape() as tape:
        tape.watch(watched)
        outputs = tf.nest.flatten(layer(given, training=True) if takes_training else layer(given)) + list(layer.losses)
        total = tf.add_n([tf.reduce_sum(tf.sin(tf.cast(y, tf.float64))) for y in outputs])
    gradients = tape.gradient(total, weights + watched)
    return [np.asarray(tf.convert_to_tensor(x)) for x in outputs + gradients if x is not None]


def same(layer, inputs, expected):
    for one, two in zip(results(layer, inputs), expected, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("case", CASES)
def test_padding_and_lengths_out_of_bounds(case):
    kind, arguments, inputs = CASES[case]
    layer = kind(**arguments)
    zeros = with_padding(inputs, arguments, 0.0)
    layer(tensors(zeros))
    scramble(layer)
    expected = results(layer, zeros)
    for value in (np.nan, np.inf, 3e38):
        same(layer, with_padding(inputs, arguments, value), expected)
    if "lengths" in inputs:
        expected = results(layer, with_lengths(inputs, arguments, beyond=0))
        same(layer, with_lengths(inputs, arguments, beyond=5), expected)


def test_no_layer_is_left_out():
    every = [getattr(module, name) for module in (layers, sequences) for name in module.__all__]
    reading = {
        kind
        for kind in every
        if inspect.isclass(kind)
        and issubclass(kind, keras.layers.Layer)
        and re.search(r'"(lengths|mask|sequences)"', inspect.getsource(kind))
    }
    assert reading <= {kind for kind, _, _ in CASES.values()}


@pytest.mark.parametrize("name", backbones.names())
def test_backbones(name):
    inputs = batch()
    if name in ("memonet", "dual_enhanced_attention"):
        inputs["ids"] = np.arange(20, dtype="int32").reshape(4, 5)
    arguments = {"num_heads": 2, "targets": {"a": [3, -1], "b": [3]}}
    taken = backbones.arguments(name)
    layer = backbones.get(name, **{key: value for key, value in arguments.items() if key in taken})
    zeros = with_padding(inputs, {}, 0.0)
    layer(tensors(zeros))
    expected = results(layer, zeros)
    same(layer, with_padding(inputs, {}, np.nan), expected)
    expected = results(layer, with_lengths(inputs, {}, beyond=0))
    same(layer, with_lengths(inputs, {}, beyond=5), expected)
