"""How well classes can be told apart.

Common parameters: ``labels`` and ``truth`` are classes from 0, int (n,); ``names`` those of the classes; ``groups``,
int (n,), hold images together, in one fold and in one draw (``None``: each image is its own group); ``weights`` count
images, float (resamples, n), as `medxai.evaluation.bootstrap.weights` (``None``: each once); ``seed`` is that of the
folds, the same for every model, which have alike shares of the labels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from medxai.evaluation import bootstrap
from medxai.evaluation.sums import make_table, ratio

FOLDS = 5

FitPredict = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Given the rows to train on and the rows to predict, returns probabilities of the classes, float (test, classes)."""


def cross_validated(
    fit_predict: FitPredict, labels: np.ndarray, *, groups: np.ndarray | None = None, seed: int
) -> np.ndarray:
    """Predict each image by a model trained on the other folds: probabilities, float64 (n, classes)."""
    probabilities = np.empty((len(labels), labels.max() + 1))
    for train, test in folds(labels, groups=groups, seed=seed):
        probabilities[test] = fit_predict(train, test)
    return probabilities


def folds(
    labels: np.ndarray, *, groups: np.ndarray | None = None, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows to train on and the rows to test on, `FOLDS` times."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
    yield from splitter(FOLDS, shuffle=True, random_state=seed).split(labels, labels, groups)


def linear_model(features: np.ndarray, labels: np.ndarray) -> FitPredict:
    """Return what fits and applies a multinomial logistic regression on standardised features (n, f)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def fit_predict(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        return model.fit(features[train], labels[train]).predict_proba(features[test])

    return fit_predict


def colour_statistics(images: np.ndarray, *, spread: bool) -> np.ndarray:
    """Return the mean colour of each image, and with `spread` the standard deviation per channel beside it.

    Images are uint8 (n, height, width, 3), colours float64 (n, 3) or (n, 6), in 0 to 255.
    """
    mean = images.mean(axis=(1, 2))
    return np.hstack([mean, images.std(axis=(1, 2))]) if spread else mean


def scores(
    truth: np.ndarray,
    probabilities: Mapping[str, np.ndarray],
    names: Sequence[str],
    *,
    positive: str | None = None,
    weights: np.ndarray | None = None,
) -> pd.DataFrame:
    """Score several models on the same images.

    Parameters
    ----------
    probabilities
        By model: float (n, classes); the most probable class counts as predicted.
    positive
        A class for which the area under the ROC curve is computed too: its probability, against all other classes.

    Returns
    -------
    pandas.DataFrame
        One row per model (per resample and model with weights); columns ``f1_<class>`` for each class, their mean
        ``macro_f1``, and ``auc_<positive>``. An F1 is NaN where the class is neither there nor predicted; an area where
        one side has no image.
    """
    guesses = np.stack([each.argmax(axis=1) for each in probabilities.values()], axis=1)
    classes = np.arange(len(names))
    found = guesses[:, :, None] == classes
    there = np.broadcast_to(truth[:, None, None] == classes, found.shape)

    def finish(there: np.ndarray, found: np.ndarray, both: np.ndarray) -> np.ndarray:
        f1 = ratio(2 * both, there + found)
        return np.concatenate([f1, f1.mean(axis=-1, keepdims=True)], axis=-1)

    columns = [*(f"f1_{name}" for name in names), "macro_f1"]
    table = make_table([there, found, there & found], finish, list(probabilities), columns, weights)
    if positive is not None:
        is_positive, column = truth == list(names).index(positive), list(names).index(positive)
        areas = [area_under_curve(is_positive, each[:, column], weights) for each in probabilities.values()]
        table[f"auc_{positive}"] = np.stack(areas, axis=-1).ravel()
    return table


def compared(
    models: Mapping[str, FitPredict | None],
    labels: np.ndarray,
    names: Sequence[str],
    *,
    groups: np.ndarray | None = None,
    positive: str | None = None,
    resamples: int,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Cross-validate several models on the same folds and score them.

    Parameters
    ----------
    models
        By name; ``None`` for one that is not to be had, whose scores are NaN.
    positive
        As of `scores`.
    resamples
        Of the groups, for the intervals; the seed is theirs, too.

    Returns
    -------
    tuple of pandas.DataFrame
        What `scores` gives, and the low and high ends of its 95 % intervals, without the models that are ``None``.
    """
    groups = np.arange(len(labels)) if groups is None else groups
    predicted = {
        name: cross_validated(model, labels, groups=groups, seed=seed)
        for name, model in models.items()
        if model is not None
    }

    def resampled(weights: np.ndarray) -> pd.DataFrame:
        return scores(labels, predicted, names, positive=positive, weights=weights[:, groups])

    low, high = bootstrap.interval(resampled, groups.max() + 1, resamples=resamples, seed=seed)
    return scores(labels, predicted, names, positive=positive).reindex(list(models)), low, high


def area_under_curve(positive: np.ndarray, score: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the ROC curve: how often a positive image scores higher than another one, ties counting half.

    Hanley and McNeil (1982), Radiology 143:29-36, page 31, with images counted by their weights. Of bool (n,) and float
    (n,): float64 (resamples,), one value without weights; NaN where one side has no image.
    """
    weights = np.ones((1, len(score))) if weights is None else weights
    higher, lower = score[positive][:, None], score[~positive]
    wins = (higher > lower) + 0.5 * (higher == lower)
    mine, others = weights[:, positive], weights[:, ~positive]
    return ratio(((mine @ wins) * others).sum(axis=1), mine.sum(axis=1) * others.sum(axis=1))


def one_against_rest(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Area under the ROC curve of each class against all others, and in front of them their mean.

    The mean is scikit-learn's macro average for ``multi_class="ovr"``, which does not weigh classes by their images;
    probabilities (n, classes) need not add up to 1. For two classes of a softmax all three are the same. Returns
    float64 (resamples, 1 + classes), one row without weights; NaN for a class that no image or every image has, and so
    for the mean.
    """
    areas = [area_under_curve(labels == c, column, weights) for c, column in enumerate(probabilities.T)]
    return np.stack([np.mean(areas, axis=0), *areas], axis=1)
