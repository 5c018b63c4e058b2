"""A small model trained on a raw batch."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_interformer._keras import keras
from tf_interformer.ranker import Ranker
from tf_interformer.schema import FeatureSchema


def scores_after_training(
    schema: FeatureSchema, raw: Mapping[str, Any], backbone: str, config: Mapping[str, Any], epochs: int
) -> np.ndarray:
    """The scores of the rows that the model was trained on."""
    ranker = Ranker(schema, backbone, config, embedding={"dim": 8}, tower_units=(8,))
    ranker.compile(keras.optimizers.Adam(0.01), jit_compile=False)
    encoded, labels = ranker.preprocessor.training_batch(raw)
    ranker.fit(encoded, labels, epochs=epochs, batch_size=32, verbose=0)
    return ranker.score(raw)["click"]
