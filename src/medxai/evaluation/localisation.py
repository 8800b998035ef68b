"""Agreement between two maps of the same image.

Maps are (..., H, W), as an explanation gives them, of any sign and scale. An attention is a map turned into a fuzzy set
of pixels: how far each belongs to it, in [0, 1] (`attention`). References are fuzzy sets of the same shape. Scores are
taken over the last two axes, float64 (...). "The reference's set" is where the reference is at least `INSIDE`.

All functions raise ValueError, in one sentence, if shapes differ or have no pixels, maps are not finite, attentions,
references, rates or thresholds are NaN or not in [0, 1], or a choice is unknown.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import cv2
import numpy as np

from medxai.evaluation.similarity import ranks
from medxai.evaluation.sums import ratio

AXES = (-2, -1)
INSIDE = 0.5
"""A pixel belongs to a reference's set from this value on."""
THRESHOLDS = np.linspace(0.05, 0.95, 19)
"""Where an attention may be cut."""


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

    NaN where a denominator is 0: F1 of two empty maps, sensitivity to an empty reference, specificity to a reference
    that is 1 everywhere. Jalaboi et al., DermX, Medical Image Analysis 83:102647, 2023, section on evaluation.
    """
    return _fuzzy(*_pair(attention, reference, fuzzy=True), lambda values: values.sum(axis=AXES, dtype=np.float64))


def _fuzzy(attention: np.ndarray, reference: np.ndarray, total: Callable[[np.ndarray], np.ndarray]) -> FuzzyScores:
    """Scores of maps that broadcast; ``total`` adds up values of the pixels.

    Complements are added up pixel by pixel. Taken from the number of pixels and the other sums they would be rounding,
    and not zero, where the reference is 1 everywhere: infinity instead of NaN.
    """
    both, in_reference = total(np.minimum(attention, reference)), total(reference)
    neither, outside = total(np.minimum(1 - attention, 1 - reference)), total(1 - reference)
    f1 = ratio(2 * both, total(attention) + in_reference)
    return FuzzyScores(f1[()], ratio(both, in_reference)[()], ratio(neither, outside)[()])  # a number for one map


def leave_one_out(counts: dict[int, np.ndarray]) -> dict[int, FuzzyScores]:
    """Score each rater's map of one image against the joint map of the other raters, at full resolution.

    A map is the sum of characteristics over its maximum; the others' map is the sum over all other raters over its
    maximum (Jalaboi et al., benchmark of ConvNet explainability, table 4, row Dermatologists). Sums over pixels are
    taken over the joint histogram of the two counts, which is exact and much faster than two float maps.

    `counts` say by rater how many of their characteristics cover each pixel, uint8 (height, width), all together at
    most 255. Scores are by rater, NaN where undefined (`fuzzy_scores`). A rater who marked nothing has an empty map.
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
    return _fuzzy(explanation, reference, lambda values: (pixels * values).sum())


def attention(maps: np.ndarray, *, scale: Literal["maximum", "quantile", "rank"] = "maximum") -> np.ndarray:
    r"""Make a fuzzy set of pixels of a map.

    Parameters
    ----------
    scale
        ``"maximum"``: the positive part over its maximum. ``"quantile"``: the positive part over its 99th percentile,
        at most 1; where that percentile is 0, each positive pixel becomes 1, the limit. ``"rank"``: of the map itself,
        :math:`(r - 1/2) / N` with the rank :math:`r` of a pixel among all :math:`N`, equal values sharing their mean
        rank, so that its mean is 1/2 whatever the map.

    Returns
    -------
    numpy.ndarray
        float64 (..., H, W) in [0, 1]. A map without positive values becomes zeros; by rank a constant map becomes 1/2.
    """
    maps = _finite(np.asarray(maps))
    if scale == "rank":
        flat = maps.reshape(-1, maps.shape[-2] * maps.shape[-1])
        return ((ranks(flat) - 0.5) / flat.shape[-1]).reshape(maps.shape)
    if scale not in ("maximum", "quantile"):
        raise ValueError(f'scale is {scale!r}: expected "maximum", "quantile" or "rank"')
    positive = np.maximum(maps, 0)
    if scale == "maximum":
        top = positive.max(axis=AXES, keepdims=True)
    else:
        top = np.quantile(positive, 0.99, axis=AXES, keepdims=True)
    return np.divide(np.minimum(positive, top), top, out=(positive > 0).astype(np.float64), where=top > 0)


