"""Attention weights of a trained model."""

from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tf_interformer.diagnostics._layer_paths import layer_paths
from tf_interformer.layers._recording import recording


def attention_maps(model: Any, batch: Any) -> dict[str, NDArray[np.floating]]:
    """Returns what every attention of a model attends to, for each example of a batch.

    The model runs eagerly once. Rows that belong to padding have no meaning, nor have those of an example whose
    history is empty.

    Args:
        model: `Ranker`, backbone or layer.
        batch: What the model is called with. A `Ranker` takes an encoded batch: `ranker.preprocessor(raw)`.

    Returns:
        dict: path of the layer, such as `"backbone/block_0/attention"` -> `[B, H, Q, K]`, float32 or wider: the
        share of each key in each query's weighted sum. The last layer of a Hiformer has the task tokens as queries
        only, unless `prune_last_layer=False`.

    Raises:
        ValueError: If the model has no attention.

    Example:

    >>> from tf_interformer.layers import HiformerInteraction
    >>> maps = attention_maps(HiformerInteraction(num_layers=2, num_heads=2), np.ones((3, 20, 16), "float32"))
    >>> {path: weights.shape for path, weights in maps.items()}
    {'block_0/attention': (3, 2, 20, 20), 'block_1/attention': (3, 2, 20, 20)}
    """
    plain = model.without_xla() if hasattr(model, "without_xla") else nullcontext()
    with recording() as recorded, plain:
        model(batch)
    if not recorded:
        raise ValueError(f"The model has no attention, or does not run eagerly. Received: {type(model).__name__}")
    paths = layer_paths(model)
    return {paths.get(layer, layer.name): weights for layer, weights in recorded.items()}


def token_names(ranker: Any) -> list[str]:
    """Returns the names of a Ranker's tokens, in their order: the axes of its attention maps.

    Of a Hiformer these are the feature tokens, the tokens of the sequences and the task tokens.

    Args:
        ranker: `Ranker`.

    Raises:
        ValueError: If the backbone does not attend over tokens that have names.

    Example:

    >>> from tf_interformer import Categorical, FeatureSchema, Label, Ranker
    >>> schema = FeatureSchema(features=[Categorical("a", vocabulary=["x"]), Categorical("b", hash_buckets=8)],
    ...                        labels=[Label("click", mean=0.5)])
    >>> token_names(Ranker(schema, "hiformer"))
    ['a', 'b', 'click']
    """
    if not hasattr(ranker.backbone, "token_names"):
        raise ValueError(
            "Only a backbone that attends over named tokens, such as Hiformer, has names for them. "
            f"Received: {type(ranker.backbone).__name__}"
        )
    names: list[str] = ranker.backbone.token_names(
        ranker.embedder.feature_names, [sequence.name for sequence in ranker.schema.sequences]
    )
    return names
