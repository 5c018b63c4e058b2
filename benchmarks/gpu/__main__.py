"""The layers and whole training steps on a GPU, on Keras's JAX backend, without TensorFlow.

`python -m benchmarks.gpu --output gpu.json` measures each case in turns with a large matrix product of its dtype and a
large copy on the same device, and whole steps of InterFormer with the same model in plain PyTorch, eager and compiled,
where that is installed. Read the ratios: what share of the device's own matrix rate a case reaches, and what share of
what it could at most, given the multiplications of its matrix products and the bytes that must at least be read and
written. What does not fit into the time limit is left out, and said. `--small` tries everything on a processor.
"""

import argparse
import importlib.util
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.cases import Case, cases, small_cases
from benchmarks.gpu.side import Failed, Side
from benchmarks.gpu.table import table
from benchmarks.results import write

# For a case that is under way when the limit comes.
GRACE = 25.0


class Bench:
    """Runs cases until the time is over.

    Args:
        limit: Seconds.
        rounds: Measurements of each figure, of which the median counts.
        small: Whether the workers are to be quick.
        peers: Whether to measure PyTorch, too.
    """

    def __init__(self, limit: float, rounds: int, small: bool, peers: bool) -> None:
        self.started = time.perf_counter()
        self.limit = limit
        self.rounds = rounds
        self.small = small
        self.longest: dict[bool, float] = {}  # whole steps or layers -> seconds that a case has taken
        self.rows: list[dict[str, Any]] = []
        self.left_out: dict[str, str] = {}
        self.facts: dict[str, Any] = {}
        names = ("jax", "torch") if peers else ("jax",)
        self.sides = {name: Side(name, small) for name in names}
        for name in names:
            try:
                self.facts[name] = self._answer(name)
            except (RuntimeError, TimeoutError) as error:
                if name == "jax":
                    self.close()
                    raise
                self.left_out[name] = str(error)
                self.sides.pop(name).close()

    @property
    def left(self) -> float:
        """Seconds until the limit."""
        return self.limit - (time.perf_counter() - self.started)

    def run(self, case: Case) -> None:
        """Measure a case, or note why not."""
        whole = case.what == "train"
        expected = self.longest.get(whole, 0.0)
        if "jax" not in self.sides:
            self.left_out[case.name] = "the worker could not be started again"
            return
        if self.left <= expected:
            self.left_out[case.name] = f"{max(self.left, 0):.0f} s were left, it may take {expected:.0f}"
            return
        began = time.perf_counter()
        made, failed = self._made(case)
        try:
            if "ours" not in made:
                raise Failed(failed.pop("ours"))
            found = row(case, self.facts["jax"], made, *self._measured(case, made))
            self.rows.append(found | ({"failed": failed} if failed else {}))
        except Failed as error:
            self.left_out[case.name] = str(error)
        except (RuntimeError, TimeoutError) as error:
            self.left_out[case.name] = str(error)
            self._restart()
        else:
            self.longest[whole] = max(expected, time.perf_counter() - began)
        for name in self.sides:
            self._ask(name, do="drop")

    def _made(self, case: Case) -> tuple[dict[str, Any], dict[str, str]]:
        """Facts of each peer that is ready to run, and what the others said."""
        names = [name for name in self.sides if name == "jax" or (case.kind, case.what) == ("interformer", "train")]
        for name in names:  # both compile at once
            self.sides[name].ask(do="make", case=case.as_dict())
        made, failed = {}, {}
        for name in names:
            peers: dict[str, Any] = {}
            try:
                peers = self._answer(name)
            except (RuntimeError, TimeoutError) as error:
                failed["ours" if name == "jax" else name] = str(error)
                if not isinstance(error, Failed):
                    self._restart(name)
            for peer, facts in peers.items():
                if "error" in facts:
                    failed[peer] = facts["error"]
                else:
                    made[peer] = {**facts, "side": name}
        return made, failed

    def _measured(self, case: Case, made: dict[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
        """Median seconds of each run, and how far its shortest and longest lie apart, relative to that."""
        counts = self.facts["jax"]["counts"]
        runs = {run: ("jax", counts[run]) for run in (f"matrix {case.dtype}", "copy")}
        runs |= {peer: (facts["side"], facts["count"]) for peer, facts in made.items()}
        taken: dict[str, list[float]] = {run: [] for run in runs}
        for _ in range(self.rounds):
            for run, (name, count) in runs.items():
                taken[run].append(self._ask(name, do="time", run=run, count=count)["seconds"])
        seconds = {run: statistics.median(times) for run, times in taken.items()}
        return seconds, {run: (max(times) - min(times)) / seconds[run] for run, times in taken.items()}

    def _ask(self, name: str, **asked: Any) -> dict[str, Any]:
        self.sides[name].ask(**asked)
        return self._answer(name)

    def _answer(self, name: str) -> dict[str, Any]:
        return self.sides[name].answer(self.left + GRACE)

    def _restart(self, *names: str) -> None:
        """Start workers anew, all of them unless some are named."""
        for name in names or tuple(self.sides):
            self.sides.pop(name).close()
            self.sides[name] = Side(name, self.small)
            try:
                self._answer(name)
            except (RuntimeError, TimeoutError):
                self.sides.pop(name).close()

    def close(self) -> None:
        for side in self.sides.values():
            side.close()


def row(
    case: Case, device: dict[str, Any], made: dict[str, Any], seconds: dict[str, float], spread: dict[str, float]
) -> dict[str, Any]:
    """Returns what a case's times say, beside the rates that the device reached in the same turns."""
    ours = made["ours"]
    matrix_rate = device["matrix_flop"] / seconds[f"matrix {case.dtype}"]
    copy_rate = device["copy_bytes"] / seconds["copy"]
    flop = 2 * ours["multiplications"]
    floor = max(flop / matrix_rate, ours["bytes"] / copy_rate)
    peers = {
        peer: {
            "ms": 1000 * seconds[peer],
            "to_ours": seconds[peer] / seconds["ours"],
            "spread": spread[peer],
            "compile_seconds": facts["compile_seconds"],
        }
        for peer, facts in made.items()
        if peer != "ours"
    }
    return {
        **case.as_dict(),
        "ms": 1000 * seconds["ours"],
        "spread": spread["ours"],
        "compile_seconds": ours["compile_seconds"],
        "multiplications": ours["multiplications"],
        "bytes": ours["bytes"],
        "matrix_tflops_per_second": matrix_rate / 1e12,
        "copy_gb_per_second": copy_rate / 1e9,
        "share_of_matrix_rate": flop / seconds["ours"] / matrix_rate,
        "floor_ms": 1000 * floor,
        "share_of_floor": floor / seconds["ours"],
        "peers": peers,
    }


def driver() -> str | None:
    """Returns the version of NVIDIA's driver, where there is one."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else None


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="JSON file to write; written anew after each case")
    parser.add_argument("--time-limit", type=float, default=420.0, help="seconds (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="(default: %(default)s)")
    parser.add_argument("--only", default="", help="regular expression: cases in whose name it is found")
    parser.add_argument("--no-torch", action="store_true", help="without PyTorch, even where it is installed")
    parser.add_argument("--small", action="store_true", help="small sizes, to try it on a processor")
    given = parser.parse_args()
    peers = not given.no_torch and importlib.util.find_spec("torch") is not None
    chosen = [case for case in (small_cases() if given.small else cases()) if re.search(given.only, case.name)]
    bench = Bench(given.time_limit, given.rounds, given.small, peers)
    try:
        for case in chosen:
            print(f"{time.perf_counter() - bench.started:5.0f} s  {case.name}", file=sys.stderr, flush=True)
            bench.run(case)
            if given.output:
                seconds = time.perf_counter() - bench.started
                result = {"settings": settings(given, bench), "seconds": seconds, "rows": bench.rows}
                write(given.output, {**result, "left_out": bench.left_out})
    finally:
        bench.close()
    print(table(bench.rows))
    for name, reason in bench.left_out.items():
        print(f"left out: {name}: {reason}")


def settings(given: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    """Returns what the figures depend on."""
    versions = {name: found for facts in bench.facts.values() for name, found in facts["versions"].items()}
    return {
        "device": bench.facts["jax"]["device"],
        "driver": driver(),
        "versions": {"python": platform.python_version(), **versions},
        "error_of_float32_product": bench.facts["jax"]["error_of_float32_product"],
        "rounds": given.rounds,
        "time_limit": given.time_limit,
        "small": given.small,
    }


if __name__ == "__main__":
    main()
