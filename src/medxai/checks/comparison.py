"""Checks of the exercises of the comparison chapter."""

import numpy as np
import pandas as pd

from medxai.checks import Check, Mistake
from medxai.evaluation.similarity import rank_correlation


def _auc(values: np.ndarray, inside: np.ndarray) -> float:
    pairs = np.subtract.outer(values[inside], values[~inside])
    return float((pairs > 0).mean() + 0.5 * (pairs == 0).mean())


check_auc = Check(
    reference=_auc,
    mistakes=(
        Mistake(
            lambda values, inside: float((np.subtract.outer(values[inside], values[~inside]) > 0).mean()),
            "A pair with equal values counts half, not nothing.",
        ),
        Mistake(
            lambda values, inside: float((np.subtract.outer(values[inside], values[~inside]) >= 0).mean()),
            "A pair with equal values counts half, not whole.",
        ),
        Mistake(
            lambda values, inside: 1 - _auc(values, inside),
            "This is the share of pairs in which the pixel outside is higher.",
        ),
        Mistake(
            lambda values, inside: float(values[inside].mean()),
            "This is the mean value inside. The area asks only for the order of the values.",
        ),
    ),
    example=lambda: (
        np.array([[0.9, 0.4, 0.4], [0.1, 0.6, 0.2]]),
        np.array([[True, True, False], [False, True, False]]),
    ),
    hint="Compare each pixel inside with each outside, and count ties half.",
    meaning=lambda auc, values, inside: (
        f"Of a pixel inside and one outside, drawn at random, the one inside is higher {auc:.0%} of the time; a map "
        "that knows nothing gets 50%."
    ),
)


def _curve(contributions: np.ndarray, values: np.ndarray, sign: int = -1) -> np.ndarray:
    taken = np.cumsum(contributions[np.argsort(sign * values)])
    return np.concatenate([[0.0], taken])


def _deletion(contributions: np.ndarray, values: np.ndarray) -> float:
    curve = contributions.sum() - _curve(contributions, values)
    return float(np.trapezoid(curve, dx=1 / len(values)))


check_deletion = Check(
    reference=_deletion,
    mistakes=(
        Mistake(
            lambda contributions, values: float(
                np.trapezoid(contributions.sum() - _curve(contributions, values, 1), dx=1 / len(values))
            ),
            "The pixels with the largest values of the map are covered first.",
        ),
        Mistake(
            lambda contributions, values: _deletion(contributions, contributions),
            "The order is that of the map, not that of the true contributions.",
        ),
        Mistake(
            lambda contributions, values: _deletion(contributions, values) * len(values),
            "The horizontal axis is the share of covered pixels, from 0 to 1: one step is 1 / number of pixels.",
        ),
        Mistake(
            lambda contributions, values: float((contributions.sum() - _curve(contributions, values)).mean()),
            "This is the mean of the points. By the trapezoid rule the first and the last count half.",
        ),
    ),
    example=lambda: (np.array([3.0, -1.0, 2.0, 0.5]), np.array([0.2, 0.9, 0.7, 0.1])),
    hint="Sort by the map, subtract the contributions one after the other, then take the trapezoid rule.",
    meaning=lambda area, contributions, values: (
        f"On the way from {contributions.sum():g} to 0 the score is {area:.2f} on average; the best order would bring "
        f"it to {_deletion(contributions, contributions):.2f}."
    ),
)


def _paired(one: np.ndarray, other: np.ndarray) -> float:
    return float((one - other).std(ddof=1) / np.sqrt(len(one)))


def _unpaired(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt((one.var(ddof=1) + other.var(ddof=1)) / len(one)))


