"""DIN and DCNv2 of this package and of FuxiCTR in one form, to train: `benchmarks.peers_quality` says which."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np

from tf_interformer import FeatureSchema, Ranker
from tf_interformer._keras import keras

WIDTH, UNITS, RATE, START = 16, (128, 64), 1e-3, 1e-4
ATTENTION, CROSS_LAYERS = (36,), 3

Batches = Iterable[tuple[Any, ...]]


class Contender(Protocol):
    """A model to train, whose scores are logits or probabilities."""

    logits: bool

    def train(self, batches: Batches) -> None:
        """One pass over the batches `(columns, labels)`."""

    def scores(self, batches: Batches) -> np.ndarray:
        """What orders the examples."""


class Ours:
    """A `Ranker`.

    Args:
        schema: `FeatureSchema`. A learned one.
        model: `din` or `dcn_v2`.
        seed: int. Of the weights.
    """

    logits = True

    def __init__(self, schema: FeatureSchema, model: str, seed: int) -> None:
        keras.utils.set_random_seed(seed)
        self.ranker = our_model(schema, model)
        self.ranker.compile(keras.optimizers.Adam(RATE, epsilon=1e-8), jit_compile=False)

    def train(self, batches: Batches) -> None:
        for columns, labels in batches:
            self.ranker.train_on_batch(columns, labels)

    def scores(self, batches: Batches) -> np.ndarray:
        task = self.ranker.schema.tasks[0]
        return np.concatenate([np.ravel(self.ranker.predict_on_batch(batch[0])[task]) for batch in batches])


class Theirs:
    """A model of FuxiCTR; its arguments are those of `Ours`."""

    logits = False

    def __init__(self, schema: FeatureSchema, model: str, seed: int) -> None:
        import torch

        torch.manual_seed(seed)
        self.schema = schema
        self.model = their_model(schema, model)

    def train(self, batches: Batches) -> None:
        from benchmarks.peers.fuxictr_models import fuxictr_batch

        self.model.train()
        for columns, labels in batches:
            self.model.train_step(fuxictr_batch(self.schema, columns, labels))

    def scores(self, batches: Batches) -> np.ndarray:
        import torch

        from benchmarks.peers.fuxictr_models import fuxictr_batch

        self.model.eval()
        with torch.inference_mode():
            made = [self.model(fuxictr_batch(self.schema, *batch[:2]))["y_pred"].numpy() for batch in batches]
        return np.concatenate(made).reshape(-1)


def our_model(schema: FeatureSchema, model: str) -> Ranker:
    """Returns a `Ranker`.

    Args:
        schema: `FeatureSchema`. A learned one.
        model: `din` or `dcn_v2`.
    """
    units = UNITS if model == "din" else ()
    if model == "din":
        backbone: dict[str, Any] = {"attention_units": ATTENTION, "attention_activation": "swish"}
    else:
        backbone = {"num_layers": CROSS_LAYERS, "deep_units": UNITS, "deep_activation": "relu"}
    embedding = {"dim": WIDTH, "stddev": START}
    return Ranker(schema, model, backbone, embedding=embedding, tower_units=units, tower_activation="relu")


def their_model(schema: FeatureSchema, model: str) -> Any:
    """Returns FuxiCTR's model in the same form; the arguments are those of `our_model`."""
    from benchmarks.peers.fuxictr_models import fuxictr_model

    options: dict[str, Any] = {"learning_rate": RATE, "dnn_activations": "ReLU"}
    if model == "din":
        options |= {"attention_hidden_units": list(ATTENTION), "attention_hidden_activations": "SiLU"}
    else:
        options |= {"model_structure": "parallel", "num_cross_layers": CROSS_LAYERS}
    made = fuxictr_model(schema, model.replace("_", ""), WIDTH, UNITS, **options)
    made._max_gradient_norm = float("inf")
    return made


CONTENDERS: dict[str, Callable[[FeatureSchema, str, int], Contender]] = {"tf_interformer": Ours, "fuxictr": Theirs}
