r"""Simulated scores of models that are all equally good: what is then found between them is chance.

An image has a score for each class, normal with a standard deviation of 1, and higher by a gain :math:`g` for its own
class, so that the area under the ROC curve of the class is :math:`\Phi(g / \sqrt 2)` on endless test images. Scores
that several models, or several epochs of one, give an image are correlated; those of different classes are not.

Common parameters: ``areas``, the true area of each class; ``sizes``, how many test images each has; ``repetitions``,
how many test sets are drawn.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import special, stats

from medxai.evaluation import auc_tests

SEED = 0


def simulated(
    draw: np.random.Generator, models: int, correlation: float, areas: Sequence[float], sizes: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (n,), and scores (models, n, classes) with a `correlation` between models."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    gains = np.sqrt(2) * special.ndtri(np.asarray(areas)) * np.eye(len(sizes))[labels]
    shared, own = draw.normal(size=gains.shape), draw.normal(size=(models, *gains.shape))
    return labels, gains + np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own


def average_areas(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the average area over classes of each model, (models,), for scores without ties."""
    areas = []
    for c in np.unique(labels):
        positive = (labels == c)[np.argsort(scores[..., c], axis=-1)]  # from the lowest score up
        beaten = np.cumsum(~positive, axis=-1)
        areas.append((beaten * positive).sum(-1) / (positive[0].sum() * (~positive[0]).sum()))
    return np.mean(areas, axis=0)


def error_of_average(areas: Sequence[float], sizes: Sequence[int], repetitions: int) -> float:
    """Return how far the average area spreads over test sets, as a standard deviation."""
    labels, scores = simulated(np.random.default_rng(SEED), repetitions, 0, areas, sizes)
    return float(average_areas(labels, scores).std())  # uncorrelated models are as many test sets


def bought_by_choosing(
    epochs: Sequence[int], correlation: float, areas: Sequence[float], sizes: Sequence[int], repetitions: int
) -> pd.DataFrame:
    """Say by how much the average area of the best epoch exceeds the mean of all on the same test images.

    Returns
    -------
    pandas.DataFrame
        A line for each number of ``epochs``: ``value``, the mean over test sets, ``low`` and ``high``, between which
        95 % of these lie, and ``spread``, the standard deviation between epochs on one test set.
    """
    draw = np.random.default_rng(SEED)
    sets = [average_areas(*simulated(draw, max(epochs), correlation, areas, sizes)) for _ in range(repetitions)]
    lines = []
    for number in epochs:
        some = np.array(sets)[:, :number]
        bought = some.max(1) - some.mean(1)
        low, high = np.quantile(bought, [0.025, 0.975])
        lines.append((correlation, number, bought.mean(), low, high, some.std(1).mean()))
    return pd.DataFrame(lines, columns=["correlation", "epochs", "value", "low", "high", "spread"])


def false_alarms(
    resamples: Sequence[int], correlation: float, areas: Sequence[float], sizes: Sequence[int], repetitions: int
) -> pd.DataFrame:
    """Say how often two equally good models differ "significantly", p < 0.05, in their average area.

    Returns
    -------
    pandas.DataFrame
        A line for Welch's t-test with each number of resamples (`auc_tests.resampled`) taken for observations, and one,
        of 0 ``resamples``, for DeLong's paired test: ``value``, a share of test sets, with its exact 95 % interval.
    """
    draw, found = np.random.default_rng(SEED), []
    for repetition in range(repetitions):
        labels, pair = simulated(draw, 2, correlation, areas, sizes)
        first, second = (
            auc_tests.resampled(labels, one, resamples=max(resamples), seed=2 * repetition + place)[:, 0]
            for place, one in enumerate(pair)
        )
        p = [stats.ttest_ind(first[:some], second[:some], equal_var=False).pvalue for some in resamples]
        names = [str(c) for c in range(len(sizes))]
        found.append([auc_tests.paired(labels, *pair, names)["p"][auc_tests.MEAN], *p])
    shares = [_share(p < 0.05) for p in np.array(found).T]
    rows = ["DeLong's paired test", *["t-test over resamples"] * len(resamples)]
    lines = [(row, some, *share) for row, some, share in zip(rows, [0, *resamples], shares, strict=True)]
    return pd.DataFrame(lines, columns=["row", "resamples", "value", "low", "high"])


def coverage(areas: Sequence[float], sizes: Sequence[int], repetitions: int) -> pd.DataFrame:
    """Say how often 95 % intervals of the average area hold the true one, and how wide they are on average; tidy."""
    draw, names = np.random.default_rng(SEED), [str(c) for c in range(len(sizes))]
    ends: dict[str, list] = {"30 resamples of 55 to 60": [], "DeLong": [], "stratified bootstrap": []}
    for repetition in range(repetitions):
        labels, (scores,) = simulated(draw, 1, 0, areas, sizes)
        small = auc_tests.resampled(labels, scores, seed=repetition)[:, 0]
        ends["30 resamples of 55 to 60"].append(np.quantile(small, [0.025, 0.975]))
        ends["DeLong"].append(auc_tests.delong(labels, scores, names).loc[auc_tests.MEAN, ["low", "high"]])
        drawn = auc_tests.stratified(labels, scores, names, resamples=200, seed=repetition)
        ends["stratified bootstrap"].append(drawn.loc[auc_tests.MEAN, ["low", "high"]])
    lines = []
    for name, intervals in ends.items():
        low, high = np.array(intervals, dtype=np.float64).T
        lines.append((name, "holds the truth", *_share((low < np.mean(areas)) & (np.mean(areas) < high))))
        lines.append((name, "width", (high - low).mean(), np.nan, np.nan))
    return pd.DataFrame(lines, columns=["row", "metric", "value", "low", "high"])


def _share(hits: np.ndarray) -> tuple[float, float, float]:
    """Return a share and its exact 95 % interval."""
    found = stats.binomtest(int(hits.sum()), len(hits))
    return (found.statistic, *found.proportion_ci())
