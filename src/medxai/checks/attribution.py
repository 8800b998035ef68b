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
            lambda values, logit, baseline_logit: _gap(np.abs(values), logit, baseline_logit),
            "This adds up sizes. Evidence against the class counts as negative.",
        ),
        Mistake(
            lambda values, logit, baseline_logit: (
                abs(values.mean() - (logit - baseline_logit)) / abs(logit - baseline_logit)
            ),
            "This takes the mean of the map. Completeness is about its sum.",
        ),
        Mistake(
            lambda values, logit, baseline_logit: abs(values.sum() - (logit - baseline_logit)),
            "This is in units of the logit. Divide by the size of what the sum should be.",
        ),
    ),
    example=lambda: (np.array([[1.0, -0.5], [2.0, 0.1]]), 3.0, 0.6),
    hint="What should the sum be? How far is it from that, as a share?",
)


def _shapley(nothing: float, first: float, second: float, both: float) -> np.ndarray:
    one = ((first - nothing) + (both - second)) / 2
    return np.array([one, both - nothing - one])


check_shapley = Check(
    reference=_shapley,
    mistakes=(
        Mistake(
            lambda nothing, first, second, both: np.array([both - second, both - first]),
            "This only takes each region away from the whole image, as occlusion does. A region can also come first.",
        ),
        Mistake(
            lambda nothing, first, second, both: np.array([first - nothing, second - nothing]),
            "This only adds each region to the empty image. It can also join when the other is already there.",
        ),
        Mistake(
            lambda nothing, first, second, both: np.full(2, (both - nothing) / 2),
            "This shares the gain equally, whatever each region does on its own.",
        ),
    ),
    example=lambda: (0.1, 0.5, 0.2, 1.0),
    hint="There are two orders. In each of them, how much does the score rise when the region joins?",
)

Gradient = Callable[[np.ndarray], np.ndarray]


def _integrated(gradient: Gradient, image: np.ndarray, baseline: np.ndarray, steps: int = 200) -> np.ndarray:
    shares = (np.arange(steps) + 0.5) / steps
    return (image - baseline) * np.mean([gradient(baseline + share * (image - baseline)) for share in shares], axis=0)


def _product_and_square(x: np.ndarray) -> np.ndarray:
    """Gradient of x0 x1 + x2 squared."""
    return np.array([x[1], x[0], 2 * x[2]])


check_integrated = Check(
    reference=_integrated,
    mistakes=(
        Mistake(
            lambda gradient, image, baseline: (image - baseline) * gradient(image),
            "This takes the gradient at the image only. Where the score is saturated, it is zero there.",
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
            "The path starts at zero. It should start at the baseline.",
        ),
    ),
    example=lambda: (_product_and_square, np.array([2.0, 3.0, 1.5]), np.array([0.5, 1.0, -0.5])),
    hint="Walk from the baseline to the image in a straight line, and take the mean of the gradient.",
    is_function=True,
    tolerance=5e-2,
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
)
