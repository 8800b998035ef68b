"""The table of metrics (``metrics.csv``): what each asks of a map, and which way is better."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Metric:
    """One number about a map."""

    title: str
    """As a chapter prints it."""
    family: Literal["place", "faithfulness", "truth", "stability", "sanity", "complexity"]
    """What it is about: where the map points, whether the score agrees with it, whether it agrees with what parts of
    the image are known to be worth, whether similar images have similar maps, whether it depends on what the network
    learnt, how much of the image it uses."""
    question: str
    better: Literal["higher", "lower"] | None
    """None where neither is better."""
    low: float
    """Least value that is possible."""
    high: float
    """Largest value that is possible, or infinity."""
    reference: str


def _read() -> dict[str, Metric]:
    with Path(__file__).with_name("metrics.csv").open(encoding="utf-8", newline="") as file:
        lines = {line.pop("name"): line for line in csv.DictReader(file)}
    return {
        name: Metric(
            **line | {"better": line["better"] or None, "low": float(line["low"]), "high": float(line["high"])}
        )
        for name, line in lines.items()
    }


METRICS: dict[str, Metric] = _read()
"""Every metric, by the name of its column."""


def verdicts(differences: pd.DataFrame, metric: str) -> pd.Series:
    """Say of each row whether it is ``better`` or ``worse`` than what it was compared with, or the question ``open``.

    Open is what has 0 in its interval, of `medxai.evaluation.bootstrap.differences`, or has none.
    """
    above, below = differences["low"] > 0, differences["high"] < 0
    better, worse = (above, below) if METRICS[metric].better == "higher" else (below, above)
    return pd.Series(np.select([better, worse], ["better", "worse"], "open"), differences.index)
