"""Times several things side by side in one run: what is compared is measured in turns, under the same load."""

import statistics
import time
from collections.abc import Callable, Mapping

from tqdm import tqdm


def side_by_side(calls: Mapping[str, Callable[[], object]], rounds: int = 15, warmup: int = 2) -> dict[str, float]:
    """Returns the median seconds of each call; every round calls each of them once.

    Args:
        calls: name -> function without arguments, which must wait for its own result.
        rounds: int. Calls that count. Defaults to 15.
        warmup: int. Calls before those, which trace and compile. Defaults to 2.

    Example:

    >>> sorted(side_by_side({"short": lambda: sum(range(10)), "long": lambda: sum(range(10_000))}, rounds=3))
    ['long', 'short']
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(warmup):
            call()
    for _ in tqdm(range(rounds), desc="timing", leave=False, disable=None):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in taken.items()}
