"""Checks of the exercises of the chapter on what gaze has been said to bring."""

import numpy as np

from medxai.checks import Check, Mistake
from medxai.evaluation import auc_tests, gaze_metrics


def _binomial(area: float, images: int) -> float:
    return float(np.sqrt(area * (1 - area) / images))


check_error = Check(
    reference=lambda area, positives, negatives: float(auc_tests.hanley_mcneil(area, positives, negatives)),
    mistakes=(
        Mistake(
            lambda area, positives, negatives: _binomial(area, positives * negatives),
            "Pairs are not drawn independently: each image is in many of them.",
        ),
        Mistake(
            lambda area, positives, negatives: _binomial(area, positives + negatives),
            "This is the error of a share of images. An area is a share of pairs.",
        ),
        Mistake(
            lambda area, positives, negatives: float(auc_tests.hanley_mcneil(area, positives, negatives)) ** 2,
            "This is the variance: the root is missing.",
        ),
        Mistake(
            lambda area, positives, negatives: float(auc_tests.hanley_mcneil(area, negatives, positives)),
            "The two sides are exchanged: the first of the two quantities goes with the positive images.",
        ),
    ),
    example=lambda: (0.8, 2, 3),
    hint="Compute both quantities, then the three terms, and divide by the number of pairs before the root.",
    meaning=lambda error, area, positives, negatives: (
        f"So the interval of {area:g} goes from {area - 1.96 * error:.3f} to {area + 1.96 * error:.3f}: a gain of a "
        "few hundredths is inside of it."
    ),
)

check_choice = Check(
    reference=lambda loss, test: float(test.max() - test[loss.argmin()]),
    mistakes=(
        Mistake(
            lambda loss, test: float(test.max() - test[-1]), "This compares with the last epoch, not a chosen one."
        ),
        Mistake(lambda loss, test: float(test.max() - test.mean()), "This compares with the mean of all epochs."),
        Mistake(
            lambda loss, test: float(test.max() - test[loss.argmax()]),
            "A loss is better the lower it is.",
        ),
        Mistake(lambda loss, test: float(test[loss.argmin()]), "This is the honest score. By how much is it exceeded?"),
    ),
    example=lambda: (np.array([0.7, 0.4, 0.5, 0.6]), np.array([0.55, 0.7, 0.8, 0.72])),
    hint="Find the epoch with the lowest validation loss, and look up its test score.",
    meaning=lambda bought, loss, test: (
        f"Choosing on test bought {bought:.3f}; the epoch that the loss chooses has {test[loss.argmin()]:.3f}."
    ),
)


def _ids(listed: list[str], separators: str = "/\\") -> list[str]:
    """Return the ends of paths at some separators, without their last ending."""
    for separator in separators:
        listed = [path.split(separator)[-1] for path in listed]
    return [path.removesuffix(".jpg") for path in listed]


check_ids = Check(
    reference=_ids,
    mistakes=(
        Mistake(lambda listed: _ids(listed, "/"), "Paths of Windows stay whole: they have no slash."),
        Mistake(lambda listed: _ids(listed, "\\"), "Paths of Linux stay whole: they have no backslash."),
        Mistake(
            lambda listed: [name.split(".")[0] for name in _ids(listed)],
            "An id may have points: take the last part off only.",
        ),
        Mistake(lambda listed: [f"{name}.jpg" for name in _ids(listed)], "The ending is not part of the id."),
    ),
    example=lambda: (["a/b/x.1.jpg", "a\\b\\y.2.jpg"],),
    hint="Look at the paths: which separators do they have?",
    meaning=lambda ids, listed: (
        f"All {len(ids)} ids are found; the standard library does it for the system that it runs on, with pathlib."
    ),
)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(gaze_metrics.correlation(one[None], other[None])[0])


def _shuffled(saliency: np.ndarray, gaze: np.ndarray) -> float:
    return _correlation(saliency, gaze[0]) - float(np.mean([_correlation(saliency, one) for one in gaze[1:]]))


check_shuffled = Check(
    reference=_shuffled,
    mistakes=(
        Mistake(lambda saliency, gaze: _correlation(saliency, gaze[0]), "What it says of others is still in it."),
        Mistake(
            lambda saliency, gaze: (
                _correlation(saliency, gaze[0]) - float(np.mean([_correlation(saliency, one) for one in gaze]))
            ),
            "Its own image is among those that are taken off.",
        ),
        Mistake(
            lambda saliency, gaze: _correlation(saliency, gaze[0]) - _correlation(saliency, gaze[1:].mean(0)),
            "This takes off the correlation with the mean gaze, which is larger than the mean of the correlations.",
        ),
        Mistake(lambda saliency, gaze: -_shuffled(saliency, gaze), "The sign: what is taken off are the others."),
    ),
    example=lambda: (
        np.array([[0.0, 1.0], [1.0, 2.0]]),
        np.array([[[1.0, 0.0], [1.0, 2.0]], [[2.0, 1.0], [1.0, 0.0]], [[0.0, 4.0], [0.0, 4.0]]]),
    ),
    hint="Three correlations: one with its own gaze, two with those of others.",
    meaning=lambda score, saliency, gaze: (
        f"The correlation with its own gaze, {_correlation(saliency, gaze[0]):.2f}, is {score:.2f} above that with the "
        "gaze on others: so much the map says of this image."
    ),
)
