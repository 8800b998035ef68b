"""Agreement between two maps of the same image."""

from typing import NamedTuple

import cv2
import numpy as np


class FuzzyScores(NamedTuple):
    """Fuzzy agreement of an attention map with a reference map; each field has the shape of the leading axes."""

    f1: np.ndarray
    sensitivity: np.ndarray
    specificity: np.ndarray


def fuzzy_scores(attention: np.ndarray, reference: np.ndarray) -> FuzzyScores:
    r"""Score attention maps against reference maps, both fuzzy sets of pixels.

    With :math:`E` the attention and :math:`D` the reference at pixel :math:`p`:
    :math:`F_1 = 2 \sum \min(E, D) / (\sum E + \sum D)`, sensitivity :math:`\sum \min(E, D) / \sum D`, specificity
    :math:`\sum \min(1 - E, 1 - D) / \sum (1 - D)`. For binary maps these are the usual scores.

    Parameters
    ----------
    attention, reference
        Arrays (..., H, W) of the same shape with values in [0, 1].

    Returns
    -------
    FuzzyScores
        float64 (...); NaN where a denominator is 0: F1 of two empty maps, sensitivity to an empty reference,
        specificity to a reference that is 1 everywhere.

    Raises
    ------
    ValueError
        If the shapes differ, or a value is NaN or not in [0, 1].

    Notes
    -----
    Jalaboi et al., DermX, Medical Image Analysis 83:102647, 2023, section on evaluation.
    """
    attention, reference = np.asarray(attention), np.asarray(reference)
    if attention.shape != reference.shape or attention.ndim < 2:
        raise ValueError(
            f"attention and reference are (..., H, W) of the same shape, not {attention.shape} and {reference.shape}"
        )
    for name, values in (("attention", attention), ("reference", reference)):
        if not ((values >= 0) & (values <= 1)).all():  # also False for NaN
            raise ValueError(f"{name} has values that are NaN or not in [0, 1]")
    axes = (-2, -1)
    pixels = attention.shape[-2] * attention.shape[-1]
    both = np.minimum(attention, reference).sum(axis=axes, dtype=np.float64)
    in_attention = attention.sum(axis=axes, dtype=np.float64)
    in_reference = reference.sum(axis=axes, dtype=np.float64)
    return _from_sums(both, in_attention, in_reference, pixels)


def _from_sums(both: np.ndarray, in_attention: np.ndarray, in_reference: np.ndarray, pixels: int) -> FuzzyScores:
    """Scores from sums over pixels: of the minimum, of either map, and the number of pixels."""
    # The minimum of the complements is 1 - max, and max = E + D - min.
    neither = pixels - (in_attention + in_reference - both)
    with np.errstate(divide="ignore", invalid="ignore"):
        return FuzzyScores(
            f1=2 * both / (in_attention + in_reference),
            sensitivity=both / in_reference,
            specificity=neither / (pixels - in_reference),
        )


def leave_one_out(counts: dict[int, np.ndarray]) -> dict[int, FuzzyScores]:
    """Score each rater's map of one image against the joint map of the other raters, at full resolution.

    A map is the sum of characteristics over its maximum; the others' map is the sum over all other raters over its
    maximum (Jalaboi et al., benchmark of ConvNet explainability, table 4, row Dermatologists). Sums over pixels are
    taken over the joint histogram of the two counts, which is exact and much faster than two float maps.

    Parameters
    ----------
    counts
        By rater: uint8 (height, width), how many of his characteristics cover each pixel; their sum must not pass 255.

    Returns
    -------
    dict
        By rater: scores in [0, 1], NaN where undefined (`fuzzy_scores`). A rater who marked nothing has an empty map.
    """
    total = np.sum(list(counts.values()), axis=0, dtype=np.uint8)
    return {rater: _joint_scores(count, total - count) for rater, count in counts.items()}


def _joint_scores(own: np.ndarray, others: np.ndarray) -> FuzzyScores:
    """Fuzzy scores of two counted maps, each over its maximum, from the histogram of their pairs of values."""
    most, most_others = int(own.max()), int(others.max())
    bins, ranges = [most + 1, most_others + 1], [0, most + 1, 0, most_others + 1]
    pixels = cv2.calcHist([own, others], [0, 1], None, bins, ranges).astype(np.float64)
    explanation = (np.arange(most + 1) / max(most, 1))[:, None]
    reference = (np.arange(most_others + 1) / max(most_others, 1))[None]
    both = (pixels * np.minimum(explanation, reference)).sum()
    return _from_sums(both, (pixels * explanation).sum(), (pixels * reference).sum(), own.size)
