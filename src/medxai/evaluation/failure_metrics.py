r"""How well a score of doubt tells wrong predictions from right ones.

Doubt is a number for each image, float (n,): the higher, the less the prediction is to be believed. ``wrong``, bool
(n,), says which predictions are. Ties count as every order of them on average, so that doubt that is the same for all
images is a referral by lot. With ``weights``, float (resamples, n), images count as often as that, and results have one
value for each resample; without, they have one.

Where nothing is defined, such as an area without wrong predictions, or where a doubt is NaN, the result is NaN. Other
shapes or types are a ValueError.

Selective classification is said in two ways. At a coverage c the c n images of least doubt are kept: the *selective
risk* is the share of wrong ones among the kept (Geifman and El-Yaniv 2017, "Selective classification for deep neural
networks", NeurIPS), the *generalised risk* their share among all images, the chance to be harmed without a warning
(Traub et al. 2024, "Overcoming common flaws in the evaluation of selective classification systems", NeurIPS).
"""

import numpy as np
import pandas as pd

from medxai.evaluation.classification import area_under_curve
from medxai.evaluation.sums import ratio

FEW = 50
"""Wrong predictions below which nothing is decided."""
CAUGHT = 0.95
"""Of wrong predictions, for `false_rejections`."""


def auroc(doubt: np.ndarray, wrong: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return how often a wrong prediction is doubted more than a right one; 1/2 by lot."""
    doubt, wrong, weights = _checked(doubt, wrong, weights)
    return _defined(doubt, area_under_curve(wrong, doubt, weights))


def aupr_error(doubt: np.ndarray, wrong: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the average precision of doubt as a detector of wrong predictions; the share of these by lot.

    The sum over thresholds of precision times the growth of recall, as scikit-learn's ``average_precision_score``.
    """
    doubt, wrong, weights = _checked(doubt, wrong, weights)
    errors, kept = _below(-doubt, wrong, weights)
    growth = np.diff(errors, axis=1, prepend=0)
    return _defined(doubt, ratio((growth * np.nan_to_num(ratio(errors, kept))).sum(1), errors[:, -1]))


def false_rejections(
    doubt: np.ndarray, wrong: np.ndarray, weights: np.ndarray | None = None, *, caught: float = CAUGHT
) -> np.ndarray:
    """Return the share of right predictions that are rejected where at least so many wrong ones are: FPR at 95 % TPR.

    Positives are wrong predictions, as in DOCTOR (Granese et al. 2021, "FRR at 95 % TRR"). The threshold is the highest
    doubt that catches enough; what is doubted as much as it is rejected, too. ``caught`` is above 0, and at most 1.
    """
    if not 0 < caught <= 1:
        raise ValueError(f"caught is {caught}: expected a share above 0, and at most 1")
    doubt, wrong, weights = _checked(doubt, wrong, weights)
    errors, rejected = _below(-doubt, wrong, weights)
    enough = errors >= caught * errors[:, -1:] * (1 - 1e-12)
    right = rejected - errors
    share = ratio(np.take_along_axis(right, enough.argmax(1)[:, None], 1)[:, 0], right[:, -1])
    return _defined(doubt, np.where(errors[:, -1] > 0, share, np.nan))


def augrc(doubt: np.ndarray, wrong: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    r"""Return the area under the curve of generalised risk over coverage; less is better.

    :math:`(1 - \mathrm{AUROC}) \cdot a e + e^2 / 2` of accuracy a and error rate e (Traub et al. 2024): at best the
    second term, and e / 2 by lot. Without wrong predictions it is 0, and of only wrong ones 1/2.
    """
    doubt, wrong, weights = _checked(doubt, wrong, weights)
    error = ratio(weights[:, wrong].sum(1), weights.sum(1))
    missed = (1 - area_under_curve(wrong, doubt, weights)) * error * (1 - error)
    return _defined(doubt, np.where((error == 0) | (error == 1), 0, missed) + error**2 / 2)


def aurc(doubt: np.ndarray, wrong: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Return the mean of the selective risk over the coverages 1/n, 2/n, ... 1; less is better.

    Geifman, Uziel and El-Yaniv 2019, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR. Weights
    have to be whole numbers. Where images are of one doubt, the risk within them is that of a mean order.
    """
    doubt, wrong, weights = _checked(doubt, wrong, weights)
    if (weights != np.round(weights)).any():
        raise ValueError("weights are no whole numbers: expected how often each image was drawn")
    errors, kept = _below(doubt, wrong, weights)
    found = [_mean_risk(*line) for line in zip(errors, kept, strict=True)]
    return _defined(doubt, np.array(found))


def _mean_risk(errors: np.ndarray, kept: np.ndarray) -> float:
    """Average the risk after each kept image, of sums after each block of one doubt."""
    if not kept[-1]:
        return float("nan")
    ranks = np.arange(1, kept[-1] + 1)
    return float((np.interp(ranks, np.r_[0, kept], np.r_[0, errors]) / ranks).mean())


def curves(doubt: np.ndarray, wrong: np.ndarray, coverages: np.ndarray) -> pd.DataFrame:
    """Return both risks at some coverages, in [0, 1].

    Returns
    -------
    pandas.DataFrame
        ``coverage``, ``selective`` (NaN where nothing is kept) and ``generalised``.
    """
    doubt, wrong, weights = _checked(doubt, wrong, None)
    errors, kept = (np.r_[0, line[0]] for line in _below(doubt, wrong, weights))
    coverages = np.asarray(coverages, float)
    if not ((coverages >= 0) & (coverages <= 1)).all():
        raise ValueError(f"coverages are {coverages.min()} to {coverages.max()}: expected 0 to 1")
    harmed = np.interp(coverages * len(wrong), kept, errors)
    harmed = _defined(doubt, harmed)
    table = {"selective": ratio(harmed, coverages * len(wrong)), "generalised": harmed / len(wrong)}
    return pd.DataFrame({"coverage": coverages, **table})


def _below(doubt: np.ndarray, wrong: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many wrong predictions and how many in all have at most each doubt, both (resamples, doubts)."""
    order = np.argsort(doubt, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(doubt[order]) != 0, True])
    weights = weights[:, order]
    return (weights * wrong[order]).cumsum(1)[:, last], weights.cumsum(1)[:, last]


def _defined(doubt: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return values, or NaN for all where a doubt is."""
    return values if not np.isnan(doubt).any() else np.full_like(values, np.nan, dtype=float)


def _checked(
    doubt: np.ndarray, wrong: np.ndarray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return float (n,), bool (n,) and float (resamples, n)."""
    doubt, wrong = np.asarray(doubt), np.asarray(wrong)
    if wrong.dtype != bool or wrong.ndim != 1 or not len(wrong):
        raise ValueError(f"wrong is {wrong.dtype} {wrong.shape}: expected bool (n,), not empty")
    if doubt.shape != wrong.shape or doubt.dtype.kind not in "fiu":
        raise ValueError(f"doubt is {doubt.dtype} {doubt.shape}: expected numbers {wrong.shape}")
    weights = np.ones((1, len(wrong))) if weights is None else np.asarray(weights, float)
    if weights.ndim != 2 or weights.shape[1] != len(wrong) or not (weights >= 0).all():
        raise ValueError(f"weights are {weights.shape}: expected at least 0, (resamples, {len(wrong)})")
    return doubt.astype(float), wrong, weights