check_paired = Check(
    reference=_paired,
    mistakes=(
        Mistake(
            lambda one, other: _unpaired(one, other),
            "This takes the two methods for independent. The images are the same: most of their spread is common.",
        ),
        Mistake(
            lambda one, other: float((one - other).std(ddof=1)),
            "This is the spread of single images. The mean of n images is surer, by the root of n.",
        ),
        Mistake(
            lambda one, other: float((one - other).std() / np.sqrt(len(one))),
            "The mean was estimated from the same images: divide by n - 1 in the standard deviation.",
        ),
    ),
    example=lambda: (np.array([0.81, 0.62, 0.93, 0.55, 0.74]), np.array([0.75, 0.60, 0.86, 0.52, 0.66])),
    hint="First the differences of the images, then their standard deviation over the root of their number.",
    meaning=lambda error, one, other: (
        f"The means differ by {abs((one - other).mean() / error):.1f} of these standard errors; with those of "
        f"independent images it would be {abs((one - other).mean() / _unpaired(one, other)):.1f}."
    ),
)


def _centre(table: pd.DataFrame) -> float:
    return float((table["grad_cam"] > table["centre_gaussian"]).mean())


check_centre = Check(
    reference=_centre,
    mistakes=(
        Mistake(
            lambda table: float((table["grad_cam"] < table["centre_gaussian"]).mean()),
            "This is the share on which the Gaussian is better.",
        ),
        Mistake(
            lambda table: float((table["grad_cam"] > table["centre_gaussian"]).sum()),
            "This is the number of images; the share is asked.",
        ),
        Mistake(
            lambda table: float((table["grad_cam"] - table["centre_gaussian"]).mean()),
            "This is the mean difference, not how often it is above zero.",
        ),
    ),
    example=lambda: (pd.DataFrame({"grad_cam": [0.9, 0.8, 0.4, 0.7], "centre_gaussian": [0.7, 0.9, 0.3, 0.65]}),),
    hint="Compare the two columns row by row, then take the mean.",
    meaning=lambda share, table: (
        f"On {share:.0%} of {len(table)} images Grad-CAM does better than a spot in the centre that has seen nothing; "
        "were the two alike, it would be about 50%."
    ),
)


def _removal(whole: float, without: np.ndarray, values: np.ndarray, changed: np.ndarray) -> float:
    return rank_correlation(whole - without, _sums(values, changed))


def _sums(values: np.ndarray, changed: np.ndarray) -> np.ndarray:
    return np.array([values[part].sum() for part in changed])


check_removal = Check(
    reference=_removal,
    mistakes=(
        Mistake(
            lambda whole, without, values, changed: _removal(-whole, -without, values, changed),
            "An effect is what the logit loses: the whole less what is left without the characteristic.",
        ),
        Mistake(
            lambda whole, without, values, changed: rank_correlation(
                whole - without, _sums(values, changed) / changed.sum((1, 2))
            ),
            "These are the map's means over the pixels. Its sums are asked, which are larger for larger parts.",
        ),
        Mistake(
            lambda whole, without, values, changed: rank_correlation(
                np.abs(whole - without), np.abs(_sums(values, changed))
            ),
            "The sign counts: a characteristic can speak against the class.",
        ),
        Mistake(
            lambda whole, without, values, changed: float(np.corrcoef(whole - without, _sums(values, changed))[0, 1]),
            "This is the correlation of the values. Spearman's is that of their ranks.",
        ),
    ),
    example=lambda: (
        2.0,
        np.array([1.0, 2.5, 1.8, 0.4]),
        np.array([[0.9, -0.2, -0.4], [0.1, 0.5, 0.4], [0.2, 1.2, 0.8]]),
        np.array([1, 2, 2, 3, 3, 3, 3, 4, 4]).reshape(3, 3) == np.arange(1, 5)[:, None, None],
    ),
    hint="First the four effects and the four sums, then the ranks of each, then their correlation.",
    meaning=lambda order, whole, without, values, changed: (
        f"The map puts the characteristics into the true order with a rank correlation of {order:.2f}, where 1 is "
        f"perfect; {np.mean(np.sign(whole - without) == np.sign(_sums(values, changed))):.0%} of its signs are right."
    ),
)
