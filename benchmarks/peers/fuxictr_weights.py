"""The weights of a `Ranker` in FuxiCTR's model of the same name: both must then score alike."""

from typing import Any

import numpy as np
import torch

from benchmarks.peers.fuxictr_models import NUMBERS, targets
from tf_interformer import Ranker


def load_ranker(model: Any, ranker: Ranker) -> None:
    """Give the model the weights of the ranker.

    Args:
        model: as `fuxictr_model` makes it of the ranker's schema.
        ranker: `Ranker` with a DIN, or with a DCNv2 whose history has one field, in the forms of
            `benchmarks.peers_quality`. DCNv2's map behind the mean of the events, which the other lacks, must be the
            identity.
    """
    _load_tables(model, ranker)
    task = ranker.schema.tasks[0]
    order, tower = _order(ranker), ranker.towers[task]
    if ranker.backbone.__class__.__name__ == "DIN":
        attention = ranker.backbone.sequence_layers[0]
        kernels = [*attention.mlp.kernels, attention.score_kernel]
        _load_dense(model.attention_layers.attention_layer.mlp, kernels, [*attention.mlp.biases, attention.score_bias])
        kernels = [np.asarray(kernel) for kernel in tower.kernels]
        _load_dense(model.dnn.mlp, [kernels[0][order], *kernels[1:]], tower.biases)
        return
    cross, deep = ranker.backbone.cross, ranker.backbone.deep
    kernels = [np.asarray(kernel)[order][:, order] for kernel in cross.up_kernels]
    _load_dense(model.crossnet.cross_layers, kernels, [np.asarray(bias)[order] for bias in cross.biases])
    kernels = [np.asarray(kernel) for kernel in deep.kernels]
    _load_dense(model.parallel_dnn.mlp, [kernels[0][order], *kernels[1:]], deep.biases)
    last = np.asarray(tower.kernels[0])
    _load_dense([model.fc], [np.concatenate([last[order], last[len(order) :]])], tower.biases)


def _order(ranker: Ranker) -> np.ndarray:
    """Places of the other package's inputs among ours: it has the target behind the other features."""
    names, dim = ranker.embedder.feature_names, ranker.embedder.dim
    items = list(targets(ranker.schema))
    tokens = [i for i, name in enumerate(names) if name not in items] + [names.index(name) for name in items]
    tokens += [len(names) + i for i in range(len(items))]  # the history
    return (np.array(tokens)[:, None] * dim + np.arange(dim)).reshape(-1)


def _load_tables(model: Any, ranker: Ranker) -> None:
    layers = model.embedding_layer.embedding_layer
    with torch.no_grad():
        for column in ranker.schema.id_counts:
            if column in layers.embedding_layers:
                rows = np.array(ranker.embedder.rows_of(column))
                rows[0] = 0
                layers.embedding_layers[column].weight.copy_(torch.from_numpy(rows))
    if ranker.embedder.dense is not None:
        _load_dense([layers.feature_encoders[NUMBERS]], ranker.embedder.dense.kernels, ranker.embedder.dense.biases)


def _load_dense(layers: Any, kernels: Any, biases: Any) -> None:
    linear = [layer for layer in layers if isinstance(layer, torch.nn.Linear)]
    with torch.no_grad():
        for layer, kernel, bias in zip(linear, kernels, biases, strict=True):
            layer.weight.copy_(torch.from_numpy(np.array(kernel).T))
            layer.bias.copy_(torch.from_numpy(np.array(bias)))
