"""Do maps say what a part of a picture is worth? Their sums over the part, against the score when it is taken away.

The *effect* of a part is the score of the picture less that of the same picture without it: above zero for what speaks
for the class. Where a picture can be made again without a part, that is a truth which no mask of pixels can give; so
do Hesse, Schaub-Meyer, Roth 2023 (FunnyBirds, ICCV, single deletion) for birds made of parts.
"""

import numpy as np
import pandas as pd

from medxai.evaluation import bootstrap
from medxai.evaluation.similarity import paired_rank_correlations
from medxai.evaluation.sums import ratio

LEAST = 3
"""Fewest parts of a picture that have an order worth the name: of two, one in two orders is right by chance."""
RESAMPLES, SEED = 2000, 0


def agreement(effects: np.ndarray, sums: np.ndarray, means: np.ndarray, signed: np.ndarray) -> dict[str, np.ndarray]:
    """Compare maps of one picture with the effects of its parts.

    Parameters
    ----------
    effects
        float (c,), of c parts.
    sums
        float (m, c): of each of m maps, over the pixels of each part.
    means
        float (m, c): means of the maps' absolute values over the same pixels.
    signed
        bool (m,): whether values below zero speak against the class.

    Returns
    -------
    dict of numpy.ndarray
        Each float64 (m,). ``removal_order``: Spearman's rank correlation of sums and effects, in [-1, 1]; a large part
        has a large sum for any map, and often a large effect. ``removal_order_unsigned``: that of means and absolute
        effects, which leaves size and sign out. Both are NaN for fewer than `LEAST` parts, and for constant values.
        ``removal_sign_errors``: share of the parts, in [0, 1], whose sum has the other sign than their effect; parts
        where either is 0 do not count; NaN where no part does, and for maps without signs.
    """
    orders = {"removal_order": (sums, effects), "removal_order_unsigned": (means, np.abs(effects))}
    found = {
        name: paired_rank_correlations(values, np.broadcast_to(truth, values.shape))
        if len(effects) >= LEAST
        else np.full(len(values), np.nan)
        for name, (values, truth) in orders.items()
    }
    product = np.sign(sums) * np.sign(effects)
    errors = ratio((product < 0).sum(1), (product != 0).sum(1))
    return {name: np.asarray(values, dtype=float) for name, values in found.items()} | {
        "removal_sign_errors": np.where(signed, errors, np.nan)
    }


def pooled(removals: pd.DataFrame, *, resamples: int = RESAMPLES, seed: int = SEED) -> pd.DataFrame:
    """Compare the sums of each map with the effects over the parts of all images at once.

    Parameters
    ----------
    removals
        A line for each ``image``, ``characteristic`` and ``method``, with the ``sum`` of the map over the part and its
        ``effect``.

    Returns
    -------
    DataFrame
        A line for each method: ``row``, ``value``, ``low``, ``high``: Spearman's rank correlation of sums and effects,
        both less their mean over the parts of their image, with the 95 % percentile interval over resampled images.
        NaN for constant sums.
    """
    keys = ["image", "characteristic"]
    sums = removals.pivot(index=keys, columns="method", values="sum")[removals["method"].unique()]
    effects = removals.groupby(keys)["effect"].first().loc[sums.index]
    images = sums.index.get_level_values("image")
    centred = sums - sums.groupby(images).transform("mean")
    truth = (effects - effects.groupby(images.to_numpy()).transform("mean")).to_numpy()
    drawn = bootstrap.resampled(images, resamples, seed)
    lines = []
    for name, values in centred.items():
        known = values.notna().to_numpy()
        found = rank_correlations(values.to_numpy()[known], truth[known], drawn[:, known])
        lines.append((name, *bootstrap.ends(found)))
    return pd.DataFrame(lines, columns=["row", "value", "low", "high"])


def rank_correlations(one: np.ndarray, other: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of two rows of values (k,), taken as often as weights (r, k) say, float64 (r,).

    NaN where one of the two is constant among those that are taken.
    """
    total = weights.sum(1, keepdims=True)
    first, second = (_ranks(values, weights) - total / 2 for values in (one, other))  # the mean rank is half of all
    covariance, *spread = ((weights * a * b).sum(1) for a, b in ((first, second), (first, first), (second, second)))
    return ratio(covariance, np.sqrt(spread[0] * spread[1]))


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean rank, from 1/2, of values (k,) that are repeated as weights (r, k) say, float64 (r, k)."""
    codes = np.unique(values, return_inverse=True)[1]
    totals = np.zeros((codes.max() + 1, len(weights)))
    np.add.at(totals, codes, weights.T)
    return (totals.cumsum(0) - totals / 2)[codes].T
