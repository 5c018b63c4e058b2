"""Interactions of this package inside `tfrs.experimental.models.Ranking`."""

import itertools
import os

import numpy as np
import pytest
import tensorflow as tf

from tf_interformer import layers
from tf_interformer._keras import LEGACY, keras
from tf_interformer.layers import interactions

if not LEGACY:
    pytest.skip("TensorFlow Recommenders needs TF_USE_LEGACY_KERAS=1", allow_module_level=True)

import tensorflow_recommenders as tfrs

from tf_interformer.tfrs import FeatureInteraction

CONFIGS = {
    "cross": {"num_layers": 2, "rank": 4},
    "dhen": {},
    "dot": {},
    "dual_enhanced_attention": {"combo": False, "num_heads": 2, "collapse_config": {"refresh_every": 5}},
    "heterogeneous_attention": {"num_heads": 2},
    "hiformer": {"num_heads": 2, "rank_k": 4},
}
TFRS = tfrs.layers.feature_interaction


def vectors(count=5, number=4, width=8, seed=0):
    random = np.random.default_rng(seed)
    return [tf.constant(random.normal(size=(count, width)), tf.float32) for _ in range(number)]


class Embeddings(keras.layers.Layer):
    """The embedding layer that `Ranking` asks for: dict in, dict out."""

    def __init__(self, sizes, width):
        super().__init__()
        self.tables = [keras.layers.Embedding(size, width) for size in sizes]

    def call(self, inputs):
        return {name: table(inputs[name]) for name, table in zip(sorted(inputs), self.tables, strict=True)}


def ranking(interaction, **kwargs):
    keras.utils.set_random_seed(0)
    return tfrs.experimental.models.Ranking(
        embedding_layer=Embeddings((30, 3, 26), 16), feature_interaction=interaction, **kwargs
    )


def clicks(count=64, weighted=False, seed=0):
    """TFRS's input format; the click depends on the dense features and on the ids."""
    random = np.random.default_rng(seed)
    dense = random.uniform(size=(count, 8)).astype("float32")
    sparse = {str(i): random.integers(0, size, count) for i, size in enumerate((30, 3, 26))}
    click = (dense.mean(axis=1) + sum(sparse.values()) / 59 > 1.0).astype("int32")
    data = ({"dense_features": dense, "sparse_features": sparse}, click)
    return (*data, random.uniform(size=(count, 1)).astype("float32")) if weighted else data


def dataset(*args, batch=16, **kwargs):
    return tf.data.Dataset.from_tensor_slices(clicks(*args, **kwargs)).batch(batch)


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_layout_is_our_tokens_side_by_side(name):
    layer = FeatureInteraction(name, CONFIGS[name])
    features = vectors()
    out = layer(features)
    assert out.shape == (5, 4 * 8) == layer.compute_output_shape([(5, 8)] * 4)
    tokens = layer.interactions[0](tf.stack(features, axis=1))
    np.testing.assert_allclose(out, tf.reshape(tokens, (5, -1)), rtol=1e-5, atol=1e-6)


def test_every_interaction_is_covered():
    assert set(CONFIGS) <= set(interactions.names())


