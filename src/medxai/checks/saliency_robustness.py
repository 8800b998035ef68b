"""Checks of the exercises of the chapter on the robustness of saliency maps."""

import numpy as np
import torch

from medxai.checks import Check, Mistake
from medxai.evaluation.classification import area_under_curve
from medxai.evaluation.map_similarity import shifted_error


def _levels(one: np.ndarray) -> np.ndarray:
    return 255 * (one - one.min()) / (one.max() - one.min())


def _root_mean_square(difference: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(difference, dtype=float))))


check_rmse = Check(
    reference=lambda original, corrupted: _root_mean_square(_levels(original) - _levels(corrupted)),
    mistakes=(
        Mistake(
            lambda original, corrupted: _root_mean_square(original - corrupted),
            "Scale each map first: as they are, their ranges differ.",
        ),
        Mistake(
            lambda original, corrupted: _root_mean_square(
                255 * (original - original.min()) / np.ptp(original)
                - 255 * (corrupted - original.min()) / np.ptp(original)
            ),
            "The corrupted map has a range of its own: scale it by that.",
        ),
        Mistake(
            lambda original, corrupted: float(np.mean((_levels(original) - _levels(corrupted)) ** 2)),
            "The root is missing.",
        ),
        Mistake(
            lambda original, corrupted: float(np.mean(np.abs(_levels(original) - _levels(corrupted)))),
            "This is the mean absolute difference. RMSE squares before the mean.",
        ),
    ),
    example=lambda: (np.array([[0.0, 1.0], [3.0, 5.0]]), np.array([[2.0, 2.0], [4.0, 7.0]])),
    hint="Scale, subtract, square, mean, root: in this order.",
    meaning=lambda rmse, original, corrupted: (
        f"The maps differ by {rmse:.0f} of 255 grey levels, though their own values go from {original.min():g} to "
        f"{original.max():g} and from {corrupted.min():g} to {corrupted.max():g}: what is compared is their shape."
    ),
)


def _area(sick: np.ndarray, scores: np.ndarray) -> float:
    return float(area_under_curve(sick, scores, np.ones((1, len(sick))))[0])


check_delta_auc = Check(
    reference=lambda before, after, sick: _area(sick, before) - _area(sick, after),
    mistakes=(
        Mistake(
            lambda before, after, sick: _area(sick, after) - _area(sick, before),
            "The sign: a loss is positive, the AUC before less that after.",
        ),
        Mistake(
            lambda before, after, sick: _area(sick, before - after),
            "This is the area of the differences, the other meaning: how well they tell the classes apart.",
        ),
        Mistake(
            lambda before, after, sick: float(((before > 0.5) == sick).mean() - ((after > 0.5) == sick).mean()),
            "This is the loss of accuracy. An AUC has no threshold.",
        ),
        Mistake(lambda before, after, sick: _area(sick, after), "This is the AUC after. What was it before?"),
    ),
    example=lambda: (
        np.array([0.9, 0.4, 0.3, 0.6]),
        np.array([0.7, 0.2, 0.1, 0.8]),
        np.array([True, True, False, False]),
    ),
    hint="Count pairs of a sick and a healthy image, before and after.",
    meaning=lambda delta, before, after, sick: (
        f"Of the {sick.sum() * (~sick).sum()} pairs, {delta:.0%} more were in the right order before than after: that "
        "is the loss, and it needs no threshold."
    ),
)


def _shifted(original: np.ndarray, moved: np.ndarray, shift: int) -> float:
    maps, others = (torch.from_numpy(np.ascontiguousarray(one))[None] for one in (moved, original))
    return float(shifted_error(maps, others, torch.tensor([[float(shift), 0.0]]))[0])


check_shift = Check(
    reference=_shifted,
    mistakes=(
        Mistake(
            lambda original, moved, shift: _root_mean_square(moved.astype(float) - original),
            "The shift is still in it.",
        ),
        Mistake(
            lambda original, moved, shift: _root_mean_square(moved[:, :-shift].astype(float) - original[:, shift:]),
            "This shifts further, not back: column 0 of the original has gone to the right.",
        ),
        Mistake(
            lambda original, moved, shift: _root_mean_square(np.roll(moved, -shift, 1).astype(float) - original),
            "Rolling brings the first columns in again at the other end; they have no partner there.",
        ),
    ),
    example=lambda: (
        np.array([[0, 100, 200, 50], [40, 60, 0, 255]], np.uint8),
        np.array([[90, 0, 110, 180], [70, 40, 60, 20]], np.uint8),
        1,
    ),
    hint="Compare column 1 of the moved map with column 0 of the original, and so on.",
    meaning=lambda rmse, original, moved, shift: (
        f"{rmse:.0f} grey levels are left of {_root_mean_square(moved.astype(float) - original):.0f}: most of what "
        "looked like an unstable map was the motion of the image."
    ),
)
