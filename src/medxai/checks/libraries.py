"""Checks of the exercise of the page on libraries."""

import numpy as np

from medxai.checks import Check, Mistake


def _weights(maps: np.ndarray, slope: np.ndarray) -> np.ndarray:
    rising = slope.clip(min=0)
    return (rising / (2 + maps.sum((1, 2), keepdims=True) * rising)).sum((1, 2))


check_weights = Check(
    reference=_weights,
    mistakes=(
        Mistake(
            "never divided",
            lambda maps, slope: (slope**2 * slope.clip(min=0)).sum((1, 2)),
            "This is the numerator alone. Each alpha has a denominator.",
        ),
        Mistake(
            "Grad-CAM",
            lambda maps, slope: slope.mean((1, 2)),
            "This is the mean gradient: Grad-CAM's weight, not that of Grad-CAM++.",
        ),
        Mistake(
            "sum over all maps",
            lambda maps, slope: (slope.clip(min=0) / (2 + maps.sum() * slope.clip(min=0))).sum((1, 2)),
            "The sum in the denominator runs over the pixels of the same map, not over all maps.",
        ),
        Mistake(
            "pixel by pixel",
            lambda maps, slope: (slope.clip(min=0) / (2 + maps * slope.clip(min=0))).sum((1, 2)),
            "In the denominator stands the sum of the map over all its pixels, not the value at the pixel.",
        ),
    ),
    example=lambda: (
        np.array([[[1.0, 0.0], [0.5, 0.0]], [[0.0, 0.3], [0.0, 1.0]]]),
        np.array([[[4.0, 0.0], [-1.0, 0.0]], [[1.0, 1.0], [1.0, 2.0]]]),
    ),
    hint="Write alpha as 1 / (2 + S g), with S the sum of the map, and take only gradients above zero.",
)
