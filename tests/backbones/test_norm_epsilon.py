"""`norm_epsilon` reaches the norms where tokens enter and residuals join, and no other."""

import numpy as np
import pytest

from tests.backbones.case import batch
from tf_interformer import backbones
from tf_interformer._keras import keras, ops
from tf_interformer.layers._token_norm import TokenNorm


def norms(backbone):
    return [layer for layer in backbone._flatten_layers() if isinstance(layer, TokenNorm)]


MODELS = [
    ("interformer", {"num_layers": 2, "num_heads": 2}),
    ("interformer", {"num_layers": 1, "num_heads": 2, "interaction": "transformer"}),
    ("hiformer", {"num_layers": 1, "num_heads": 2}),
    ("dlrm", {"entry_norm": True}),
    ("transformer", {"num_layers": 1, "num_heads": 2}),
    ("hstu_fields", {"num_layers": 1, "num_heads": 2, "entry_norm": True}),
    ("onetrans", {"num_layers": 1, "num_heads": 2}),
]


@pytest.mark.parametrize(("name", "config"), MODELS)
def test_soft_norms_have_it_and_keep_it(name, config):
    quiet = batch(size=2)
    quiet["features"] = quiet["features"] * 1e-3
    backbone = backbones.get(name, tasks=["click"], **config)
    found = ops.convert_to_numpy(backbone(quiet)["click"])
    assert any(norm.soft for norm in norms(backbone))
    assert all(norm.epsilon == (1.0 if norm.soft else 1e-5) for norm in norms(backbone))

    hard = backbones.get(name, tasks=["click"], norm_epsilon=1e-5, **config)
    hard(quiet)
    again = backbones.get(keras.saving.serialize_keras_object(hard))
    again(quiet)
    assert {norm.epsilon for norm in norms(hard)} == {norm.epsilon for norm in norms(again)} == {1e-5}
    hard.set_weights(backbone.get_weights())
    loud = ops.convert_to_numpy(hard(quiet)["click"])
    assert np.abs(loud - found).max() > 0.01
    again.set_weights(backbone.get_weights())
    np.testing.assert_allclose(ops.convert_to_numpy(again(quiet)["click"]), loud, rtol=1e-5, atol=1e-7)


def test_a_norm_with_epsilon_one_is_the_equation():
    x = np.random.default_rng(0).normal(size=(2, 3, 8)) * np.array([1e-3, 1.0, 30.0])[:, None]
    centred = x - x.mean(-1, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1.0)
    found = ops.convert_to_numpy(TokenNorm(soft=True)(x.astype("float32")))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    sizes = np.sqrt((found**2).mean(-1)).mean(0)  # the quiet token stays quiet, the loud one has unit scale
    assert sizes[0] < 2e-3
    assert 0.9 < sizes[2] <= 1.0


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan")])
def test_a_wrong_one_is_told(wrong):
    with pytest.raises(ValueError, match="norm_epsilon"):
        backbones.get("interformer", norm_epsilon=wrong)
