"""Checks of the exercises of the DermX chapter."""

import numpy as np

from medxai.checks import Check, Mistake


def _dice(attention: np.ndarray, experts: np.ndarray) -> float:
    return float(1 - 2 * (attention * experts).sum() / (attention.sum() + experts.sum()))


check_dice = Check(
    reference=_dice,
    mistakes=(
        Mistake(
            lambda attention, experts: 1 - _dice(attention, experts),
            "This is the overlap. The loss is 1 less the overlap.",
        ),
        Mistake(
            lambda attention, experts: float(
                1 - 2 * np.minimum(attention, experts).sum() / (attention.sum() + experts.sum())
            ),
            "This takes the minimum, as the fuzzy F1 of the tables does. The loss takes the product.",
        ),
        Mistake(
            lambda attention, experts: float(1 - (attention * experts).sum() / (attention.sum() + experts.sum())),
            "The product counts twice.",
        ),
    ),
    example=lambda: (np.array([[1.0, 0.5], [0.0, 0.2]]), np.array([[0.8, 0.4], [0.4, 0.0]])),
    hint="Twice the sum of the products, over the sum of both sums; then 1 less that.",
    meaning=lambda loss, attention, experts: (
        f"The loss is {loss:.2f}; the experts' own map would get {_dice(experts, experts):.2f}, and 0 only if it were "
        "not fuzzy."
    ),
)


def _skill(score: float, blind: float, best: float) -> float:
    return (score - blind) / (best - blind)


check_skill = Check(
    reference=_skill,
    mistakes=(
        Mistake(lambda score, blind, best: score / best, "A blind map does not get 0. Start from what it gets."),
        Mistake(lambda score, blind, best: score - blind, "This is the way gone. Divide it by the whole way."),
        Mistake(
            lambda score, blind, best: (score - blind) / (1 - blind), "No map of that grid gets 1. End at the best one."
        ),
    ),
    example=lambda: (0.5, 0.3, 0.6),
    hint="The way gone from the blind map, as a share of the way from there to the best.",
    meaning=lambda skill, score, blind, best: (
        f"DermX has gone {skill:.0%} of the way from a map that sees no image to the best map of its grid."
        if skill > 0
        else "DermX scores no better than a map that has not seen the image."
    ),
)


def _tilt(weight: np.ndarray, characteristic: int, one: int, other: int, by: float) -> float:
    column = weight.shape[1] - 10 + characteristic
    return float(by * (weight[one, column] - weight[other, column]))


check_tilt = Check(
    reference=_tilt,
    mistakes=(
        Mistake(
            lambda weight, characteristic, one, other, by: float(
                by * (weight[one, characteristic] - weight[other, characteristic])
            ),
            "These are weights of the 64 features. Those of the characteristics come after them.",
        ),
        Mistake(
            lambda weight, characteristic, one, other, by: -_tilt(weight, characteristic, one, other, by),
            "The sign is turned round: the logit of the first disease less that of the second.",
        ),
        Mistake(
            lambda weight, characteristic, one, other, by: _tilt(weight, characteristic, one, other, 1.0),
            "This is the change for 1. The logit of the characteristic is raised by more.",
        ),
    ),
    example=lambda: (np.random.default_rng(0).normal(size=(6, 74)), 2, 0, 3, 3.0),
    hint="One linear layer: a logit of it changes by its weight times the change of its input.",
    meaning=lambda moved, weight, characteristic, one, other, by: (
        f"The odds of disease {one} against disease {other} are multiplied by {np.exp(moved):.3g}."
    ),
)
