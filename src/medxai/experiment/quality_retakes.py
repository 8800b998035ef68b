"""Simulated patients who take their photograph again: does it help to know what was wrong?

A network asks for another photograph where it finds one poor or without skin. All patients are asked for by the same
network; what differs is what they are told. How people follow advice was not measured by anybody here: `FOLLOWED`,
`BETTER_BY_LUCK` and `NEW_FAULT` are assumptions, and the numbers hold under these.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from medxai.data.photo_quality import POOR, REASONS, QualityPhotos
from medxai.evaluation import bootstrap
from medxai.evaluation.sums import ratio
from medxai.experiment.quality_photos import CHANCES, SEED, Conditions, People, kinds_drawn, photographed
from medxai.experiment.quality_scores import Answers, Network

FOLLOWED = 0.5
"""How often a fault that is named is gone in the next photograph; otherwise its strength is halved."""
BETTER_BY_LUCK = 0.25
"""How often a fault that is not named is gone in the next photograph; otherwise it stays as it is."""
NEW_FAULT = 0.1
"""How often a fault that was not there appears, as a share of how often it is there in a first photograph."""
RETAKES = 2
LATER = 1_000_000
"""What is added to the number of a photograph when it is taken again."""
NETWORK, RATERS = "the network's reasons", "the raters' reasons"
ADVICE = ("no reason", "random reasons", NETWORK, RATERS)
"""What patients are told. Random reasons are as many as the network's, so that only their content differs."""


class Step(NamedTuple):
    """The photographs that are there at one time, n."""

    poor: np.ndarray
    """bool (n,): whether most raters find it poor."""
    again: np.ndarray
    """bool (n,): whether the network asks for another one."""


def taken_again(conditions: Conditions, named: np.ndarray, rng: np.random.Generator) -> Conditions:
    """Return the conditions of each patient's next photograph.

    Parameters
    ----------
    named
        bool (n, 5): the reasons that each was told.
    """
    shape, there = conditions.faults.shape, conditions.faults > 0
    gone = rng.random(shape) < np.where(named, FOLLOWED, BETTER_BY_LUCK)
    kept = conditions.faults * np.where(named, 0.5, 1.0) * ~gone
    chances = NEW_FAULT * np.array([CHANCES[name] for name in REASONS])
    new = (rng.random(shape) < chances) * rng.random(shape)
    lesion = (conditions.visible > 0) & (conditions.skin == 1)
    new[~lesion, REASONS.index("Bad framing")] = 0
    new[conditions.skin < 1, REASONS.index("Too far away")] = 0
    kinds = np.where(there, conditions.variants, kinds_drawn(len(conditions), rng))
    return replace(conditions, faults=np.where(there, kept, new), variants=kinds)


def told(advice: str, answers: Answers, reasons: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return which reasons patients are told, bool (n, 5); of a network's at least the most probable one.

    ``reasons`` are those of the raters, float (n, 5).
    """
    own = answers.given | (answers.reasons == answers.reasons.max(1, keepdims=True))
    if advice == NETWORK:
        return own
    if advice == RATERS:
        return reasons > 0
    if advice == "random reasons":
        return rng.permuted(own, axis=1)
    return np.zeros(own.shape, bool)


def followed(network: Network, conditions: Conditions, people: People, side: int) -> dict[str, list[Step]]:
    """Let patients take photographs until the network is content, `RETAKES` times at most.

    Returns
    -------
    dict
        By advice: the first photographs, and those that are there after each retake.
    """
    first = photographed(conditions, people, side)
    said = network(first.pictures)
    return {advice: _under(advice, network, conditions, people, first, said) for advice in ADVICE}


def _under(
    advice: str, network: Network, conditions: Conditions, people: People, first: QualityPhotos, said: Answers
) -> list[Step]:
    again, poor = said.again, first.labels == POOR
    steps, rows = [Step(poor.copy(), again)], np.flatnonzero(again)
    now, found, reasons = conditions.rows(rows), said.rows(rows), first.reasons[rows]
    for visit in range(1, RETAKES + 1):
        again = np.zeros_like(again)
        if len(rows):
            rng = np.random.default_rng([SEED, visit])
            now = taken_again(now, told(advice, found, reasons, rng), rng)
            now = replace(now, photo=now.photo + LATER)
            photos = photographed(now, people, first.side, visit=visit)
            found = network(photos.pictures)
            poor[rows], again[rows] = photos.labels == POOR, found.again
            kept = np.flatnonzero(found.again)
            rows, now, found, reasons = rows[kept], now.rows(kept), found.rows(kept), photos.reasons[kept]
        steps.append(Step(poor.copy(), again))
    return steps


def shares(steps: dict[str, list[Step]], groups: np.ndarray, resamples: int) -> pd.DataFrame:
    """Return what each advice achieves, with intervals by resampling patients.

    Parameters
    ----------
    groups
        int (n,): the patient of each photograph.

    Returns
    -------
    pandas.DataFrame
        ``advice``, ``retakes``, ``metric``, ``value``, ``low``, ``high``: "poor", the share of the photographs that are
        then poor; "asked", of those that are asked for once more; "fewer", by which share the poor ones have become
        fewer; "more than no reason", by how much that share is larger than for patients who are told no reason.
    """
    weights, lines = bootstrap.resampled(groups, resamples, SEED), []

    def fewer(advice: str, visit: int) -> np.ndarray:
        return 1 - ratio(weights @ steps[advice][visit].poor, weights @ steps[advice][0].poor)

    for advice, each in steps.items():
        for visit, step in enumerate(each):
            total = weights.sum(1)
            found = {"poor": weights @ step.poor / total, "asked": weights @ step.again / total}
            found["fewer"] = fewer(advice, visit)
            found["more than no reason"] = found["fewer"] - fewer(ADVICE[0], visit)
            lines += [(advice, visit, metric, *bootstrap.ends(values)) for metric, values in found.items()]
    return pd.DataFrame(lines, columns=["advice", "retakes", "metric", "value", "low", "high"])
