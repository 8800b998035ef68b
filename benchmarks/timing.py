"""Versions of a computation timed side by side, and the report of a benchmark."""

import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch

from medxai import provenance


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


def asked_rounds(default: int = 5) -> int:
    """Return how many rounds the command line asks for."""
    return int(sys.argv[1]) if len(sys.argv) > 1 else default


def report(program: str, measure: Callable[[], dict[str, object]], packages: tuple[str, ...]) -> None:
    """Measure, add what machine it was, and write that beside the program and to the screen."""
    load = round(os.getloadavg()[0], 1)  # that of others, not ours
    found = measure() | {
        "processor": provenance.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average_1_minute": load,
        "python": sys.version.split()[0],
        "versions": {name: version(name) for name in packages},
    }
    text = json.dumps(found, indent=2)
    Path(program).with_suffix(".json").write_text(text + "\n")
    print(text)