def pixel_auc(maps: np.ndarray, reference: np.ndarray) -> np.ndarray:
    r"""Area under the ROC curve of a map that tells pixels of the reference from the others.

    .. math:: \frac{\sum_{p,q} D_p (1 - D_q)\, ([E_p > E_q] + [E_p = E_q] / 2)}{\sum_p D_p \sum_q (1 - D_q)}

    A pixel counts as positive with weight :math:`D_p` and as negative with weight :math:`1 - D_p`. For a binary
    reference this is the usual area (Hanley and McNeil 1982, Radiology 143:29-36, page 31). For a fuzzy one it is below
    1 even for :math:`E = D`. In [0, 1], 1/2 for a constant map; NaN where the reference is 0 or 1 everywhere.
    """
    maps, reference = _pair(maps, reference)
    return weighted_auc(maps, reference, 1 - reference.astype(np.float64))


def weighted_auc(maps: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of a map, where each pixel is so much of a positive and so much of a negative one.

    Weights are (..., H, W), 0 or more, and need not add up to anything. NaN where all of one kind are 0.
    """
    false_positive, sensitivity = _curve(maps, positive, negative)
    return np.trapezoid(sensitivity, false_positive, axis=-1)


def roc(maps: np.ndarray, reference: np.ndarray, rates: Sequence[float] | np.ndarray) -> np.ndarray:
    """Sensitivity at given false positive rates, along the ROC curve of `pixel_auc`.

    Between the points of the curve it is interpolated linearly, so that curves of many images can be averaged
    vertically (Fawcett 2006, Pattern Recognition Letters 27:861-874, algorithm 3). Where the curve rises vertically,
    its upper end is taken. The rates are (r,), the sensitivities (..., r), NaN where the reference is 0 or 1
    everywhere.
    """
    rates = _shares("rates", rates)
    maps, reference = _pair(maps, reference)
    curves = _curve(maps, reference, 1 - reference.astype(np.float64))
    found = np.full((*curves[0].shape[:-1], len(rates)), np.nan)
    for place in np.ndindex(found.shape[:-1]):
        false_positive, sensitivity = (curve[place] for curve in curves)
        if not np.isnan(false_positive[-1] + sensitivity[-1]):
            found[place] = np.interp(rates, false_positive, sensitivity)
    return found


def _curve(maps: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """False positive rates and sensitivities (..., H W + 1), from (0, 0) up; pixels of equal value share a point."""
    shape = (*maps.shape[:-2], maps.shape[-2] * maps.shape[-1])
    values = -maps.reshape(shape)
    order = np.argsort(values, axis=-1, kind="stable")
    values = np.take_along_axis(values, order, -1)
    # The last of the pixels with the same value: the nearest end of a run to the right.
    ends = np.where(np.diff(values, axis=-1, append=np.inf) != 0, np.arange(shape[-1]), shape[-1])
    ends = np.minimum.accumulate(ends[..., ::-1], axis=-1)[..., ::-1]

    def rate(weights: np.ndarray) -> np.ndarray:
        sums = np.cumsum(np.take_along_axis(weights.reshape(shape).astype(np.float64), order, -1), axis=-1)
        points = np.take_along_axis(ratio(sums, sums[..., -1:]), ends, -1)
        return np.concatenate([np.zeros((*shape[:-1], 1)), points], axis=-1)

    return rate(negative), rate(positive)


def iou(attention: np.ndarray, reference: np.ndarray, threshold: float) -> np.ndarray:
    """Intersection over union of the pixels whose attention is at least a threshold, and the reference's set.

    Jaccard 1912; for explanations Saporta et al. 2022, Nature Machine Intelligence 4:867-878. The threshold is to be
    chosen on other images, by `best_threshold`. In [0, 1]; NaN where the reference's set is empty.
    """
    attention, reference = _pair(attention, reference, fuzzy=True)
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}: expected a number in [0, 1]")
    return _iou(attention, reference >= INSIDE, threshold)


def _iou(attention: np.ndarray, inside: np.ndarray, threshold: float) -> np.ndarray:
    found = attention >= threshold
    either = (found | inside).sum(axis=AXES)
    return ratio((found & inside).sum(axis=AXES), np.where(inside.any(axis=AXES), either, 0))


def best_threshold(
    attention: np.ndarray, reference: np.ndarray, thresholds: Sequence[float] | np.ndarray = THRESHOLDS
) -> float:
    """Return the threshold with the largest mean `iou` over images (n, H, W), to be used on other images.

    Of equally good ones the smallest. Images whose reference is empty are left out; NaN if all are.
    """
    attention, reference = _pair(attention, reference, fuzzy=True)
    thresholds = _shares("thresholds", thresholds)
    inside = reference >= INSIDE
    known = inside.any(axis=AXES)
    if not known.any():
        return float("nan")
    means = [_iou(attention[known], inside[known], threshold).mean() for threshold in thresholds]
    return float(thresholds[np.argmax(means)])


def hit_rate(maps: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Whether the largest value of a map lies in the reference's set (Saporta et al. 2022, CheXlocalize, hit rate).

    1 or 0, and where several pixels share the largest value the share of them that lies inside, so that a constant map
    gets the share of the area. NaN where the reference's set is empty.
    """
    maps, reference = _pair(maps, reference)
    return _hits(maps, reference >= INSIDE)


def pointing_game(maps: np.ndarray, reference: np.ndarray, *, tolerance: float = 0.03) -> np.ndarray:
    """Whether the largest value of a map lies in the reference's set or near it: `hit_rate` with a margin.

    The set is dilated by a disc, whose radius is `tolerance`, at least 0, as a share of the longer side. Zhang, Bargal,
    Lin et al. 2018, Top-down neural attention by excitation backprop, International Journal of Computer Vision
    126:1084-1102, allow 15 pixels in images of about 500.
    """
    from scipy.ndimage import distance_transform_edt

    if not tolerance >= 0:
        raise ValueError(f"tolerance is {tolerance}: expected a share of the longer side, at least 0")
    maps, reference = _pair(maps, reference)
    inside = reference >= INSIDE
    radius = tolerance * max(maps.shape[-2:]) + 1e-9  # 0.29 of 100 pixels is a little less than 29
    near = np.zeros_like(inside)
    for place in np.ndindex(inside.shape[:-2]):
        if inside[place].any():
            near[place] = distance_transform_edt(~inside[place]) <= radius
    return _hits(maps, near)


def _hits(maps: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Share of the pixels with the largest value that lie inside; NaN where nothing is inside."""
    top = maps == maps.max(axis=AXES, keepdims=True)
    return ratio((top & inside).sum(axis=AXES), np.where(inside.any(axis=AXES), top.sum(axis=AXES), 0))


def mass(attention: np.ndarray, reference: np.ndarray) -> np.ndarray:
    r"""Share of the attention that lies inside the reference, :math:`\sum E D / \sum E`.

    Relevance mass accuracy of Arras, Osman and Samek 2022, Information Fusion 81:14-40, with a reference that may be
    fuzzy. It does not depend on the scale of the attention. NaN where the attention or the reference is 0 everywhere.
    """
    attention, reference = _pair(attention, reference, fuzzy=True)
    inside = (attention.astype(np.float64) * reference).sum(axis=AXES)
    return ratio(inside, np.where(reference.any(axis=AXES), attention.sum(axis=AXES, dtype=np.float64), 0))


def _pair(maps: np.ndarray, reference: np.ndarray, *, fuzzy: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Check maps, or with `fuzzy` an attention, and their references; say in one sentence what is wrong."""
    maps, reference = np.asarray(maps), np.asarray(reference)
    name = "attention" if fuzzy else "maps"
    if maps.shape != reference.shape or maps.ndim < 2:
        raise ValueError(f"{name} and reference are {maps.shape} and {reference.shape}: expected (..., H, W), the same")
    for what, values in (("attention", maps), ("reference", reference)) if fuzzy else (("reference", reference),):
        if not ((values >= 0) & (values <= 1)).all():  # also False for NaN
            raise ValueError(f"{what} holds NaN or values out of [0, 1]: expected values in [0, 1]")
    return (maps if fuzzy else _finite(maps)), reference


def _shares(name: str, values: Sequence[float] | np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"{name} have the shape {values.shape}: expected a list of numbers in [0, 1]")
    wrong = values[~((values >= 0) & (values <= 1))]
    if len(wrong):
        raise ValueError(f"{name} hold {wrong[0]}: expected numbers in [0, 1]")
    return values


def _finite(maps: np.ndarray) -> np.ndarray:
    if maps.ndim < 2 or 0 in maps.shape[-2:]:
        raise ValueError(f"maps are {maps.shape}: expected (..., H, W) with at least one pixel")
    if not np.isfinite(maps).all():
        raise ValueError("maps hold NaN or infinity: expected finite values")
    return maps.astype(np.float64)
