"""How alike two maps of one image are: by the ranks of their pixels, and by their structure."""

import numpy as np
import pandas as pd

from medxai.evaluation._checks import finite_maps
from medxai.evaluation.sums import ratio

WINDOW = 7
"""Side of the squares in which structures are compared, in pixels; scikit-image's."""


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks, from 1, of the values in each row (m, k); equal ones share their mean rank, NaN have none."""
    return pd.DataFrame(values).rank(axis=1).to_numpy()


def rank_correlations(maps: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlations of each two of some maps (m, ...), float64 (m, m).

    Higher is more alike: 1 for the same order of pixels, 0 for unrelated ones, -1 for the opposite order. Ties get
    their mean rank. NaN where one of the two is constant.
    """
    centred = ranks(maps.reshape(len(maps), -1))
    centred -= centred.mean(1, keepdims=True)
    size = np.linalg.norm(centred, axis=1)
    return ratio(centred @ centred.T, np.outer(size, size))


def paired_rank_correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation of each row of two arrays (m, k) over the columns where both are finite, (m,).

    NaN where one of the two is constant there.
    """
    defined = np.isfinite(one) & np.isfinite(other)
    ranked = [pd.DataFrame(ranks(np.where(defined, values, np.nan))) for values in (one, other)]
    first, second = (each.sub(each.mean(axis=1), axis=0) for each in ranked)
    return ratio((first * second).sum(axis=1), np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1)))


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Return Spearman's rank correlation of two maps of one shape; NaN where one of them is constant."""
    return float(rank_correlations(np.stack([one, other]))[0, 1])


def structural_similarity(one: np.ndarray, other: np.ndarray) -> float:
    r"""Return the structural similarity of two maps, each scaled to its own range.

    Each map becomes :math:`(M - \min M) / (\max M - \min M)`, in [0, 1], so that neither the size of its values nor a
    constant on top of them counts; then scikit-image's index with squares of 7 x 7 pixels of equal weight and the
    constants of the paper for a range of 1. Higher is more alike.

    In [-1, 1], 1 only for maps that are the same once scaled. NaN where one of them is constant. A ValueError says if
    the shapes differ, are not (h, w) or smaller than 7 x 7, or if a value is NaN or infinite.

    Notes
    -----
    Wang, Bovik, Sheikh, Simoncelli 2004, eq. 13; for maps Adebayo et al. 2018. Two maps that are flat but
    for a few pixels are alike wherever both are flat, so that sparse maps score high even if they share no pixel.
    """
    from skimage import metrics

    one, other = (finite_maps(values, "maps", "(h, w)", 2) for values in (one, other))
    if one.shape != other.shape or min(one.shape) < WINDOW:
        raise ValueError(f"maps are {one.shape} and {other.shape}: expected the same shape of at least 7 x 7")
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return np.nan
    one, other = ((values - values.min()) / np.ptp(values) for values in (one, other))
    return float(metrics.structural_similarity(one, other, win_size=WINDOW, data_range=1))
