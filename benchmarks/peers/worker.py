"""A peer in a process of its own: `python -m benchmarks.peers.worker PEER TASK --rows N ...`; see `benchmarks.workers`.

PEER is `ours`, `ours_without_xla`, `plain_keras`, `torch` or `torch_compiled`; TASK is `train` or `score`.
"""

import argparse
import itertools
import os
import sys
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np

from benchmarks import standard_work
from benchmarks.workers import serve
from tf_interformer import Ranker
from tf_interformer._keras import keras

PEERS = ("ours", "ours_without_xla", "plain_keras", "torch", "torch_compiled")


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
    ranker = standard_work.interformer(schema, "lazy_adam", jit_compile=given.peer == "ours", width=given.width)
    make = _torch if given.peer.startswith("torch") else _plain_keras if given.peer == "plain_keras" else _ours
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


def _torch(ranker: Ranker, batches: Any, task: str, peer: str) -> Callable[[], object]:
    # Its LLVM and TensorFlow's do not go together in one process; on a processor PyTorch compiles without it.
    sys.modules["triton"] = None  # type: ignore[assignment]
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


if __name__ == "__main__":
    main()
