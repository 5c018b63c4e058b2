import numpy as np
import pytest

from tf_interformer import layers
from tf_interformer._keras import keras, ops, register
from tf_interformer.layers import interactions

STACKED = [name for name in interactions.names() if "num_layers" in interactions.get(name).get_config()]


@register
class WantsIds(keras.layers.Layer):
    """Adds to every token its id."""

    needs_ids = True

    def call(self, inputs):
        return inputs["tokens"] + ops.cast(inputs["ids"], "float32")[:, :, None]


def test_an_interaction_that_needs_ids_gets_them():
    arch = layers.InteractionArch(WantsIds(), mlp="lce", residual=False)
    features, summary = np.zeros((2, 3, 4), "float32"), np.zeros((2, 2, 4), "float32")
    ids = np.array([[1, 2, 3], [0, 5, 0]], "int32")
    output = arch({"features": features, "summary": summary, "ids": ids})
    kernel = np.asarray(arch.mlp.weights[0])  # [5, 3]
    expected = np.pad(ids, ((0, 0), (0, 2))) @ kernel
    np.testing.assert_allclose(output, np.repeat(expected[:, :, None], 4, axis=2), rtol=1e-5)


def test_others_get_the_tokens_alone():
    arch = layers.InteractionArch("dot")
    features = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    with_ids = arch({"features": features, "ids": np.array([[1, 2, 3], [0, 5, 0]], "int32")})
    np.testing.assert_array_equal(with_ids, arch({"features": features}))


@pytest.mark.parametrize("name", ["dhen", "autoint"])
def test_tokens_of_users_stand_behind_all_others(name):
    arch = layers.InteractionArch(name)
    rng = np.random.default_rng(0)
    given = {
        "features": rng.normal(size=(3, 3, 4)).astype("float32"),
        "summary": rng.normal(size=(3, 1, 4)).astype("float32"),
        "shared": rng.normal(size=(2, 2, 4)).astype("float32"),
        "row": np.array([1, 0, 1], "int32"),
    }
    outputs = np.asarray(arch(given))
    by_rows = {**given, "shared": given["shared"][given["row"]]}
    del by_rows["row"]
    np.testing.assert_allclose(outputs, arch(by_rows), rtol=1e-5, atol=1e-6)
    if name == "autoint":
        together = np.concatenate([given["summary"], by_rows["shared"]], axis=1)
        np.testing.assert_array_equal(outputs, arch({"features": given["features"], "summary": together}))


@pytest.mark.parametrize("name", STACKED)
def test_an_interaction_has_as_many_layers_as_it_is_told(name):
    weights = []
    for count in (1, 2):
        layer = interactions.get(name, num_layers=count)
        shape = (None, 4, 8)
        layer.build({"tokens": shape, "ids": shape[:2]} if getattr(layer, "needs_ids", False) else shape)
        weights.append(len(layer.weights))
    assert weights[1] == 2 * weights[0] > 0
