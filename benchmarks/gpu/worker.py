"""One side in a process of its own: `python -m benchmarks.gpu.worker jax` or `torch`, see `benchmarks.gpu.side`.

For each JSON line on the standard input it writes one behind an `@`, `{"error": ...}` where something fails.
"""

import json
import math
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks.gpu.cases import Case

PACKAGES = {"jax": ("jax", "jaxlib", "keras", "numpy"), "torch": ("torch",)}
# What one measurement should take at least: shorter ones are measured many times together.
LEAST_SECONDS = 0.03


def main() -> None:
    """The command line."""
    name, small = sys.argv[1], "--small" in sys.argv
    side: Any
    if name == "jax":
        from benchmarks.gpu.jax_side import JaxSide

        side = JaxSide(small)
    else:
        from benchmarks.gpu.torch_side import TorchSide

        side = TorchSide(small)
    versions = {package: _version(package) for package in PACKAGES[name]}
    _say({**side.facts, "versions": versions, "counts": {run: _count(side.runs[run]) for run in side.runs}})
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            _say(_done(side, **asked))
        except Exception as error:
            _say({"error": f"{type(error).__name__}: {error}"[:500]})


def _done(side: Any, do: str, case: Any = None, run: str = "", count: int = 1) -> dict[str, Any]:
    if do == "drop":
        side.drop()
        return {}
    if do == "make":
        found: dict[str, Any] = side.make(Case(**case))
        for peer in side.runs.keys() & found.keys():
            facts = found[peer]
            facts["count"] = _count(side.runs[peer])
        return found
    return {"seconds": _seconds(side.runs[run], count) / count}


def _count(run: Any) -> int:
    """How often it is to be run in one measurement; the first runs of all do not count."""
    run(2)
    return max(1, min(100, math.ceil(LEAST_SECONDS / _seconds(run, 1))))


def _seconds(run: Any, count: int) -> float:
    started = time.perf_counter()
    run(count)
    return time.perf_counter() - started


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed as a package"


def _say(answer: dict[str, Any]) -> None:
    print("@" + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
