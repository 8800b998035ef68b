"""The bootstrap over images: resampling weights from a seed, percentile intervals, and tests of many differences.

Percentile intervals of few images are too narrow. In simulations with normal, uniform and skewed values, an interval of
level 0.95 covers the true mean in 79 to 85 % of samples of 5 images, in 86 to 91 % of 10, in 91 to 93 % of 20 and in
93 to 94 % of 50. `coverage` says it for normal values; pages that show such intervals say it, too.

Common parameters: ``values`` are numbers, a row for each image and a column for each quantity, NaN where an image has
none; ``groups``, int (n,), of images that are drawn together, as near copies must be (``None``: each image is its own
group); ``resamples`` is how many, at least 1. Tables with the same ``seed`` and images are resampled alike, so that
their difference can be, too. A ValueError says in one sentence which argument is none of these.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from medxai.evaluation.sums import make_table, ratio

CHUNK = 500
"""Resamples that are worked on together: bounds the memory, changes no result."""
FLOOR = 0.5
"""Least standard error of a resample, as a share of that of the data (`differences`)."""
ROUNDING = 1e-12
"""Differences that vary by less than this share of the largest value are the same but for rounding."""


def weights(images: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield resampling weights in chunks: float64 (up to `CHUNK`, images), how often each image was drawn.

    Each row is one resample of `images` images drawn with replacement, so it sums to `images`.
    """
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, CHUNK):
        size = min(CHUNK, resamples - start)
        yield generator.multinomial(images, np.full(images, 1 / images), size=size).astype(np.float64)


