"""DIN and DCNv2 of FuxiCTR (`pip install fuxictr torch`), as the package makes them, to measure beside.

They are other models than InterFormer: they tell what a step of a well-known package costs on the same input, not how
well another InterFormer is written. Fields, tables, widths and tower units are those of the standard work; all else
is the package's default. A history is the events of all sequences behind one another, as both models take one of them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from fuxictr.features import FeatureMap
from model_zoo.LongCTR import DIN, DCNv2

from tf_interformer import FeatureSchema


def fuxictr_model(schema: FeatureSchema, name: str, width: int, units: tuple[int, ...]) -> Any:
    """Returns a compiled model that takes `fuxictr_batch`: `train_step` trains it, a call scores.

    Args:
        schema: `FeatureSchema` of categorical features and sequences with the same fields.
        name: `din` or `dcnv2`.
        width: int. Of the embeddings.
        units: tuple of ints. Of the tower.
    """
    fields = {field.name for field in schema.sequences[0].fields}
    features = FeatureMap(schema.name, data_dir="")
    features.labels = list(schema.tasks[:1])
    features.default_emb_dim = width
    for feature in schema.categoricals:
        features.features[feature.name] = {
            "source": "item" if feature.name in fields else "user",
            "type": "categorical",
            "padding_idx": 0,
            "vocab_size": schema.tables[schema.table_of(feature.name)].num_ids,
        }
    settings = {"embedding_dim": width, "optimizer": "adam", "loss": "binary_crossentropy"}
    # The base class asks for these, and only its `fit` uses them.
    settings |= {"verbose": 0, "metrics": ["AUC"], "model_root": ""}
    if name == "din":
        model = DIN(features, dnn_hidden_units=list(units), **settings)
    else:
        model = DCNv2(features, parallel_dnn_hidden_units=list(units), **settings)
    # What its `fit` sets, with the default of `fit`.
    model._batch_index, model._max_gradient_norm = 0, 10.0
    return model


def fuxictr_batch(schema: FeatureSchema, columns: Mapping[str, Any], labels: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Returns a batch as the package's own loader makes it: the fields with the label, the events with the target
    behind them, and the mask of the events."""

    def tensor(column: str) -> torch.Tensor:
        return torch.from_numpy(np.asarray(columns[column]).astype("int64"))

    events = {
        field.name: torch.cat(
            [*(tensor(s.column(field.name)) for s in schema.sequences), tensor(field.name)[:, None]], 1
        )
        for field in schema.sequences[0].fields
    }
    fields = {feature.name: tensor(feature.name) for feature in schema.categoricals if feature.name not in events}
    label = schema.tasks[0]
    mask = (next(iter(events.values()))[:, :-1] > 0).float()
    return fields | {label: torch.from_numpy(np.array(labels[label]))}, events, mask
