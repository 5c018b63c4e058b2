"""One user's candidates by `score_candidates`, beside the same items as independent rows.

`python -m benchmarks.candidates --output candidates.json`: both forms in graphs, as an exported model runs them,
measured in turns.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks import standard_work
from benchmarks.results import write
from benchmarks.timing import side_by_side
from tf_interformer import Ranker
from tf_interformer._keras import keras

# A model that joins user and item late, as a tower of its own, would gain more; these see both from the first layer.
BACKBONES: dict[str, dict[str, Any]] = {
    "interformer": {"num_layers": standard_work.LAYERS},
    "dlrm": {},
    "dcn_v2": {},
    "hstu": {},
    "din": {},
    "hiformer": {},
}
CANDIDATE = ("item", "category")


def measure(backbones: Sequence[str], items: int, rounds: int) -> list[dict[str, Any]]:
    """Returns a row per backbone, with the time of the candidates over that of the rows.

    Args:
        backbones: Keys of `BACKBONES`.
        items: int. Candidates of the user.
        rounds: int. Measurements of each.
    """
    schema = standard_work.schema().replace(candidate=CANDIDATE)
    user, columns = _request(schema, items)
    rows = {name: np.repeat(value, items, axis=0) for name, value in user.items()} | columns
    candidates = {name: tf.constant(value) for name, value in (user | columns).items()}
    independent = {name: tf.constant(value) for name, value in rows.items()}
    task = schema.tasks[0]
    calls: dict[str, Any] = {}
    for name in backbones:
        print(f"building: {name}", flush=True)
        keras.utils.set_random_seed(0)
        made = Ranker(
            schema,
            name,
            BACKBONES[name],
            embedding={"dim": standard_work.WIDTH},
            tower_units=(256, 64),
            name="standard",
        )
        fast, plain = (tf.function(form) for form in (made.served.candidate_logits, made.served.logits))
        difference = float(tf.reduce_max(tf.abs(fast(candidates)[task] - plain(independent)[task])))
        if difference > 1e-4:
            raise RuntimeError(f"{name}: the two forms differ by {difference}")
        calls[f"{name} candidates"] = lambda fast=fast: fast(candidates)[task].numpy()
        calls[f"{name} rows"] = lambda plain=plain: plain(independent)[task].numpy()
    seconds = side_by_side(calls, rounds)
    return [
        {
            "backbone": name,
            "items": items,
            "candidates_ms": 1000 * seconds[f"{name} candidates"],
            "rows_ms": 1000 * seconds[f"{name} rows"],
            "to_rows": seconds[f"{name} candidates"] / seconds[f"{name} rows"],
        }
        for name in backbones
    ]


def _request(schema: Any, items: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A user's columns, one row each, and the items' columns."""
    user, columns = (standard_work.raw_columns(schema, rows) for rows in (1, items))
    return {name: value for name, value in user.items() if name not in CANDIDATE}, {n: columns[n] for n in CANDIDATE}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows as Markdown."""
    lines = ["| backbone | candidates | time, independent rows = 1 |", "|---|---|---|"]
    lines += [f"| {row['backbone']} | {row['items']:,} | {row['to_rows']:.2f} |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", choices=BACKBONES, default=list(BACKBONES))
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    rows = measure(given.backbones, given.items, given.rounds)
    print(table(rows))
    if given.output:
        write(given.output, {"settings": {"rounds": given.rounds, "width": standard_work.WIDTH}, "rows": rows})


if __name__ == "__main__":
    main()
