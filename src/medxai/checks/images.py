"""Checks of the exercises of the images chapter."""

import numpy as np

from medxai.checks import Check, Mistake

PRESENT = 0.5


def _area(truth: np.ndarray) -> float:
    return float(np.mean(truth > PRESENT))


check_area = Check(
    reference=_area,
    mistakes=(
        Mistake(
            lambda truth: float(np.sum(truth > PRESENT)),
            "This is a number of pixels. A share does not change when the picture is painted at twice the size.",
        ),
        Mistake(
            lambda truth: float(np.mean(truth > 0)),
            "This counts every pixel with a trace of paint. The soft edge belongs to the term only where at least half "
            "of the pixel is covered.",
        ),
        Mistake(lambda truth: 100 * _area(truth), "This is in percent: give a share between 0 and 1."),
    ),
    example=lambda: (np.array([[0.0, 0.2, 0.6, 1.0, 0.0], [0.0, 0.1, 0.9, 1.0, 0.0]]),),
    hint="A pixel belongs to the term where the truth is above one half.",
    meaning=lambda share, truth: f"A map that picks its pixels at random puts {share:.0%} of them on the plaque.",
)


def _inside(scale: np.ndarray, plaque: np.ndarray) -> float:
    a, b = scale > PRESENT, plaque > PRESENT
    return float((a & b).sum() / a.sum())


check_inside = Check(
    reference=_inside,
    mistakes=(
        Mistake(
            lambda scale, plaque: _inside(plaque, scale),
            "This is the share of the plaque that bears scale. The question is about the scale: where does it lie?",
        ),
        Mistake(
            lambda scale, plaque: float(
                ((scale > PRESENT) & (plaque > PRESENT)).sum() / ((scale > PRESENT) | (plaque > PRESENT)).sum()
            ),
            "This is the intersection over union, which also falls when the plaque is larger than the scale.",
        ),
        Mistake(
            lambda scale, plaque: float(np.mean((scale > PRESENT) & (plaque > PRESENT))),
            "This divides by all pixels of the picture. Divide by those of the scale.",
        ),
    ),
    example=lambda: (np.array([[1, 1, 1, 0, 0, 0, 0, 0.0]]), np.array([[1, 1, 0, 1, 1, 0, 0, 0.0]])),
    hint="Of the pixels that are scale, how many are plaque as well?",
    meaning=lambda share, scale, plaque: (
        f"A map that marks this scale alone has {share:.0%} of its marks on plaque: it scores for plaque, too."
    ),
)


def _nearest(colours: np.ndarray, labels: np.ndarray, *, leave_out: bool = True) -> float:
    """Accuracy of the nearest class mean, each image left out of its class's mean or not."""
    hits = 0
    for i, colour in enumerate(colours):
        keep = np.arange(len(labels)) != i if leave_out else np.ones(len(labels), bool)
        means = {c: colours[keep & (labels == c)].mean(axis=0) for c in set(labels[keep])}
        hits += min(means, key=lambda c: np.linalg.norm(means[c] - colour)) == labels[i]
    return hits / len(labels)


def _most_frequent(labels: np.ndarray) -> float:
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))


check_nearest_mean = Check(
    reference=lambda colours, labels: _nearest(np.asarray(colours), np.asarray(labels)),
    mistakes=(
        Mistake(
            lambda colours, labels: _nearest(np.asarray(colours), np.asarray(labels), leave_out=False),
            "Each image helped to make the class mean that it is compared with. Leave it out.",
        ),
        Mistake(
            lambda colours, labels: _most_frequent(labels),
            "This is what one gets by always naming the most frequent class. It is the bar to beat, not the answer.",
        ),
        Mistake(
            lambda colours, labels: 100 * _nearest(np.asarray(colours), np.asarray(labels)),
            "This is in percent: give a share between 0 and 1.",
        ),
    ),
    example=lambda: (
        np.array([[0.0], [1.0], [4.4], [5.2], [7.0], [9.0], [7.2]]),
        np.array([0, 0, 0, 1, 1, 1, 1]),
    ),
    hint="For each image: the mean colour of every class without it, then the nearest of them.",
    meaning=lambda accuracy, colours, labels: (
        f"A mean colour, which knows no shape, names {accuracy:.0%} of the diseases; always naming the most frequent "
        f"one would name {_most_frequent(labels):.0%}."
    ),
)
