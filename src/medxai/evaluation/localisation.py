"""Agreement between two maps of the same image."""

from typing import NamedTuple

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
    # The minimum of the complements is 1 - max, and max = E + D - min.
    neither = pixels - (in_attention + in_reference - both)
    with np.errstate(divide="ignore", invalid="ignore"):
        return FuzzyScores(
            f1=2 * both / (in_attention + in_reference),
            sensitivity=both / in_reference,
            specificity=neither / (pixels - in_reference),
        )
