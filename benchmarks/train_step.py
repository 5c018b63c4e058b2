"""Training steps of InterFormer, beside the same model in plain PyTorch and Keras and other models of other packages.

`python -m benchmarks.train_step --output train_step.json`: every model in a process of its own, measured in turns.
Peers whose package is not installed are left out (`pip install torch deepctr tf_keras fuxictr` for all of them);
`--peers` chooses others.
"""

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.results import write
from benchmarks.workers import Worker, in_turns

NEEDS = {
    "torch": ("torch",),
    "torch_compiled": ("torch",),
    "deepctr_din": ("deepctr", "tf_keras"),
    "deepctr_dcn": ("deepctr", "tf_keras"),
    "fuxictr_din": ("fuxictr", "torch"),
    "fuxictr_dcnv2": ("fuxictr", "torch"),
}
PEERS = ("ours", "ours_with_xla", "ours_bfloat16", "plain_keras", *NEEDS)


def measure(
    peers: Sequence[str], task: str, rows: int, batch_size: int, width: int, rounds: int, steps: int = 1
) -> list[dict[str, Any]]:
    """Returns a row per peer; `ours` must be among them: the last column is their time over ours.

    Args:
        peers: names that `benchmarks.peers.worker` takes.
        task: `train` or `score`.
        rows: int. Rows of all embedding tables together.
        batch_size: int.
        width: int. Of the embeddings.
        rounds: int.
        steps: int. Steps that one measurement takes together. Defaults to 1.
    """
    arguments = ["--rows", str(rows), "--batch-size", str(batch_size), "--width", str(width), "--steps", str(steps)]
    workers = {}
    for peer in peers:
        print(f"building: {peer}, {rows:,} rows, batches of {batch_size}", flush=True)
        workers[peer] = Worker("benchmarks.peers.worker", [peer, task, *arguments])
    seconds = in_turns(workers, rounds)
    peaks = {peer: worker.close() for peer, worker in workers.items()}
    return [
        {
            "task": task,
            "peer": peer,
            "rows": rows,
            "batch_size": batch_size,
            "width": width,
            "ms": 1000 * seconds[peer] / steps,
            "examples_per_second": batch_size * steps / seconds[peer],
            "peak_mb": peaks[peer],
            "to_ours": seconds[peer] / seconds["ours"],
        }
        for peer in peers
    ]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the rows as Markdown."""
    lines = [
        "| model | rows of tables | batch | examples per second | time, ours = 1 | peak MB |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [row["peer"], f"{row['rows']:,}", f"{row['batch_size']:,}", f"{row['examples_per_second']:,.0f}"]
        lines.append(f"| {' | '.join(cells)} | {row['to_ours']:.2f} | {row['peak_mb']:,.0f} |")
    return "\n".join(lines)


def main(task: str = "train", sizes: Sequence[int] = (1024,)) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="+", choices=PEERS)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 5_000_000])
    parser.add_argument("--batch-size", type=int, nargs="+", default=list(sizes))
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    given = parser.parse_args()
    packages = {package for needed in NEEDS.values() for package in needed}
    missing = {package for package in packages if importlib.util.find_spec(package) is None}
    peers = given.peers or [peer for peer in PEERS if missing.isdisjoint(NEEDS.get(peer, ()))]
    if missing and not given.peers:
        left_out = [peer for peer in PEERS if peer not in peers]
        print(f"measuring without {', '.join(left_out)}: not installed: {', '.join(sorted(missing))}")
    if "ours" not in peers:
        peers = ["ours", *peers]
    rows = [
        row
        for count in given.rows
        for size in given.batch_size
        for row in measure(peers, task, count, size, given.width, given.rounds)
    ]
    print(table(rows))
    if given.output:
        write(given.output, {"settings": {"rounds": given.rounds, "width": given.width}, "rows": rows})


if __name__ == "__main__":
    main()
