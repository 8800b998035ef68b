r"""How sure an area under the ROC curve is: standard errors, intervals, and tests of two models on the same images.

The areas are those of `medxai.evaluation.classification.one_against_rest`: each class against all others, and in front
of them their mean. ``labels`` are classes from 0, int (n,), ``probabilities`` float (n, classes), and ``names`` those
of the classes; tables have a row for each area, `MEAN` first. An area is NaN where a class has no image or every image,
and so is the mean; an error or an interval is NaN, too, where one side has a single image.

Of several runs of a model, (runs, n, classes) on the same images, the area is the mean over runs, and its error that of
the mean: how far other images would move it, not how far other runs would.

Everything about errors follows from one array, `parts`: by how much each image moves an area.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special, stats

from medxai.evaluation import bootstrap
from medxai.evaluation.classification import one_against_rest
from medxai.evaluation.sums import ratio

MEAN = "Average"


class Parts(NamedTuple):
    """Areas (k,), and by how much each image moves each of them, (k, n): the sum of their products is a covariance."""

    areas: np.ndarray
    moves: np.ndarray


def parts(positive: np.ndarray, scores: np.ndarray) -> Parts:
    r"""Return areas and the parts of their covariance, of k scores (k, n) of images, positive or not, bool (n,).

    With the :math:`m` positive images :math:`X` and the others :math:`Y`, :math:`V_i` is the share of :math:`Y` that
    image :math:`i` of :math:`X` beats, ties counting half, and the area :math:`A` their mean. The covariance of two
    areas is :math:`\sum_i (V_i - A)(V'_i - A') / (m (m - 1))` over :math:`X`, and the same over :math:`Y` (DeLong,
    DeLong, Clarke-Pearson 1988, Biometrics 44:837-845); a move is one factor of such a product. From midranks, in
    :math:`O(n \log n)` (Sun, Xu 2014, IEEE Signal Processing Letters 21:1389-1393).
    """
    positive, scores = np.asarray(positive, dtype=bool), np.atleast_2d(np.asarray(scores, dtype=np.float64))
    if positive.shape != scores.shape[1:] or not np.isfinite(scores).all():
        raise ValueError(
            f"positive and scores are {positive.shape} and {scores.shape}: expected (n,) and finite (k, n)"
        )
    m, n = positive.sum(), (~positive).sum()
    if m == 0 or n == 0:
        return Parts(np.full(len(scores), np.nan), np.full(scores.shape, np.nan))
    together = stats.rankdata(scores, axis=1)
    beaten = np.empty_like(scores)  # the share of the other side that an image beats, or that beats it
    beaten[:, positive] = (together[:, positive] - stats.rankdata(scores[:, positive], axis=1)) / n
    beaten[:, ~positive] = 1 - (together[:, ~positive] - stats.rankdata(scores[:, ~positive], axis=1)) / m
    areas = beaten[:, positive].mean(1)
    pairs = np.where(positive, m * (m - 1), n * (n - 1)).astype(np.float64)
    return Parts(areas, ratio(beaten - areas[:, None], np.sqrt(pairs)[None]))


def class_parts(labels: np.ndarray, probabilities: np.ndarray) -> Parts:
    """Return the `parts` of the mean and of each class; how many images a class has is taken as given."""
    labels, runs = _checked(labels, probabilities)
    each = [parts(labels == c, runs[:, :, c]) for c in range(runs.shape[2])]
    areas, moves = (np.stack([getattr(one, name).mean(0) for one in each]) for name in Parts._fields)
    return Parts(np.append(areas.mean(), areas), np.vstack([moves.mean(0), moves]))


def delong(labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str], level: float = 0.95) -> pd.DataFrame:
    """Areas with DeLong's standard errors.

    Returns
    -------
    pandas.DataFrame
        ``value``, ``error``, and ``low`` and ``high``, the normal interval, which may pass 1 for areas near it.
    """
    areas, moves = class_parts(labels, probabilities)
    return _table(areas, moves, names, level)


def paired(
    labels: np.ndarray, probabilities: np.ndarray, others: np.ndarray, names: Sequence[str], level: float = 0.95
) -> pd.DataFrame:
    """Compare two models on the same images by DeLong's test.

    Returns
    -------
    pandas.DataFrame
        As of `delong`, ``value`` the first model's area less the other's, and ``p``, two-sided, not corrected (`holm`).
        NaN where the difference has no error, as that of a model with itself.
    """
    first, second = class_parts(labels, probabilities), class_parts(labels, others)
    table = _table(first.areas - second.areas, first.moves - second.moves, names, level)
    return table.assign(p=2 * special.ndtr(-np.abs(ratio(table["value"].to_numpy(), table["error"].to_numpy()))))


def stratified(
    labels: np.ndarray,
    probabilities: np.ndarray,
    names: Sequence[str],
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Areas with percentile intervals of a bootstrap that draws within each class, so that none can be lost."""
    labels, runs = _checked(labels, probabilities)
    own = [_areas(labels, runs, chunk) for chunk in _draws(labels, resamples, seed)]
    tail = (1 - level) / 2
    low, high = bootstrap.percentiles(np.concatenate(own), [tail, 1 - tail])
    value = _areas(labels, runs)[0]
    return pd.DataFrame({"value": value, "low": low, "high": high}, [MEAN, *names])


