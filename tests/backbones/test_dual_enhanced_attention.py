"""The network of Dual Enhanced Attention: the layer contract, its inputs, in a Ranker."""

from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.case import batch, with_garbage
from tests.layer_case import assert_close, check_layer, scramble, shapes, tensors
from tests.small_log import learned_schema, raw_batch
from tf_interformer import Ranker, backbones
from tf_interformer._keras import keras
from tf_interformer.backbones import DualEnhancedAttentionNetwork

COMBO = {"codebook_size": 50, "codebook_dim": 3}
VARIANTS = {
    "default": {},
    "one_layer": {"num_layers": 1},
    "two_tasks": {"tasks": ["click", "buy"], "fusion": "weighted_sum", "value_embedding": True, "num_layers": 1},
    "attention_pooling": {"sequence_pooling": "attention", "num_sequence_tokens": 2, "dropout": 0.1},
    "of_fields": {"combo_config": {"fields": [1, 2], **COMBO}, "fusion": "multiply"},
    "plain": {"combo": False, "collapse_avoiding": False, "combo_config": None},
}


def inputs(**kwargs):
    made = batch(**kwargs)
    ids = np.random.default_rng(3).integers(0, 5, made["features"].shape[:2]).astype("int32")
    return {**made, "ids": ids}


def make(name="default", **kwargs):
    """A network whose fields differ in abundance, as after some training."""
    config = {"num_heads": 2, "combo_config": COMBO, "collapse_config": {"temperature": 0.3}, **VARIANTS[name]}
    layer = DualEnhancedAttentionNetwork(**{**config, **kwargs})
    layer.build(shapes(inputs()))
    for block in layer.interaction.blocks:
        mask = block.attention.collapse_avoiding
        if mask is not None:
            mask.abundance.assign(np.linspace(0.1, 1.0, mask.abundance.shape[0]))
    return layer


@pytest.mark.parametrize("name", VARIANTS)
def test_contract(name):
    slow = name == "one_layer"
    check_layer(partial(make, name), inputs(), saves=slow, xla=slow)


def test_padding_never_changes_the_output():
    layer = make()
    scramble(layer)
    expected = layer(tensors(inputs()))
    for scale in (1e4, np.nan):
        assert_close(layer(tensors(with_garbage(inputs(), scale=scale))), expected, 1e-5)


def test_without_sequences_the_tokens_are_the_features():
    few = {**inputs(), "sequences": {}, "lengths": {}}
    layer = DualEnhancedAttentionNetwork(num_heads=2, combo_config=COMBO)
    assert layer(tensors(few))["label"].shape == (4, 5 * 8)


def test_without_ids():
    without = {k: v for k, v in inputs().items() if k != "ids"}
    with pytest.raises(ValueError, match="combo=False"):
        make()(tensors(without))
    assert make("plain")(tensors(without))["label"].shape == (4, 7 * 8)


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="num_tokens=2"):
        DualEnhancedAttentionNetwork(num_sequence_tokens=2)
    with pytest.raises(ValueError, match="num_layers"):
        DualEnhancedAttentionNetwork(num_layers=0)


def ranker(**kwargs):
    keras.utils.set_random_seed(1)
    config = {"num_layers": 1, "num_heads": 2, "combo_config": COMBO, "collapse_config": {"refresh_every": 2}}
    return Ranker(learned_schema(), "dual_enhanced_attention", {**config, **kwargs}, {"dim": 8}, tower_units=(8,))


def data(model, count=64):
    encode = model.preprocessor
    raw = tf.data.Dataset.from_tensor_slices(raw_batch(count, 3)).batch(16)
    return raw.map(lambda b: (encode(b), encode.labels(b)))


@pytest.mark.parametrize("jit", [False, True])
def test_fits_refreshes_and_comes_back_from_a_file(jit, tmp_path):
    model = ranker()
    model.compile(keras.optimizers.Adam(5e-3), jit_compile=jit)
    losses = model.fit(data(model), epochs=8, verbose=0, shuffle=False).history["loss"]
    assert losses[-1] < 0.8 * losses[0]
    abundance = model.backbone.interaction.blocks[0].attention.collapse_avoiding.abundance.numpy()
    assert (abundance < 0.95).all() and (abundance >= 1 / 8).all()
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = Ranker.from_file(path)
    assert_close(loaded.score(raw_batch()), model.score(raw_batch()), 1e-6)
    kept = loaded.backbone.interaction.blocks[0].attention.collapse_avoiding.abundance.numpy()
    np.testing.assert_array_equal(kept, abundance)


def test_two_layers_have_codebooks_of_their_own():
    model = ranker(num_layers=2)
    first, second = (block.attention.combo.codebooks for block in model.backbone.interaction.blocks)
    assert first.shape == (100, 3) and not np.array_equal(first.numpy(), second.numpy())


def test_registry():
    layer = backbones.get("dual_enhanced_attention", tasks=["click"], num_layers=1, fusion="multiply")
    assert isinstance(layer, DualEnhancedAttentionNetwork)
    copy = backbones.get(keras.saving.serialize_keras_object(layer))
    assert copy.tasks == ("click",) and copy.get_config() == layer.get_config()
