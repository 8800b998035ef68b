"""Checks of the exercises of the attribution chapter."""

from collections.abc import Callable

import numpy as np

from medxai.checks import Check, Mistake


def _gap(values: np.ndarray, logit: float, baseline_logit: float) -> float:
    wanted = logit - baseline_logit
    return float(abs(values.sum() - wanted) / abs(wanted))


check_gap = Check(
    reference=_gap,
    mistakes=(
        Mistake(
            lambda values, logit, baseline_logit: _gap(values, logit, 0.0),
            "The map is compared with the logit itself. The baseline has a logit, too.",
        ),
        Mistake(
            lambda values, logit, baseline_logit: abs(values.sum() - (logit - baseline_logit)) / abs(logit),
            "The difference is divided by the logit itself. The sum should be something else.",
        ),
        Mistake(
            lambda values, logit, baseline_logit: values.sum() / (logit - baseline_logit) - 1,
            "The size is right, the sign is not: how far off it is should not be negative.",
        ),
        Mistake(
            lambda values, logit, baseline_logit: values.sum() / (logit - baseline_logit),
            "This is the share that the sum reaches. How much of it is missing, or too much?",
        ),
        Mistake(
            lambda values, logit, baseline_logit: _gap(np.abs(values), logit, baseline_logit),
            "This adds up sizes. Evidence against the class counts as negative.",
        ),
        Mistake(
            lambda values, logit, baseline_logit: _gap(values.mean(), logit, baseline_logit),
            "This takes the mean of the map. Completeness is about its sum.",
        ),
        Mistake(
            lambda values, logit, baseline_logit: abs(values.sum() - (logit - baseline_logit)),
            "This is in units of the logit. Divide by the size of what the sum should be.",
        ),
    ),
    example=lambda: (np.array([[1.0, -0.5], [2.0, 0.1]]), 3.0, 0.3),
    hint="What should the sum be? How far is it from that, as a share?",
    meaning=lambda gap, values, logit, baseline_logit: (
        f"The logit rises by {logit - baseline_logit:.2f} from the baseline to the image, and the map explains "
        f"{values.sum():.2f} of it: what is off, {gap:.1%}, comes from taking few steps."
    ),
)


def _shapley(nothing: float, first: float, second: float, whole: float) -> np.ndarray:
    one = ((first - nothing) + (whole - second)) / 2
    return np.array([one, whole - nothing - one])


check_shapley = Check(
    reference=_shapley,
    mistakes=(
        Mistake(
            lambda nothing, first, second, whole: np.array([whole - second, whole - first]),
            "This only takes each region away from the whole image, as occlusion does. A region can also come first.",
        ),
        Mistake(
            lambda nothing, first, second, whole: np.array([first - nothing, second - nothing]),
            "This only adds each region to the empty image. It can also join when the other is already there.",
        ),
        Mistake(
            lambda nothing, first, second, whole: np.full(2, (whole - nothing) / 2),
            "This shares the gain equally, whatever each region does on its own.",
        ),
    ),
    example=lambda: (0.1, 0.5, 0.2, 1.0),
    hint="There are two orders. In each of them, how much does the score rise when the region joins?",
    meaning=lambda values, nothing, first, second, whole: (
        f"The regions get {values[0]:g} and {values[1]:g}, together {whole - nothing:g}: exactly what the whole image "
        "scores more than the empty one."
    ),
)

Gradient = Callable[[np.ndarray], np.ndarray]


def _integrated(gradient: Gradient, image: np.ndarray, baseline: np.ndarray, steps: int = 1000) -> np.ndarray:
    shares = (np.arange(steps) + 0.5) / steps
    return (image - baseline) * np.mean([gradient(baseline + share * (image - baseline)) for share in shares], axis=0)


def _steep(x: np.ndarray) -> np.ndarray:
    """Gradient of 1 / (1 + exp(-30 (x0 + 2 x1 - x2 - 4.4))): flat at both ends of the way, steep on a part of it."""
    score = 1 / (1 + np.exp(-30 * (x[0] + 2 * x[1] - x[2] - 4.4)))
    return 30 * score * (1 - score) * np.array([1.0, 2.0, -1.0])


check_integrated = Check(
    reference=_integrated,
    mistakes=(
        Mistake(
            lambda gradient, image, baseline: (image - baseline) * gradient(image),
            "This takes the gradient at the image only. Where the score is saturated, it is zero there.",
        ),
        Mistake(
            lambda gradient, image, baseline: _integrated(gradient, image, baseline, steps=1),
            "This takes the gradient at one point, half of the way. The score may rise elsewhere.",
        ),
        Mistake(
            lambda gradient, image, baseline: _integrated(gradient, image, baseline) / (image - baseline) * image,
            "This multiplies by the image instead of what changed on the way from the baseline.",
        ),
        Mistake(
            lambda gradient, image, baseline: _integrated(gradient, image, baseline) / (image - baseline),
            "This is the mean gradient. It has to be multiplied by what changes on the way.",
        ),
        Mistake(
            lambda gradient, image, baseline: _integrated(gradient, image, 0 * image),
            "The path starts at zero, and so do the changes. Both should start at the baseline.",
        ),
        Mistake(
            lambda gradient, image, baseline: _integrated(gradient, image, 0 * image) / image * (image - baseline),
            "The path starts at zero. It should start at the baseline.",
        ),
    ),
    example=lambda: (_steep, np.array([2.0, 3.0, 1.5]), np.array([0.5, 1.0, -0.5])),
    hint="Walk from the baseline to the image in a straight line, take the mean of the gradient, and double the number "
    "of steps until that changes nothing.",
    meaning=lambda values, *_: (
        f"The values sum to {values.sum():.3g}: by that much the score rises from the baseline to the image."
    ),
    is_function=True,
)


def _ranks(one: np.ndarray, other: np.ndarray) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(one.ravel(), other.ravel()).statistic)


check_ranks = Check(
    reference=_ranks,
    mistakes=(
        Mistake(
            lambda one, other: float(np.corrcoef(one.ravel(), other.ravel())[0, 1]),
            "This correlates the values: a few large ones decide. Correlate the ranks.",
        ),
        Mistake(
            lambda one, other: _ranks(np.abs(one), np.abs(other)),
            "The sign was taken off first. Then evidence for and against look alike.",
        ),
        Mistake(lambda one, other: 1 - _ranks(one, other), "This is one minus the correlation: a distance."),
    ),
    example=lambda: (np.array([[5.0, -4.0], [0.5, 1.0]]), np.array([[9.0, 0.2], [-1.0, 1.5]])),
    hint="Give each pixel its rank within its map, and correlate the ranks.",
    meaning=lambda correlation, one, other: (
        f"The correlation is {correlation:.3f}, where 1 means that both maps put the pixels in the same order"
        f"{', so this method hardly asks about the class' if correlation > 0.9 else ''}."
    ),
)