def resampled(
    labels: np.ndarray, probabilities: np.ndarray, *, resamples: int = 30, sizes: tuple[int, int] = (55, 60), seed: int
) -> np.ndarray:
    """Areas of small resamples, float64 (resamples, 1 + classes): the protocol of Watanabe et al. 2022.

    Each has a random number of images from `sizes`, drawn with replacement (the paper says neither, only
    "resampling"). The same seed draws the same images, for another model of these.
    """
    labels, runs = _checked(labels, probabilities)
    draw = np.random.default_rng(seed)
    numbers = draw.integers(sizes[0], sizes[1] + 1, resamples)
    even = np.full(len(labels), 1 / len(labels))
    return _areas(labels, runs, draw.multinomial(numbers, even).astype(np.float64))


def hanley_mcneil(area: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    r"""Standard error of an area of which only its size is known, and how many images there are on either side.

    .. math:: \sqrt{\frac{A (1 - A) + (m - 1)(Q_1 - A^2) + (n - 1)(Q_2 - A^2)}{m n}},
              \quad Q_1 = \frac{A}{2 - A}, \quad Q_2 = \frac{2 A^2}{1 + A}

    Hanley and McNeil 1982, Radiology 143:29-36, equations 1 and 2: exact for exponentially distributed scores, and
    a little large for normal ones. NaN where a side has no image.
    """
    area, positives, negatives = (np.asarray(each, dtype=np.float64) for each in (area, positives, negatives))
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    sums = area * (1 - area) + (positives - 1) * (first - area**2) + (negatives - 1) * (second - area**2)
    return np.sqrt(ratio(sums, positives * negatives))


def holm(p: np.ndarray) -> np.ndarray:
    """Return p-values (k,) adjusted for being several (Holm 1979, Scandinavian Journal of Statistics 6:65-70).

    NaN stay NaN and do not count as tests.
    """
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p)[: np.isfinite(p).sum()]  # NaN come last
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return adjusted


def class_sizes(areas: Sequence[float], images: int) -> list[int]:
    """Return which numbers of positive images printed areas allow: of as many pairs, each is a multiple of one half.

    Areas are of one class on the same images, printed with all their digits. A number and the rest of the images go
    together: which of the two is positive, an area does not say.
    """
    numbers = np.arange(1, images)
    halves = 2 * np.outer(areas, numbers * (images - numbers))
    return numbers[(np.abs(halves - np.round(halves)) < 1e-6).all(0)].tolist()


def _draws(labels: np.ndarray, resamples: int, seed: int):
    """Yield weights (up to `bootstrap.CHUNK`, n) that draw as many images of each class as it has."""
    rows = [np.flatnonzero(labels == one) for one in np.unique(labels)]
    draws = [bootstrap.weights(len(own), resamples, seed + place) for place, own in enumerate(rows)]
    for chunks in zip(*draws, strict=True):
        together = np.empty((len(chunks[0]), len(labels)))
        for own, chunk in zip(rows, chunks, strict=True):
            together[:, own] = chunk
        yield together


def _table(values: np.ndarray, moves: np.ndarray, names: Sequence[str], level: float) -> pd.DataFrame:
    error = np.sqrt((moves**2).sum(1))
    reach = NormalDist().inv_cdf((1 + level) / 2) * error
    columns = {"value": values, "error": error, "low": values - reach, "high": values + reach}
    return pd.DataFrame(columns, [MEAN, *names])


def _areas(labels: np.ndarray, runs: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    return np.mean([one_against_rest(labels, one, weights) for one in runs], axis=0)


def _checked(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (n,) and the probabilities of each run, (runs, n, classes)."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    runs = probabilities[None] if probabilities.ndim == 2 else probabilities
    if labels.ndim != 1 or runs.ndim != 3 or len(labels) != runs.shape[1]:
        found = f"{labels.shape} and {probabilities.shape}"
        raise ValueError(f"labels and probabilities are {found}: expected (n,) and (n, classes)")
    return labels, runs
