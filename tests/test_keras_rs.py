"""The layer of docs/keras.md that makes Keras Recommenders' `FeatureCross` an interaction."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.small_log import learned_schema, raw_batch
from tf_interformer import Ranker
from tf_interformer._keras import LEGACY, keras

if LEGACY:
    pytest.skip("Keras Recommenders needs Keras 3", allow_module_level=True)
pytest.importorskip("keras_rs")

PAGE = Path(__file__).parents[1] / "docs" / "keras.md"


def test_the_page_s_interaction_trains_and_is_saved(tmp_path):
    (block,) = re.findall(r"^```py\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    namespace = {"__name__": "__docs__", "schema": learned_schema(), "Ranker": Ranker}
    exec(compile(block, PAGE.name, "exec"), namespace)
    ranker = namespace["crossed"]
    (layer,) = [layer for layer in ranker._flatten_layers() if isinstance(layer, namespace["FlatCross"])]
    kernels = layer.trainable_variables
    assert len(kernels) == 3
    before = [np.array(w) for w in kernels]
    raw = raw_batch()
    ranker.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    ranker.fit(ranker.preprocessor(raw), {"click": raw["click"]}, verbose=0)
    assert all(not np.array_equal(old, np.array(w)) for old, w in zip(before, kernels, strict=True))
    ranker.save(tmp_path / "ranker.keras")
    again = Ranker.from_file(tmp_path / "ranker.keras")
    np.testing.assert_allclose(again.score(raw)["click"], ranker.score(raw)["click"], rtol=1e-6)
