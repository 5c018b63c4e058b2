"""Attention maps: every attention leaves its weights under a path, in eager runs only."""

import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.case import LENGTHS, batch
from tests.layer_case import tensors
from tests.small_log import learned_schema, raw_batch
from tf_interformer import Ranker, backbones, layers
from tf_interformer.backbones import Hiformer, InterFormer
from tf_interformer.diagnostics import attention_maps, plot_attention, plot_spectra, token_names
from tf_interformer.layers._recording import recording

TASKS = ("click", "buy")


def assert_shares(weights):
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("compiled", [False, True])
def test_of_a_ranker(compiled):
    ranker = Ranker(
        learned_schema(TASKS),
        "hiformer",
        backbone_config={"num_heads": 2, "num_layers": 2},
        embedding={"dim": 8},
        tower_units=(8,),
    )
    if compiled:
        ranker.compile("adam", jit_compile=True)
    maps = attention_maps(ranker, ranker.preprocessor(raw_batch(5)))
    names = token_names(ranker)
    assert names == ["dense", "price_bucket", "item", "user", "tags", "country", "bought", "viewed", "click", "buy"]
    assert {path: weights.shape for path, weights in maps.items()} == {
        "backbone/block_0/attention": (5, 2, 10, 10),
        "backbone/block_1/attention": (5, 2, 2, 10),
    }
    for weights in maps.values():
        assert_shares(weights)


def test_the_weights_are_those_of_the_layer():
    layer = layers.CompositeAttention(2, dtype="float64")
    tokens = batch(dtype="float64")["features"]
    (path,) = (maps := attention_maps(layer, tokens))
    assert path == layer.name
    queries, keys = layer.query(tokens).numpy(), layer.key(tokens).numpy()
    scores = np.exp(np.einsum("bhqe,bhke->bhqk", queries, keys) / 2.0)
    np.testing.assert_allclose(maps[path], scores / scores.sum(axis=-1, keepdims=True), rtol=1e-10)


def test_of_interformer_with_a_path_for_each():
    layer = InterFormer(
        num_layers=2, num_heads=2, interaction="heterogeneous_attention", interaction_config={"num_heads": 2}
    )
    inputs = batch()
    maps = attention_maps(layer, tensors(inputs))
    for path, shape in {
        "sequence_arch_1/mha": (4, 2, 10, 10),
        "interaction_arch_0/interaction/block_0/attention": (4, 2, 13, 13),
        "cross_arch_0/pma": (4, 2, 2, 6),
        "final_cross_arch/pma": (4, 2, 2, 6),
    }.items():
        assert maps[path].shape == shape
        assert_shares(maps[path])
    assert len(maps) == 2 + 2 + 3
    assert maps["cross_arch_0/pma"][1, :, :, 4:].max() == 0.0  # no weight on padding: histories of 2 and 4 events


def test_of_pooling_by_attention_head_by_head():
    layer = layers.PoolingByAttention(3, 2, dtype="float64")
    inputs = {"sequence": batch(dtype="float64")["sequences"]["b"], "lengths": np.array([4, 4, 4, 4])}
    weights = attention_maps(layer, tensors(inputs))[layer.name]
    keys = (inputs["sequence"] @ layer.key_kernel.numpy()).reshape(4, 4, 2, 4)
    scores = np.exp(np.einsum("khe,bthe->bhkt", layer.seeds.numpy().reshape(3, 2, 4), keys) / 2.0)
    np.testing.assert_allclose(weights, scores / scores.sum(axis=-1, keepdims=True), rtol=1e-10)


@pytest.mark.parametrize("name", ["din", "dien"])
def test_of_the_events_that_a_candidate_looks_at(name):
    maps = attention_maps(backbones.get(name, targets={"a": [3, -1], "b": [3]}), tensors(batch()))
    by_time = {weights.shape[-1]: weights for weights in maps.values()}
    for sequence, time in (("a", 6), ("b", 4)):
        events = np.arange(time) < LENGTHS[sequence][:, None]
        assert by_time[time].shape == (4, 1, 1, time)
        np.testing.assert_array_equal(by_time[time][:, 0, 0] != 0, events)
        if name == "dien":  # of which the shares are a softmax
            assert_shares(by_time[time][events.any(axis=1)])


def test_half_precision_gives_float32():
    layer = Hiformer(num_heads=2, dtype="mixed_bfloat16")
    for weights in attention_maps(layer, tensors(batch())).values():
        assert weights.dtype == np.float32
        assert_shares(weights)


def test_nothing_is_recorded_in_a_graph_or_when_nobody_asks():
    layer = layers.HeterogeneousAttention(2)
    tokens = batch()["features"]
    layer(tokens)
    with recording() as recorded:
        tf.function(lambda x: layer(x), autograph=False)(tf.constant(tokens))
        assert not recorded
        layer(tokens)
        assert list(recorded) == [layer]
    with recording() as later:
        pass
    layer(tokens)
    assert not later


def test_a_model_without_attention_or_names_is_named():
    with pytest.raises(ValueError, match=r"no attention.*Received: MLP"):
        attention_maps(layers.MLP([3]), np.ones((2, 4), "float32"))
    ranker = Ranker(learned_schema(), backbone_config={"num_layers": 1, "num_heads": 2}, embedding={"dim": 8})
    with pytest.raises(ValueError, match="Received: InterFormer"):
        token_names(ranker)


def test_the_picture(tmp_path):
    weights = np.random.default_rng(0).dirichlet(np.ones(5), size=(3, 2, 5))
    names = ["user", "item", "views", "click", "buy"]
    figure = plot_attention(weights, names, tmp_path / "deep" / "map.png", title="block_0")
    assert (tmp_path / "deep" / "map.png").stat().st_size > 5_000
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), weights.mean(axis=(0, 1)))
    pruned = plot_attention(weights[:, :, -2:], names)
    assert [label.get_text() for label in pruned.axes[0].get_yticklabels()] == ["click", "buy"]
    assert (
        plot_attention(weights[0, 0, :1], names, query_names=["seed"], maximum=1.0).axes[0].images[0].get_clim()[1] == 1
    )


@pytest.mark.parametrize(
    ("weights", "names", "queries"),
    [(np.eye(3), ["a", "b"], None), (np.eye(3), list("abc"), ["a"]), (np.ones(3), list("abc"), None)],
)
def test_names_that_do_not_fit(weights, names, queries):
    with pytest.raises(ValueError, match="Received"):
        plot_attention(weights, names, query_names=queries)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="pip install"):
        plot_attention(np.eye(2), ["a", "b"])
    with pytest.raises(ValueError, match="at least one"):
        plot_spectra({})
