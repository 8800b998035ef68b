"""Checks of the exercises of the page on libraries."""

import numpy as np

from medxai.checks import Check, Mistake


def _weights(maps: np.ndarray, slope: np.ndarray) -> np.ndarray:
    rising = slope.clip(min=0)
    return (rising / (2 + maps.sum((1, 2), keepdims=True) * rising)).sum((1, 2))


def _ratio(weights: np.ndarray) -> str:
    return " to ".join(f"{weight:.2f}" for weight in weights)


check_weights = Check(
    reference=_weights,
    mistakes=(
        Mistake(
            lambda maps, slope: (slope**2 * slope.clip(min=0)).sum((1, 2)),
            "This is the numerator alone. Each alpha has a denominator.",
        ),
        Mistake(
            lambda maps, slope: slope.mean((1, 2)),
            "This is the mean gradient: Grad-CAM's weight, not that of Grad-CAM++.",
        ),
        Mistake(
            lambda maps, slope: (slope.clip(min=0) / (2 + maps.sum() * slope.clip(min=0))).sum((1, 2)),
            "The sum in the denominator runs over the pixels of the same map, not over all maps.",
        ),
        Mistake(
            lambda maps, slope: (slope.clip(min=0) / (2 + maps * slope.clip(min=0))).sum((1, 2)),
            "In the denominator stands the sum of the map over all its pixels, not the value at the pixel.",
        ),
    ),
    example=lambda: (
        np.array([[[1.0, 0.0], [0.5, 0.0]], [[0.0, 0.3], [0.0, 1.0]]]),
        np.array([[[4.0, 0.0], [-1.0, 0.0]], [[1.0, 1.0], [1.0, 2.0]]]),
    ),
    hint="Write alpha as 1 / (2 + S g), with S the sum of the map, and take only gradients above zero.",
    meaning=lambda weights, maps, slope: (
        f"Grad-CAM++ weighs the maps as {_ratio(weights)}; Grad-CAM, by their mean gradients, as "
        f"{_ratio(slope.mean((1, 2)))}."
    ),
)


def _guided(inputs: np.ndarray, arriving: np.ndarray) -> np.ndarray:
    return np.where((inputs > 0) & (arriving > 0), arriving, 0.0)


check_guided = Check(
    reference=_guided,
    mistakes=(
        Mistake(
            lambda inputs, arriving: np.where(inputs > 0, arriving, 0.0),
            "This is the plain gradient. Guided backpropagation also cuts off what arrives with a negative sign.",
        ),
        Mistake(
            lambda inputs, arriving: np.maximum(arriving, 0.0),
            "This is DeConvNet: it does not ask whether the ReLU was open.",
        ),
        Mistake(
            lambda inputs, arriving: np.where(inputs > 0, np.abs(arriving), 0.0),
            "A negative value is cut off, not turned around.",
        ),
    ),
    example=lambda: (np.array([1.0, -2.0, 0.5, -0.1, 3.0]), np.array([0.7, 0.4, -1.2, -0.3, 2.0])),
    hint="Two conditions: the ReLU was open, and what arrives is positive.",
    meaning=lambda passed, inputs, arriving: (
        f"{np.count_nonzero(passed)} of {len(passed)} values pass; the plain gradient would let "
        f"{np.count_nonzero(arriving[inputs > 0])} pass, with their signs."
    ),
)


def _shares(summands: np.ndarray, relevance: float) -> np.ndarray:
    return relevance * summands / summands.sum()


check_shares = Check(
    reference=_shares,
    mistakes=(
        Mistake(
            lambda summands, relevance: np.full_like(summands, relevance),
            "Each summand gets everything: the relevance is multiplied, as in the libraries.",
        ),
        Mistake(
            lambda summands, relevance: np.full_like(summands, relevance / len(summands)),
            "Equal parts conserve the relevance, but a summand of zero has contributed nothing.",
        ),
        Mistake(
            lambda summands, relevance: relevance * np.abs(summands) / np.abs(summands).sum(),
            "The sign is lost: a negative summand has worked against the sum.",
        ),
    ),
    example=lambda: (np.array([3.0, -1.0, 2.0]), 5.0),
    hint="In proportion to what each summand has contributed to the sum.",
    meaning=lambda shares, summands, relevance: (
        f"The shares sum to {shares.sum():g}, which is the relevance that arrived: nothing is lost or made."
    ),
)
