"""How well classes can be told apart."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def folds(labels: np.ndarray, number: int, seed: int) -> StratifiedKFold:
    """Return stratified folds in random order; the same for every model, so that models can be compared."""
    return StratifiedKFold(number, shuffle=True, random_state=seed)


def colour_statistics(images: np.ndarray, *, spread: bool) -> np.ndarray:
    """Return the mean colour of each image, and with `spread` the standard deviation per channel beside it.

    Parameters
    ----------
    images
        uint8 (n, height, width, 3).

    Returns
    -------
    numpy.ndarray
        float64 (n, 3) or (n, 6), in 0 to 255.
    """
    mean = images.mean(axis=(1, 2))
    return np.hstack([mean, images.std(axis=(1, 2))]) if spread else mean


def linear_predictions(features: np.ndarray, labels: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Return the cross-validated predictions of a multinomial logistic regression, int (n,)."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return cross_val_predict(model, features, labels, cv=folds(labels, number, seed))


def f1_by_class(truth: np.ndarray, predicted: np.ndarray, names: list[str]) -> pd.Series:
    """Return the F1 of each class and their mean ("Mean", the macro F1), 0 for a class that is never predicted."""
    scores = f1_score(truth, predicted, labels=range(len(names)), average=None, zero_division=0.0)
    return pd.Series([*scores, scores.mean()], index=[*names, "Mean"])
