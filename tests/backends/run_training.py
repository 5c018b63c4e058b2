"""Trains on encoded arrays, on the backend that KERAS_BACKEND names, and writes what comes out.

`python -m tests.backends.run_training BATCH MODEL FILE` reads the columns of an encoded batch and a saved `Ranker`, and
writes an `.npz` of losses, metrics, logits and weights. Weights come from that model and from NumPy, so that another
backend must write the same numbers.
"""

import sys
from typing import Any

import numpy as np

from tests.small_log import matching_schema
from tf_interformer import Ranker, TableOptimizer, evaluate
from tf_interformer._keras import keras, ops
from tf_interformer.optimizers import LazyAdam, LazyAdamW, RowWiseAdagrad, SparseAdagrad, SparseFtrl

ROWS = 12
OPTIMIZERS = {
    "lazy_adam": lambda: LazyAdam(0.05, amsgrad=True, clipnorm=0.5),
    "lazy_adamw, own steps": lambda: LazyAdamW(0.05, weight_decay=0.3, bias_correction="rows"),
    "sparse_adagrad": lambda: SparseAdagrad(0.05, clipvalue=0.01),
    "row_wise_adagrad": lambda: RowWiseAdagrad(0.05, weight_decay=0.3, global_clipnorm=0.5),
    "sparse_ftrl": lambda: SparseFtrl(0.05, l1_regularization_strength=0.1, l2_shrinkage_regularization_strength=0.1),
    "both": lambda: TableOptimizer(RowWiseAdagrad(0.05, weight_decay=0.1), "adamw", global_clipnorm=0.5),
}


def start(model: Any) -> None:
    random = np.random.default_rng(1)
    for weight in model.trainable_weights:
        weight.assign(random.normal(0.0, 0.3, weight.shape).astype("float32"))


def ranker() -> Ranker:
    """A `Ranker` with the optimizer and the loss of its own."""
    made = Ranker(
        matching_schema(),
        backbone_config={"num_layers": 1, "num_heads": 2},
        embedding={"dim": 8},
        tower_units=(8,),
        linear_terms=1.0,
    )
    made.compile()
    start(made)
    return made


def of_ranker(batch: dict[str, np.ndarray], ranker: Ranker) -> dict[str, Any]:
    """What `fit`, `evaluate` and `predict` give."""
    labels = {"click": batch.pop("click")[:, None]}
    half = {name: column[:8] for name, column in batch.items()}
    data = half, {"click": labels["click"][:8]}
    history = ranker.fit(batch, labels, batch_size=8, epochs=2, shuffle=False, verbose=0, validation_data=data).history
    measured = evaluate(ranker, [(batch, labels)])["click"]
    try:
        ranker({**batch, "item": np.full_like(batch["item"], 10**6)})
        said = 0
    except ValueError as error:
        said = "ids of 'item' must lie in" in str(error)
    return {
        "says which ids are out of range": said,
        **{f"history of {name}": values for name, values in history.items()},
        "evaluate": ranker.evaluate(batch, labels, batch_size=8, verbose=0),
        "predict": ranker.predict(batch, batch_size=8, verbose=0)["click"],
        **{f"evaluated {name}": value for name, value in measured.items()},
    }


def of_optimizer(name: str) -> dict[str, Any]:
    """Weights after steps that read some rows of a table twice and some never."""
    pool = keras.layers.GlobalAveragePooling1D()
    model = keras.Sequential([keras.Input((3,), dtype="int32"), keras.layers.Embedding(ROWS, 4), pool])
    model.add(keras.layers.Dense(1))
    model.compile(OPTIMIZERS[name](), loss="mse")
    start(model)
    ids = np.random.default_rng(2).integers(0, ROWS - 3, (16, 3)).astype("int32")
    model.fit(ids, (ids[:, :1] % 2).astype("float32"), batch_size=4, epochs=2, shuffle=False, verbose=0)
    return {f"{name}/{i}": ops.convert_to_numpy(weight) for i, weight in enumerate(model.weights)}


def results(batch: dict[str, np.ndarray], model: str) -> dict[str, np.ndarray]:
    made = of_ranker(dict(batch), Ranker.from_file(model))
    for name in OPTIMIZERS:
        made |= of_optimizer(name)
    return {name: np.asarray(value) for name, value in made.items()}


if __name__ == "__main__":
    np.savez(sys.argv[3], **results(dict(np.load(sys.argv[1])), sys.argv[2]))
