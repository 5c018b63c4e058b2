"""InterFormer's request form beside the printed flow: training by rows and by requests, and one user's candidates.

`python -m benchmarks.requests --output requests.json`: on the standard work, measured in turns. With PyTorch installed
(`pip install torch`) plain PyTorch's InterFormer trains beside them, on the same rows.
"""

import argparse
import contextlib
import importlib.util
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import standard_work
from benchmarks.results import write
from benchmarks.timing import side_by_side
from serving.graph_session import GraphSession
from tf_interformer import Ranker
from tf_interformer._keras import keras
from tf_interformer.export import export_saved_model
from tf_interformer.preprocessing import ROW_COLUMN
from tf_interformer.schema import FeatureSchema

CANDIDATE = ("item", "category")
FLOWS = ("printed", "request")


def made(schema: FeatureSchema, flow: str) -> Ranker:
    """Returns a compiled model of the standard size."""
    keras.utils.set_random_seed(0)
    config = {"num_layers": standard_work.LAYERS, "candidate_flow": flow}
    embedding = {"dim": standard_work.WIDTH}
    ranker = Ranker(schema, backbone_config=config, embedding=embedding, tower_units=(256, 64), name="standard")
    ranker.compile(jit_compile=False)
    return ranker


def by_request(schema: FeatureSchema, batch: standard_work.Batch, candidates: int) -> standard_work.Batch:
    """Returns the batch with a user for each so many examples, whose columns have one row for each user."""
    columns, labels = batch
    size = next(iter(labels.values())).shape[0]
    row = np.arange(size, dtype=np.int32) // candidates
    first = tf.constant(np.unique(row, return_index=True)[1])
    theirs = schema.candidate_columns
    users = {name: value if name in theirs else tf.gather(value, first) for name, value in columns.items()}
    return {**users, ROW_COLUMN: tf.constant(row)}, labels


def as_rows(schema: FeatureSchema, batch: standard_work.Batch) -> standard_work.Batch:
    """Returns the same examples with a row of everything each."""
    columns, labels = batch
    theirs = (*schema.candidate_columns, ROW_COLUMN)
    rows = {name: v if name in theirs else tf.gather(v, columns[ROW_COLUMN]) for name, v in columns.items()}
    return {name: value for name, value in rows.items() if name != ROW_COLUMN}, labels


def training(rows: int, candidates: int, rounds: int) -> list[dict[str, Any]]:
    """Returns a row for each way to train on the same examples.

    Args:
        rows: int. Rows of all embedding tables together.
        candidates: int. Examples of each user.
        rounds: int. Measurements of each.
    """
    schema = standard_work.schema(rows).replace(candidate=CANDIDATE)
    requests = [by_request(schema, batch, candidates) for batch in standard_work.batches(schema)]
    flat = [as_rows(schema, batch) for batch in requests]
    calls: dict[str, Callable[[], object]] = {}
    for form, batches in {"rows": flat, "requests": requests}.items():
        for flow in FLOWS:
            ranker, cycle = made(schema, flow), itertools.cycle(batches)
            calls[f"{flow}, by {form}"] = partial(_step, ranker, cycle)
    if importlib.util.find_spec("torch"):
        from benchmarks.peers.worker import torch_call

        calls["PyTorch, by rows"] = torch_call(made(schema, "printed"), itertools.cycle(flat), "train", "torch")
    return _beside(side_by_side(calls, rounds), "printed, by rows")


def _step(ranker: Ranker, batches: Iterator[standard_work.Batch]) -> object:
    return ranker.train_on_batch(*next(batches))


def scoring(rows: int, items: int, rounds: int) -> list[dict[str, Any]]:
    """Returns a row for each way to score one user's items by an exported model, as TensorFlow Serving runs it.

    Args:
        rows: int. Rows of all embedding tables together.
        items: int. How many there are.
        rounds: int. Measurements of each.
    """
    schema = standard_work.schema(rows).replace(candidate=CANDIDATE)
    columns = standard_work.raw_columns(schema, items)
    request = {name: value if name in CANDIDATE else value[:1] for name, value in columns.items()}
    user = {name: value for name, value in request.items() if name not in CANDIDATE}
    repeated = {name: np.repeat(value, items, axis=0) for name, value in user.items()}
    calls: dict[str, Callable[[], object]] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        for flow in FLOWS:
            exported = export_saved_model(made(schema, flow), Path(folder, flow), say=lambda _: None)
            session = stack.enter_context(GraphSession(exported))
            given = {"rows": ("serving_default", {**columns, **repeated}), "request": ("score_candidates", request)}
            if flow == "request":
                given["known user"] = "score_known_user", {**request, **session.run("embed_user", user)}
            expected = session.run(*given["rows"])["logit"]
            for form, (signature, inputs) in given.items():
                difference = float(np.abs(session.run(signature, inputs)["logit"] - expected).max())
                if difference > 1e-4:
                    raise RuntimeError(f"{flow}, {form}: scores differ from those of rows by {difference}")
                calls[f"{flow}, {form}"] = partial(session.run, signature, inputs)
        return _beside(side_by_side(calls, rounds), "printed, rows")


def _beside(seconds: dict[str, float], base: str) -> list[dict[str, Any]]:
    return [{"what": name, "ms": 1000 * s, "time": s / seconds[base]} for name, s in seconds.items()]


def table(title: str, rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows as Markdown."""
    lines = [f"| {title} | ms | time, the first = 1 | times as fast |", "|---|---|---|---|"]
    lines += [f"| {row['what']} | {row['ms']:.1f} | {row['time']:.2f} | {1 / row['time']:.2f} |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--candidates", type=int, default=20, help="examples of a user in training")
    parser.add_argument("--items", type=int, nargs="+", default=[1, 100, 1000], help="items of a user to score")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    trained = training(given.rows, given.candidates, given.rounds)
    print(table(f"a step on {standard_work.BATCH_SIZE} examples, {given.candidates} of a user", trained), flush=True)
    scored = {items: scoring(given.rows, items, given.rounds) for items in given.items}
    for items, rows in scored.items():
        print(table(f"scoring {items:,} items of a user", rows))
    if given.output:
        settings = {"rows": given.rows, "candidates": given.candidates, "rounds": given.rounds}
        write(given.output, {"settings": settings, "training": trained, "scoring": scored})


if __name__ == "__main__":
    main()
