"""Checks of the exercises of the catalogue of methods."""

from collections.abc import Callable

import numpy as np

from medxai.checks import Check, Mistake


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
    example=lambda: (_steep, np.array([3.0, 2.0, 0.5]), np.array([1.0, 1.0, 0.0])),
    hint="Walk from the baseline to the image in a straight line, take the mean of the gradient, and double the number "
    "of steps until that changes nothing.",
    meaning=lambda values, *_: (
        f"The values sum to {values.sum():.3g}: by that much the score rises from the baseline to the image."
    ),
    is_function=True,
)


def _cam(features: np.ndarray, weights: np.ndarray, target: int) -> np.ndarray:
    return np.tensordot(weights[target], features, axes=1)


check_cam = Check(
    reference=_cam,
    mistakes=(
        Mistake(
            lambda features, weights, target: np.maximum(_cam(features, weights, target), 0),
            "What is negative was cut off, as Grad-CAM does. CAM keeps what speaks against the class.",
        ),
        Mistake(
            lambda features, weights, target: features.mean(axis=0),
            "This takes the mean of all feature maps, whatever they say of the class. Weigh them.",
        ),
        Mistake(
            lambda features, weights, target: features.sum(axis=0),
            "This adds up all feature maps, whatever they say of the class. Weigh them.",
        ),
        Mistake(
            lambda features, weights, target: _cam(features, np.abs(weights), target),
            "The weights lost their sign: a map with a negative weight speaks against the class.",
        ),
        Mistake(
            lambda features, weights, target: _cam(features, weights.mean(axis=0, keepdims=True), 0),
            "This takes the mean weight over all classes. One class is asked for.",
        ),
        Mistake(
            lambda features, weights, target: _cam(features, weights, target) / len(features),
            "This takes a mean over feature maps. CAM is their weighted sum.",
        ),
    ),
    example=lambda: (
        np.array([[[1.0, 0.0, 2.0], [0.5, 3.0, 0.0]], [[0.0, 4.0, 1.0], [2.0, 0.0, 0.2]]]),
        np.array([[1.0, 0.3], [0.5, -2.0], [0.1, 0.4]]),
        1,
    ),
    hint="Each feature map times the class's weight for it, then the sum over the maps.",
    meaning=lambda values, features, weights, target: (
        f"Its mean, {values.mean():.3g}, is the class's logit less the bias: each place's share of the evidence, "
        f"{(values < 0).mean():.0%} of them against the class."
    ),
)
