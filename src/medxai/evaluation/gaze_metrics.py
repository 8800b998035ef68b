r"""Saliency maps against where somebody looked.

Maps are (n, H, W), one for each image, of any sign and scale. A gaze is (n, H, W), 0 or more: at each pixel how many
fixations, how long they were, or their density (fixations blurred by a Gaussian). Scores are float64 (n,). A map of
one value at every pixel predicts nothing, and its scores are NaN, as are those of an image that nobody looked at.

The definitions are those of Bylinskii, Judd, Oliva, Torralba, Durand 2019, IEEE Transactions on Pattern Analysis and
Machine Intelligence 41:740-757, and of the code of its benchmark (cvzoya/saliency). Two differences: a gaze counts with
all its weight, where that code takes each fixated pixel once; and nothing is sampled, areas are exact.

**Shuffled scores** ask what a map says of this image that it does not say of every image: radiologists look at lungs,
and an outline of the lungs scores high without having seen anything (Bigolin Lanfredi, Arora, Drew, Schroeder,
Tasdizen 2021, arXiv:2112.11716). They need at least two images, the same way up, and give NaN for one.

All functions raise ValueError, in one sentence, if shapes differ, values are not finite, or a gaze is negative.
"""

from typing import Literal

import numpy as np

from medxai.evaluation import localisation
from medxai.evaluation._checks import finite_maps
from medxai.evaluation.sums import ratio

AXES = (-2, -1)
EPSILON = float(np.finfo(np.float64).eps)
"""Regularises the divergence, as in the benchmark's code."""


def nss(maps: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    r"""Normalised scanpath saliency: the mean where one looked of a map in its own standard deviations.

    :math:`\sum_p g_p (M_p - \mu_M) / \sigma_M / \sum_p g_p`. 0 for chance, 1 if maps are one standard deviation higher.
    """
    maps, gaze = _pair(maps, gaze)
    return ratio((_standard(maps) * gaze).sum(AXES), gaze.sum(AXES))


def correlation(maps: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    """Pearson's correlation of the pixels of a map and a gaze, CC or normalised cross-correlation; in [-1, 1]."""
    maps, gaze = _pair(maps, gaze)
    return (_standard(maps) * _standard(gaze)).mean(AXES)


def similarity(maps: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    r"""Histogram intersection, SIM: :math:`\sum_p \min(M_p, g_p)`; in [0, 1], 1 for the same.

    Both are first taken less their minimum, so that a constant on top buys nothing, and over their sum.
    """
    return np.minimum(*map(_distribution, _pair(maps, gaze))).sum(AXES)


def divergence(maps: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    r"""Kullback-Leibler divergence of the map from the gaze, KL: 0 for the same, else larger without a bound.

    :math:`\sum_p g_p \log(\epsilon + g_p / (\epsilon + M_p))`, both scaled as for `similarity`. A map that is 0 where
    somebody looked is punished most, by about :math:`\log(1 / \epsilon) = 36`.
    """
    maps, gaze = map(_distribution, _pair(maps, gaze))
    return (gaze * np.log(EPSILON + gaze / (EPSILON + maps))).sum(AXES)


def auc_judd(maps: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of a map that tells pixels that were looked at, gaze above 0, from others; in [0, 1].

    Needs fixations: a blurred gaze is above 0 everywhere, and its score is NaN.
    """
    maps, gaze = _pair(maps, gaze)
    return _unless_constant(maps, localisation.pixel_auc(maps, (gaze > 0).astype(np.float64)))


def shuffled_auc(maps: np.ndarray, gaze: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of a map that tells where one looked from where one looked in others, sAUC; in [0, 1].

    The others count alike, however long one looked at each. A map that is the same for all images scores 1/2 on average
    over these, exactly. Tatler, Baddeley, Gilchrist 2005, Vision Research 45:643-659; Zhang, Tong, Marks, Shan,
    Cottrell 2008, Journal of Vision 8(7):32.
    """
    maps, gaze = _pair(maps, gaze)
    shares = _shares(gaze)
    return _unless_constant(maps, localisation.weighted_auc(maps, shares, _others(shares)))


def shuffled_correlation(
    maps: np.ndarray, gaze: np.ndarray, *, against: Literal["each other image", "mean gaze"] = "each other image"
) -> np.ndarray:
    r"""Correlation with the gaze on this image, less that with the gaze on other images, sNCC; in [-2, 2].

    Parameters
    ----------
    against
        ``"each other image"``: the mean of the correlations with the gaze on each other image. A map that is the same
        for all images then scores 0 on average over these, exactly. ``"mean gaze"``: the correlation with the mean of
        the gaze on other images, as the public code of Bigolin Lanfredi et al. has it (ricbl/etsaliencymaps, commit
        427eeb8, ``compare_heatmaps.py``; there the mean holds this image, too, and is moved to its chest). A mean is
        smoother than what it is made of, so that maps correlate with it more: a map that is the same for all images
        scores below 0, and the mean gaze itself lowest.
    """
    maps, gaze = _pair(maps, gaze)
    own = correlation(maps, gaze)
    if against == "mean gaze":
        return own - correlation(maps, np.nan_to_num(_others(_shares(gaze))))
    if against != "each other image":
        raise ValueError(f'against is {against!r}: expected "each other image" or "mean gaze"')
    flat = [_standard(values).reshape(len(values), -1) for values in (maps, gaze)]
    every = flat[0] @ flat[1].T / flat[0].shape[1]
    np.fill_diagonal(every, np.nan)
    return own - _mean(every)


def _others(shares: np.ndarray) -> np.ndarray:
    """Return for each image the mean of the gaze on the others, NaN where there are none that were looked at."""
    known = np.isfinite(shares).all(AXES)
    sums = np.where(known[:, None, None], shares, 0)
    return ratio(sums.sum(0) - sums, (known.sum() - known)[:, None, None])


def _mean(rows: np.ndarray) -> np.ndarray:
    """Return the mean of each row without NaN; NaN where nothing is left."""
    known = np.isfinite(rows)
    return ratio(np.where(known, rows, 0).sum(1), known.sum(1))


def _shares(gaze: np.ndarray) -> np.ndarray:
    return ratio(gaze, gaze.sum(AXES, keepdims=True))


def _distribution(values: np.ndarray) -> np.ndarray:
    return _shares(values - values.min(AXES, keepdims=True))


def _standard(values: np.ndarray) -> np.ndarray:
    """Return values less their mean and over their standard deviation, NaN for those that do not vary."""
    varies = np.ptp(values, axis=AXES, keepdims=True) > 0  # rounding makes the deviation of a constant positive
    spread = np.where(varies, values.std(AXES, keepdims=True), 0)
    return ratio(values - values.mean(AXES, keepdims=True), spread)


def _unless_constant(maps: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.where(np.ptp(maps, axis=AXES) > 0, scores, np.nan)


def _pair(maps: np.ndarray, gaze: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    maps, gaze = (finite_maps(each, what, "(n, H, W)", 3) for each, what in ((maps, "maps"), (gaze, "gaze")))
    if maps.shape != gaze.shape:
        raise ValueError(f"maps and gaze are {maps.shape} and {gaze.shape}: expected (n, H, W), the same")
    if (gaze < 0).any():
        raise ValueError("gaze holds negative values: expected 0 or more, how much one looked at each pixel")
    return maps, gaze
