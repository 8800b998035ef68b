"""What tells poor photographs without a network: statistics of pictures with a linear model."""

import numpy as np

from medxai.data.photo_quality import CLASSES, REASONS, QualityPhotos
from medxai.evaluation.classification import linear_model
from medxai.evaluation.image_statistics import FEATURES
from medxai.experiment.quality_scores import Answers

TOGETHER = "all three statistics"


def answers(photos: QualityPhotos, train: np.ndarray, test: np.ndarray) -> dict[str, Answers]:
    """Return what logistic regressions on statistics say of test rows, learnt on training rows, by statistic.

    Each class and each reason has its regression. A statistic that is undefined for a picture counts as its mean.
    """
    found = {name: _filled(feature(photos.pictures), train) for name, feature in FEATURES.items()}
    found[TOGETHER] = np.hstack(list(found.values()))
    return {name: _answers(photos, numbers, train, test) for name, numbers in found.items()}


def _filled(numbers: np.ndarray, train: np.ndarray) -> np.ndarray:
    means = np.nanmean(numbers[train], axis=0)
    return np.where(np.isfinite(numbers), numbers, means)


def _answers(photos: QualityPhotos, numbers: np.ndarray, train: np.ndarray, test: np.ndarray) -> Answers:
    classes = np.zeros((len(test), len(CLASSES)))
    classes[:, np.unique(photos.labels[train])] = linear_model(numbers, photos.labels)(train, test)
    reasons = [
        linear_model(numbers, photos.reasons[:, column] > 0)(train, test)[:, -1] for column in range(len(REASONS))
    ]
    return Answers(classes, np.stack(reasons, axis=1))
