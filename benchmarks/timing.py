"""Versions of a computation timed side by side."""

import random
import statistics
import time
from collections.abc import Callable


def medians(
    versions: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Return the median seconds of each version; they take turns, after one turn that does not count.

    Their order is drawn anew for each turn, since a version pays for the memory that the one before it has left.
    """
    seconds: dict[str, list[float]] = {name: [] for name in versions}
    draw = random.Random(0)
    for turn in range(rounds + 1):
        for name in draw.sample(list(versions), len(versions)):
            start = clock()
            versions[name]()
            if turn > 0:
                seconds[name].append(clock() - start)
    return {name: statistics.median(some) for name, some in seconds.items()}


def ratios(values: dict[str, float], to: str) -> dict[str, float]:
    """Return each value over one of them."""
    return {name: round(value / values[to], 3) for name, value in values.items()}