def interval(
    statistic: Callable[..., pd.DataFrame], images: int, *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Percentile interval of every cell of a table, by resampling images.

    Parameters
    ----------
    statistic
        Called with ``weights=`` an array (n, images); gives a table indexed by (resample, term), like the functions
        of `medxai.evaluation.agreement` with all but their weights filled in.
    images
        Number of images that the table is computed on, at least 1.
    level
        Share of resamples inside the interval, between 0 and 1.

    Returns
    -------
    low, high : pandas.DataFrame
        Like the table itself. A resample in which a cell is undefined is left out of that cell.
    """
    _check_settings(images, resamples, level)
    parts = [statistic(weights=chunk) for chunk in weights(images, resamples, seed)]
    terms, columns = parts[0].loc[0].index, parts[0].columns
    values = np.concatenate([part.to_numpy().reshape(-1, len(terms), len(columns)) for part in parts])
    tail = (1 - level) / 2
    low, high = percentiles(values, [tail, 1 - tail])
    return pd.DataFrame(low, terms, columns), pd.DataFrame(high, terms, columns)


def _check_settings(images: int, resamples: int, level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level is {level}: expected a share between 0 and 1")
    if images < 1 or resamples < 1:
        raise ValueError(f"images are {images} and resamples {resamples}: expected at least 1 of each")


def percentiles(values: np.ndarray, shares: list[float]) -> np.ndarray:
    """Return quantiles along the first axis without NaN; NaN where nothing is left (NumPy would warn)."""
    empty = np.isnan(values).all(axis=0)
    quantiles = np.nanquantile(np.where(empty, 0, values), shares, axis=0)
    return np.where(empty, np.nan, quantiles)


def resampled(groups: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return how often each image counts: once in the first row, and as drawn in as many rows more, float64.

    ``groups``, int (n,): images of one number are drawn together.
    """
    codes = np.unique(groups, return_inverse=True)[1]
    chunks = [chunk[:, codes] for chunk in weights(codes.max() + 1, resamples, seed)]
    return np.concatenate([np.ones((1, len(codes))), *chunks])


def ends(values: np.ndarray) -> tuple[float, float, float]:
    """Return the first of the values (1 + resamples,) and the 95 % interval of the others, NaN where it is NaN."""
    if np.isnan(values[0]):
        return (np.nan,) * 3
    return (float(values[0]), *map(float, percentiles(values[1:], [0.025, 0.975])))


def mean_intervals(
    values: pd.DataFrame,
    *,
    groups: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    """Mean of each column over images, with its percentile interval (Efron 1979, Annals of Statistics 7:1-26).

    Returns
    -------
    pandas.DataFrame
        One row per column of `values`: ``value``, ``low``, ``high``, and ``images``, how many have a value. NaN are
        left out of their column; the interval, which holds for its column alone, is NaN where fewer than 2 groups have
        a value, and too narrow for few (see the module).
    """
    sums, counts = _group_sums(_checked(values), groups)

    def means(weights: np.ndarray | None) -> pd.DataFrame:
        return make_table([sums, counts], lambda s, n: ratio(s, n)[..., None], values.columns, ["value"], weights)

    low, high = interval(means, len(sums), resamples=resamples, seed=seed, level=level)
    defined = _in_two_groups(counts)
    return means(None).assign(
        low=np.where(defined, low["value"], np.nan),
        high=np.where(defined, high["value"], np.nan),
        images=counts.sum(axis=0).astype(int),
    )


def coverage(images: int, level: float = 0.95) -> float:
    r"""How often a percentile interval of the mean of normal values holds the true mean, a share; skewed values: less.

    With few images it is less than `level`. A resampled mean is spread by :math:`\hat\sigma / \sqrt n`, where
    :math:`\hat\sigma` divides by :math:`n`, and its quantiles are nearly those :math:`z` of the normal distribution
    (Hesterberg 2015, The American Statistician 69:371-386, narrowness bias); of a sample mean, Student's distribution
    :math:`T_{n-1}` says how far it is off:

    .. math:: 2\, T_{n-1}\!\left(z \sqrt{(n - 1) / n}\right) - 1.

    Parameters
    ----------
    images
        How many are drawn independently, groups of near copies counted once; at least 2.
    level
        What the interval promises, between 0 and 1.
    """
    from scipy import stats

    _check_settings(images, 1, level)
    if images < 2:
        raise ValueError("images is 1: expected at least 2 for an interval")
    reach = stats.norm.ppf((1 + level) / 2) * math.sqrt((images - 1) / images)
    return float(2 * stats.t.cdf(reach, images - 1) - 1)


def differences(
    values: pd.DataFrame,
    against: str,
    *,
    groups: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> pd.DataFrame:
    r"""Mean difference of each column to one column, with simultaneous intervals and adjusted p-values.

    The studentised bootstrap of the largest :math:`|t|`, in a single step (Westfall and Young 1993, Resampling-Based
    Multiple Testing; Romano and Wolf 2005, Econometrica 73:1237-1282, the first of their steps). With the mean
    difference :math:`m_j` of column :math:`j`, its standard error :math:`s_j`, and a star for those of a resample,

    .. math:: t^*_j = |m^*_j - m_j| / s^*_j, \qquad
              p_j = \frac{1 + \#\{\max_k t^*_k \ge |m_j| / s_j\}}{1 + \mathrm{resamples}},

    and the interval is :math:`m_j \pm c\, s_j`, with the quantile :math:`c` of :math:`\max_k t^*_k` for which it leaves
    out 0 exactly where :math:`p_j \le 1 - \mathrm{level}`. All columns are resampled alike, which accounts for what
    they have in common.

    Parameters
    ----------
    against
        The column that is taken from each other one.
    level
        Probability that all intervals hold together, between 0 and 1; for a high one few resamples are a ValueError.

    Returns
    -------
    pandas.DataFrame
        One row per other column: ``difference`` over the images where both are defined, ``low``, ``high``, ``p``, and
        ``images``, how many those are. Where they are in fewer than 2 groups, ``low``, ``high`` and ``p`` are NaN.

    Notes
    -----
    The standard error is that of a mean over groups, :math:`s^2 = \sum_g w_g (d_g - m n_g)^2 / (\sum_g w_g n_g)^2` with
    the sum :math:`d_g` of a group's differences, their number :math:`n_g`, and :math:`w_g` how often it was drawn.

    A resample may miss the few images that make a column vary. Its :math:`t^*` would grow without bounds, and with it
    every interval, so :math:`s^*` is taken to be at least `FLOOR` times :math:`s`; else that is hardly ever reached.

    With 8 columns of normal differences, intervals hold together as often as they say from 20 images on; with
    exponential ones, at a level of 0.95, 90 times of 100 for 20 images and 93 times for 40.

    A column whose difference is the same in all images, but for rounding, has no standard error and no part in the
    maximum. Its interval is the difference itself. Its p is 1 if that is 0; else :math:`|t|` is infinite, and p the
    smallest that the resamples allow, 1 / (1 + resamples).
    """
    gaps, rounding = _gaps(values, against)
    _check_settings(len(gaps), resamples, level)
    if _rank(resamples, level) > resamples:
        enough = math.ceil(level / (1 - level) - 1e-9)
        raise ValueError(f"resamples are {resamples}: expected at least {enough} for a level of {level}")
    mean = gaps.mean().to_numpy()
    residuals, counts = _group_sums(gaps - mean, groups)
    _, error = _means_and_errors(residuals, counts, np.ones((1, len(counts))))
    defined = _in_two_groups(counts)
    constant = defined & (error[0] <= rounding)
    half, p = np.full((2, len(mean)), np.nan)
    half[constant] = 0
    p[constant] = np.where(np.abs(mean) <= rounding, 1, 1 / (1 + resamples))[constant]
    varied = defined & ~constant
    if varied.any():
        maxima = _largest_t(residuals[:, varied], counts[:, varied], resamples, seed)
        half[varied] = error[0, varied] * np.append(maxima, np.inf)[_rank(len(maxima), level) - 1]
        as_large = maxima >= np.abs(mean[varied] / error[0, varied])[:, None]
        p[varied] = (1 + as_large.sum(axis=1)) / (1 + len(maxima))
    columns = {"difference": mean, "low": mean - half, "high": mean + half, "p": p, "images": gaps.notna().sum()}
    return pd.DataFrame(columns, gaps.columns)


def _rank(resamples: int, level: float) -> int:
    """Which of the sorted maxima, from 1, is exceeded by a share of at most 1 - level, the data counted as one more."""
    return math.ceil(level * (1 + resamples) - 1e-9)


def _gaps(values: pd.DataFrame, against: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Differences of the other columns to one, and how much of each may be rounding."""
    values = _checked(values)
    if against not in values.columns or values.shape[1] < 2:
        raise ValueError(f"values have the columns {', '.join(map(str, values))}: expected {against!r} and another")
    one, others = values[against], values.drop(columns=against)
    largest = np.fmax(others.abs().max().to_numpy(), one.abs().max())
    return others.sub(one, axis=0), ROUNDING * largest


def _largest_t(residuals: np.ndarray, counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Sorted maxima of |t*| over columns, of the resamples in which any column is defined."""
    _, error = _means_and_errors(residuals, counts, np.ones((1, len(counts))))
    maxima = []
    for chunk in weights(len(counts), resamples, seed):
        mean, own_error = _means_and_errors(residuals, counts, chunk)
        maxima.append(np.fmax.reduce(np.abs(mean) / np.maximum(own_error, FLOOR * error), axis=1))
    found = np.concatenate(maxima)
    return np.sort(found[~np.isnan(found)])


def _means_and_errors(sums: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each column in each resample, and its standard error, each (resamples, columns)."""
    number = weights @ counts
    mean = ratio(weights @ sums, number)
    squares = weights @ sums**2 - 2 * mean * (weights @ (sums * counts)) + mean**2 * (weights @ counts**2)
    return mean, ratio(np.sqrt(np.maximum(squares, 0)), number)


def _group_sums(values: pd.DataFrame, groups: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Sum of the defined values of each group and column, and their number, each float64 (groups, columns)."""
    groups = np.arange(len(values)) if groups is None else np.asarray(groups)
    if groups.shape != (len(values),) or groups.dtype.kind not in "iu":
        raise ValueError(f"groups are {groups.dtype} {groups.shape}: expected integers ({len(values)},), one per image")
    numbers, codes = np.unique(groups, return_inverse=True)
    sums, counts = np.zeros((2, len(numbers), values.shape[1]))
    np.add.at(sums, codes, values.fillna(0).to_numpy())
    np.add.at(counts, codes, values.notna().to_numpy())
    return sums, counts


def _in_two_groups(counts: np.ndarray) -> np.ndarray:
    return (counts > 0).sum(axis=0) >= 2


def _checked(values: pd.DataFrame) -> pd.DataFrame:
    for name, column in values.items():
        if not pd.api.types.is_numeric_dtype(column):
            raise ValueError(f"column {name!r} is {column.dtype}: expected numbers, NaN where there is none")
        if np.isinf(column).any():
            raise ValueError(f"column {name!r} holds infinity: expected finite numbers, NaN where there is none")
    return values.astype(np.float64)