def test_mixed_with_layers_of_tfrs():
    cross = TFRS.Cross(kernel_initializer="ones")
    given = ["hiformer", TFRS.DotInteraction(), cross, keras.Sequential([keras.layers.Concatenate(), TFRS.Cross()])]
    layer = FeatureInteraction([*given, TFRS.MultiLayerDCN(), layers.DotInteraction()])
    features = vectors()
    out = layer(features).numpy()
    assert out.shape == (5, 32 + 6 + 32 + 32 + 32 + 32)
    assert layer.compute_output_shape([(None, 8)] * 4) == (None, out.shape[1])
    assert layer.interactions[2] is cross
    together = np.concatenate(features, axis=1)
    np.testing.assert_allclose(out[:, 32:38], TFRS.DotInteraction()(features), rtol=1e-5)
    np.testing.assert_allclose(out[:, 38:70], cross(together), rtol=1e-5)
    expected = together * together.sum(axis=1, keepdims=True) + together  # a matrix of ones
    np.testing.assert_allclose(out[:, 38:70], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_dlrm_of_tfrs_with_our_interaction(name):
    model = ranking(FeatureInteraction(name, CONFIGS[name]))
    model.compile(keras.optimizers.Adam(5e-3))
    model.fit(dataset(), epochs=1, verbose=0)
    before = [w.numpy() for w in model.trainable_weights]
    losses = model.fit(dataset(), epochs=8, verbose=0).history["total_loss"]
    assert losses[-1] < losses[0]
    for old, weight in zip(before, model.trainable_weights, strict=True):
        assert not np.array_equal(old, weight.numpy()), weight.name
    assert {"loss", "accuracy", "auc"} <= set(model.evaluate(dataset(), verbose=0, return_dict=True))


# The arguments over which TFRS's own test of its Ranking model goes.
@pytest.mark.parametrize(
    "bottom, top, concat_dense, weighted",
    [*itertools.product((False, True), (False, True), (True, False), (False, True))][::6],
)
def test_all_forms_of_ranking(bottom, top, concat_dense, weighted):
    model = ranking(
        FeatureInteraction(["cross", TFRS.DotInteraction()], None),
        bottom_stack=tfrs.layers.blocks.MLP(units=[40, 16]) if bottom else None,
        top_stack=tfrs.layers.blocks.MLP(units=[40, 20, 1], final_activation="sigmoid") if top else None,
        concat_dense=concat_dense,
    )
    model.compile(keras.optimizers.legacy.Adam(), steps_per_execution=2)
    data = dataset(weighted=weighted)
    model.fit(data.repeat(), validation_data=data, epochs=1, steps_per_epoch=4, verbose=0)
    assert "accuracy" in model.evaluate(data, return_dict=True, verbose=0)


def test_tpu_embedding_of_tfrs_and_two_optimizers():
    table = tf.tpu.experimental.embedding.TableConfig
    feature = tf.tpu.experimental.embedding.FeatureConfig
    features = {str(i): feature(table=table(size, 16, name=f"table_{i}")) for i, size in enumerate((30, 3, 26))}
    adam = keras.optimizers.legacy.Adam()
    embedding = tfrs.experimental.layers.embedding.PartialTPUEmbedding(features, adam, size_threshold=20)
    model = tfrs.experimental.models.Ranking(embedding, feature_interaction=FeatureInteraction("hiformer"))
    both = [(adam, lambda: model.embedding_trainable_variables), (adam, lambda: model.dense_trainable_variables)]
    model.compile(tfrs.experimental.optimizers.CompositeOptimizer(both))
    model.fit(dataset(), epochs=1, verbose=0)


@pytest.mark.parametrize("last", [1, 3])
def test_shapes_that_ranking_squeezes_away(last):
    """An unknown batch size leaves no shape at all, and a batch of one loses its axis."""
    model = ranking(FeatureInteraction("hiformer"))
    model.compile(keras.optimizers.Adam())
    model.fit(dataset(16 + last), epochs=1, verbose=0)
    features = clicks(16 + last)[0]
    whole = model(features).numpy()
    alone = model(tf.nest.map_structure(lambda x: x[:1], features)).numpy()
    np.testing.assert_allclose(alone, whole[:1], rtol=1e-4)


def test_saved_by_config_and_as_saved_model(tmp_path):
    layer = FeatureInteraction(["dhen", TFRS.Cross()])
    inputs = [keras.Input((8,)) for _ in range(4)]
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    features = vectors()
    again = keras.models.load_model(tmp_path / "model.keras", custom_objects={"Cross": TFRS.Cross})
    np.testing.assert_array_equal(again(features), model(features))
    tf.saved_model.save(model, os.fspath(tmp_path / "saved"))
    served = tf.saved_model.load(os.fspath(tmp_path / "saved"))
    np.testing.assert_allclose(served(features), model(features), rtol=1e-5, atol=1e-6)


def test_half_precision_and_gradients():
    layer = FeatureInteraction(["hiformer", "cross", TFRS.Cross()], dtype="mixed_bfloat16")
    with tf.GradientTape() as tape:
        out = layer(vectors())
        loss = tf.reduce_sum(tf.cast(out, tf.float32) ** 2)
    assert out.dtype == tf.bfloat16
    assert all(g is not None for g in tape.gradient(loss, layer.trainable_weights))


def test_errors():
    with pytest.raises(ValueError, match=r"belongs to one interaction given by name. Received: interaction=\['dot'\]"):
        FeatureInteraction(["dot"], {"num_layers": 1})
    with pytest.raises(ValueError, match=r"at least one interaction. Received: an empty list"):
        FeatureInteraction([])
    with pytest.raises(ValueError, match=r"An? interaction must be .* Received: 'crss'"):
        FeatureInteraction("crss")
    with pytest.raises(ValueError, match=r"vectors .* of equal, known dim. Received: shapes"):
        FeatureInteraction("dot")([tf.zeros((2, 3)), tf.zeros((2, 4))])
    with pytest.raises(ValueError, match="needs the ids"):
        FeatureInteraction("dual_enhanced_attention", {"combo_config": {"codebook_size": 10}})(vectors())
