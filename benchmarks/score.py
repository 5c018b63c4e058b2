"""`Ranker.score` in a Python process, which runs as one graph, beside the same columns scored operation by operation.

`python -m benchmarks.score --output score.json`: raw columns in, probabilities out, measured in turns.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import standard_work
from benchmarks.results import write
from benchmarks.timing import side_by_side
from tf_interformer._keras import keras, ops


def measure(rows: Sequence[int], rounds: int) -> list[dict[str, Any]]:
    """Returns, for each number of rows, the time of `score` over that of an eager call.

    Args:
        rows: Numbers of rows in a call.
        rounds: int. Measurements of each.
    """
    keras.utils.set_random_seed(0)
    schema = standard_work.schema()
    ranker = standard_work.interformer(schema)
    task = schema.tasks[0]
    results = []
    for count in rows:
        raw = standard_work.raw_columns(schema, count)

        def graph(raw: dict[str, np.ndarray] = raw) -> np.ndarray:
            return ranker.score(raw)[task]

        def eager(raw: dict[str, np.ndarray] = raw) -> np.ndarray:
            logits = ranker.served.logits(raw)
            return np.asarray(ops.convert_to_numpy(ops.sigmoid(logits[task])))[:, 0]

        difference = float(np.abs(graph() - eager()).max())
        if difference > 1e-4:
            raise RuntimeError(f"{count} rows: the two forms differ by {difference}")
        seconds = side_by_side({"graph": graph, "eager": eager}, rounds)
        results.append(
            {
                "rows": count,
                "graph_ms": 1000 * seconds["graph"],
                "eager_ms": 1000 * seconds["eager"],
                "to_eager": seconds["graph"] / seconds["eager"],
            }
        )
    return results


def table(results: Sequence[dict[str, Any]]) -> str:
    """Returns the results as Markdown."""
    lines = ["| rows | ms | time, operation by operation = 1 |", "|---|---|---|"]
    lines += [f"| {row['rows']:,} | {row['graph_ms']:.1f} | {row['to_eager']:.3f} |" for row in results]
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    results = measure(given.rows, given.rounds)
    print(table(results))
    if given.output:
        write(given.output, {"settings": {"rounds": given.rounds, "width": standard_work.WIDTH}, "rows": results})


if __name__ == "__main__":
    main()
