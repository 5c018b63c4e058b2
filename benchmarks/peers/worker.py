"""A peer in a process of its own: `python -m benchmarks.peers.worker PEER TASK --rows N ...`; see `benchmarks.workers`.

PEER is one of `benchmarks.train_step.PEERS`; TASK is `train` or `score`.
"""

import argparse
import itertools
import os
import sys
import types
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
if sys.argv[1:] and sys.argv[1].startswith("deepctr"):
    # It is written for Keras 2, and TensorFlow reads this once.
    os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np

from benchmarks import standard_work
from benchmarks.peers.torch_imports import without_ray, without_triton
from benchmarks.train_step import PEERS
from benchmarks.workers import serve
from tf_interformer import FeatureSchema, Ranker
from tf_interformer._keras import LEGACY, keras

UNITS = (256, 64)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("task", choices=("train", "score"))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--steps", type=int, default=1, help="steps that one measurement takes together")
    given = parser.parse_args()
    keras.utils.set_random_seed(0)
    schema = standard_work.schema(given.rows)
    batches = standard_work.batches(schema, size=given.batch_size)
    package, _, model = given.peer.partition("_")
    if package in ("deepctr", "fuxictr"):
        make_other = _deepctr if package == "deepctr" else _fuxictr
        call = make_other(schema, batches, given.task, model, given.width)
    else:
        if given.peer == "ours_bfloat16":
            set_policy = keras.mixed_precision.set_global_policy if LEGACY else keras.config.set_dtype_policy
            set_policy("mixed_bfloat16")
        ranker = standard_work.interformer(
            schema, "lazy_adam", jit_compile=given.peer == "ours_with_xla" or "auto", width=given.width
        )
        make = torch_call if given.peer.startswith("torch") else _plain_keras if given.peer == "plain_keras" else _ours
        call = make(ranker, itertools.cycle(batches), given.task, given.peer)

    def work() -> None:
        for _ in range(given.steps):
            call()

    serve(work)


def _ours(ranker: Ranker, batches: Any, task: str, peer: str) -> Callable[[], object]:
    import tensorflow as tf

    if task == "train":
        return lambda: ranker.train_on_batch(*next(batches))
    score = tf.function(lambda columns: ranker(columns, training=False)[ranker.schema.tasks[0]])
    return lambda: score(next(batches)[0]).numpy()


def _plain_keras(ranker: Ranker, batches: Any, task: str, peer: str) -> Callable[[], object]:
    import tensorflow as tf

    from benchmarks.peers.plain_keras import plain_keras

    model = plain_keras(ranker)
    label = ranker.schema.tasks[0]
    if task == "train":

        def step() -> object:
            columns, labels = next(batches)
            return model.train_on_batch(columns, labels[label])

        return step
    score = tf.function(lambda columns: model(columns, training=False))
    return lambda: score(next(batches)[0]).numpy()


def torch_call(ranker: Ranker, batches: Any, task: str, peer: str) -> Callable[[], object]:
    """Returns a step, or a call of scoring, of the ranker's InterFormer in plain PyTorch, on each of four batches."""
    without_triton()
    import torch

    from benchmarks.peers.torch_interformer import TorchInterFormer

    model = TorchInterFormer(ranker)
    label = ranker.schema.tasks[0]

    def tensors(batch: Any) -> tuple[dict[str, Any], Any]:
        columns = {name: torch.from_numpy(np.asarray(column).astype("int64")) for name, column in batch[0].items()}
        return columns, torch.from_numpy(np.array(batch[1][label]))

    made = itertools.cycle([tensors(next(batches)) for _ in range(4)])
    network = torch.compile(model) if peer == "torch_compiled" else model
    if task == "score":
        model.eval()

        def score() -> object:
            with torch.inference_mode():
                return network(next(made)[0]).numpy()

        return score
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    loss_of = torch.nn.BCEWithLogitsLoss()

    def step() -> object:
        columns, labels = next(made)
        optimizer.zero_grad()
        loss = loss_of(network(columns), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def _deepctr(schema: FeatureSchema, batches: Any, task: str, name: str, width: int) -> Callable[[], object]:
    import tensorflow as tf

    # At its import the package asks PyPI for its latest version, and goes on where that fails.
    sys.modules["requests"] = types.ModuleType("requests")
    from benchmarks.peers.deepctr_models import deepctr_columns, deepctr_model

    model = deepctr_model(schema, name, width, UNITS)
    label = schema.tasks[0]
    made = itertools.cycle([(deepctr_columns(schema, columns), labels[label]) for columns, labels in batches])
    if task == "train":
        return lambda: model.train_on_batch(*next(made))
    score = tf.function(lambda columns: model(columns, training=False))
    return lambda: score(next(made)[0]).numpy()


def _fuxictr(schema: FeatureSchema, batches: Any, task: str, name: str, width: int) -> Callable[[], object]:
    without_triton()
    without_ray()
    import torch

    from benchmarks.peers.fuxictr_models import fuxictr_batch, fuxictr_model

    model = fuxictr_model(schema, name, width, UNITS)
    made = itertools.cycle([fuxictr_batch(schema, *batch) for batch in batches])
    if task == "train":
        return lambda: model.train_step(next(made)).item()
    model.eval()

    def score() -> object:
        with torch.inference_mode():
            return model(next(made))["y_pred"].numpy()

    return score


if __name__ == "__main__":
    main()
