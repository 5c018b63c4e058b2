"""Measures models in processes of their own, in turns: the thread pools of two frameworks disturb each other in one."""

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence

from tqdm import tqdm


class Worker:
    """A process that does a piece of work whenever it is told to, and says how many seconds that took.

    Args:
        module: Module to run with `-m`. It calls `serve` with its work.
        arguments: Its arguments.
    """

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.facts: dict[str, float] = self._answer()

    def __call__(self) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self._answer()["seconds"])

    def _answer(self) -> dict[str, float]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("@"):
                answer: dict[str, float] = json.loads(line[1:])
                return answer
        raise RuntimeError(f"a worker ended with exit code {self.process.wait()}: {self.process.args!r}")

    def close(self) -> float:
        """End the process; returns its peak memory in MB."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        peak = self._answer()["peak_mb"]
        self.process.wait()
        return peak


def serve(work: object, **facts: float) -> None:
    """In the worker: do `work()` for every line on the standard input, after two calls that warm it up."""
    import resource
    import time

    assert callable(work)
    work()
    work()
    print("@" + json.dumps(facts), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        work()
        print("@" + json.dumps({"seconds": time.perf_counter() - started}), flush=True)
    print("@" + json.dumps({"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)


def in_turns(workers: Mapping[str, Worker], rounds: int = 15) -> dict[str, float]:
    """Returns the median seconds of each; every round asks each of them once.

    Args:
        workers: name -> `Worker`.
        rounds: int. Defaults to 15.
    """
    taken: dict[str, list[float]] = {name: [] for name in workers}
    for _ in tqdm(range(rounds), desc="timing", leave=False, disable=None):
        for name, worker in workers.items():
            taken[name].append(worker())
    return {name: statistics.median(times) for name, times in taken.items()}
