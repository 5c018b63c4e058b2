"""DIN and DCNv2 of FuxiCTR (`pip install fuxictr torch`), to measure beside.

The classes are those of its `model_zoo.LongCTR`, which the package holds. Where speed is measured, all but fields,
tables, widths and tower units is the package's default: they are other models than InterFormer and tell what a step of
a well-known package costs on the same input. Where quality is measured, `benchmarks.peers_quality` sets the rest, too.
A history is the events of all sequences behind one another, as both models take one of them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from fuxictr.features import FeatureMap
from model_zoo.LongCTR import DIN, DCNv2

from tf_interformer import FeatureSchema
from tf_interformer.backbones import targets_of

# No column of a schema begins so.
NUMBERS = "_numbers"


def targets(schema: FeatureSchema) -> dict[str, str]:
    """Returns the features that share a table with a field of the events: feature -> field, in the order of these.

    Args:
        schema: `FeatureSchema` of features of one value and of sequences with the same fields, each with such a
            feature.
    """
    names = [feature.name for feature in schema.categoricals]
    sequence = schema.sequences[0]
    chosen = targets_of(schema, names)[sequence.name]
    return {names[index]: field.name for index, field in zip(chosen, sequence.fields, strict=True)}


def fuxictr_model(schema: FeatureSchema, name: str, width: int, units: tuple[int, ...], **options: Any) -> Any:
    """Returns a compiled model that takes `fuxictr_batch`: `train_step` trains it, a call scores.

    Args:
        schema: `FeatureSchema` as `targets` takes it; all numeric features make one token by one linear map, as in
            `TokenEmbedder`.
        name: `din` or `dcnv2`.
        width: int. Of the embeddings.
        units: tuple of ints. Of the tower.
        options: Further arguments of the package's class.
    """
    features = FeatureMap(schema.name, data_dir="")
    features.labels = list(schema.tasks[:1])
    features.default_emb_dim = width
    if schema.numerics:
        encoder = f"nn.Linear({len(schema.numerics)}, {width})"
        features.features[NUMBERS] = {"source": "user", "type": "embedding", "feature_encoder": encoder}
    items = targets(schema)
    for column in [*_fields(schema), *items]:
        features.features[column] = {
            "source": "item" if column in items else "user",
            "type": "categorical",
            "padding_idx": 0,
            "vocab_size": schema.id_counts[column],
        }
    _share_tables(schema, features.features)
    settings = {"embedding_dim": width, "optimizer": "adam", "loss": "binary_crossentropy"}
    # The base class asks for these, and only its `fit` uses them.
    settings |= {"verbose": 0, "metrics": ["AUC"], "model_root": ""}
    if name == "din":
        model = DIN(features, dnn_hidden_units=list(units), **settings, **options)
    else:
        model = DCNv2(features, parallel_dnn_hidden_units=list(units), **settings, **options)
    # What its `fit` sets, with the default of `fit`.
    model._batch_index, model._max_gradient_norm = 0, 10.0
    return model


def fuxictr_batch(schema: FeatureSchema, columns: Mapping[str, Any], labels: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Returns a batch as the package's own loader makes it: the fields with the label, the events with the target
    behind them, and the mask of the events."""

    def tensor(column: str) -> torch.Tensor:
        return torch.from_numpy(np.asarray(columns[column]).astype("int64"))

    events = {
        name: torch.cat([*(tensor(s.column(field)) for s in schema.sequences), tensor(name)[:, None]], 1)
        for name, field in targets(schema).items()
    }
    fields = {column: tensor(column) for column in _fields(schema)}
    if schema.numerics:
        numbers = np.stack([np.asarray(columns[feature.name]) for feature in schema.numerics], 1)
        fields = {NUMBERS: torch.from_numpy(numbers.astype("float32")), **fields}
    label = schema.tasks[0]
    lengths = [tensor(s.length_column)[:, None] for s in schema.sequences]
    masks = [torch.arange(s.max_length)[None] < length for s, length in zip(schema.sequences, lengths, strict=True)]
    return fields | {label: torch.from_numpy(np.array(labels[label]))}, events, torch.cat(masks, 1).float()


def _fields(schema: FeatureSchema) -> list[str]:
    """Columns of ids that are no target."""
    events = [sequence.column(field.name) for sequence in schema.sequences for field in sequence.fields]
    return [column for column in schema.id_counts if column not in {*targets(schema), *events}]


def _share_tables(schema: FeatureSchema, features: dict[str, dict[str, Any]]) -> None:
    first: dict[str, str] = {}
    categoricals = {feature.name for feature in schema.categoricals}
    for column in features:
        if column in categoricals:
            owner = first.setdefault(schema.table_of(column), column)
            if owner != column:
                features[column]["share_embedding"] = owner
