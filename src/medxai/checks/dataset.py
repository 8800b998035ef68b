"""Checks of the exercises of chapter 01."""

import numpy as np

from medxai.checks import Check, Mistake


def _counts(first: np.ndarray, second: np.ndarray) -> tuple[int, int, int, int]:
    """Count both, only first, only second, neither."""
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    return (a & b).sum(), (a & ~b).sum(), (~a & b).sum(), (~a & ~b).sum()


def _pairwise_f1(first: np.ndarray, second: np.ndarray) -> float:
    both, one, other, _ = _counts(first, second)
    return 2 * both / (2 * both + one + other)


def _accuracy(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.mean(np.asarray(first, bool) == np.asarray(second, bool)))


def _jaccard(first: np.ndarray, second: np.ndarray) -> float:
    both, one, other, _ = _counts(first, second)
    return both / (both + one + other)


def _sensitivity(first: np.ndarray, second: np.ndarray) -> float:
    both, one, _, _ = _counts(first, second)
    return both / (both + one)


check_pairwise_f1 = Check(
    reference=_pairwise_f1,
    mistakes=(
        Mistake(
            _accuracy,
            "This is the share of images on which the two raters say the same, which is high for any rare "
            "characteristic: images that neither of them marked should not count.",
        ),
        Mistake(
            _jaccard,
            "This is the intersection over union (Jaccard index). F1 counts the images that both marked twice, "
            "above and below the fraction bar.",
        ),
        Mistake(
            _sensitivity,
            "This divides by the images of one rater only (a sensitivity). F1 treats the two raters alike.",
        ),
        Mistake(
            lambda a, b: _sensitivity(b, a),
            "This divides by the images of the other rater only (a precision). F1 treats the two raters alike.",
        ),
        Mistake(lambda a, b: 100 * _pairwise_f1(a, b), "This is in percent: give a share between 0 and 1."),
    ),
    example=lambda: (np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], bool), np.array([1, 1, 0, 0, 1, 0, 0, 0, 0, 0], bool)),
    hint="Count the images that both raters marked, and those that only one of them marked.",
    meaning=lambda f1, first, second: (
        f"Of the {np.sum(first) + np.sum(second)} marks that the two gave, {f1:.0%} stand on an image that the other "
        "marked, too."
    ),
)

check_mean_dice = Check(
    reference=lambda iou: float(np.mean(2 * iou / (1 + iou))),
    mistakes=(
        Mistake(
            lambda iou: float(2 * np.mean(iou) / (1 + np.mean(iou))),
            "You converted the mean. The conversion is curved, so the mean of converted values is not the converted "
            "mean: convert every pair, then average.",
        ),
        Mistake(
            lambda iou: float(np.mean(iou)),
            "This is still the mean intersection over union. Write both indices with the three areas: only first, only "
            "second, both.",
        ),
        Mistake(
            lambda iou: float(np.mean(iou / (2 - iou))),
            "This converts the other way, from Dice to intersection over union: Dice is never the smaller of the two.",
        ),
        Mistake(
            lambda iou: float(np.mean((1 + iou) / 2)),
            "This is the midpoint between the index and 1. Two outlines that do not overlap at all must keep a Dice "
            "of 0.",
        ),
    ),
    example=lambda: (np.array([0.0, 0.1, 0.2, 0.7, 0.9]),),
    hint="With I the intersection and U the union: IoU = I / U, and the two areas together are U + I.",
    meaning=lambda dice, iou: (
        f"The same outlines score {dice:.2f} by one index and {np.mean(iou):.2f} by the other: a score says little "
        "without the name of its index."
    ),
)


def _fuzzy_f1(mask: np.ndarray, reference: np.ndarray) -> float:
    return float(2 * np.minimum(mask, reference).sum() / (mask.sum() + reference.sum()))


def _mean_over_raters(masks: np.ndarray, score: object, others_only: bool = True) -> float:
    """Average `score(mask, reference)` over raters, the reference being the mean mask of the others (or of all)."""
    masks = np.asarray(masks, float)
    references = [np.delete(masks, i, axis=0).mean(0) if others_only else masks.mean(0) for i in range(len(masks))]
    return float(np.mean([score(mask, reference) for mask, reference in zip(masks, references, strict=True)]))


check_ceiling = Check(
    reference=lambda masks: _mean_over_raters(masks, _fuzzy_f1),
    mistakes=(
        Mistake(
            lambda masks: _mean_over_raters(masks, _fuzzy_f1, others_only=False),
            "The rater is part of the reference that he is scored against, which flatters him. Leave him out of the "
            "map.",
        ),
        Mistake(
            lambda masks: _mean_over_raters(masks, lambda m, r: np.minimum(m, r).sum() / np.maximum(m, r).sum()),
            "This divides by the sum of the maxima: the fuzzy intersection over union. F1 divides by the two sums "
            "together.",
        ),
        Mistake(
            lambda masks: _mean_over_raters(masks, lambda m, r: _fuzzy_f1(m, (r > 0.5).astype(float))),
            "You turned the reference into a majority vote. The fuzzy map keeps the share of raters in every pixel.",
        ),
        Mistake(
            lambda masks: _mean_over_raters(masks, lambda m, r: np.minimum(m, r).sum() / r.sum()),
            "This is the fuzzy sensitivity: it divides by the reference only, so a rater who outlines everything "
            "scores 1.",
        ),
    ),
    example=lambda: (np.array([[[1, 1, 0, 0, 0]], [[1, 1, 1, 0, 0]], [[1, 0, 1, 1, 0]], [[0, 1, 1, 0, 1]]], bool),),
    hint="For each rater: the reference is the mean of the other masks; then 2 * sum(min) / (sum + sum).",
    meaning=lambda f1, masks: (
        f"A map that scores {f1:.2f} on this image agrees with these {len(masks)} raters as well as they do with each "
        "other."
    ),
)
