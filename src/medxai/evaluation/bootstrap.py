"""The bootstrap over images: resampling weights from a seed, and percentile intervals."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

CHUNK = 500
"""Resamples that are worked on together: bounds the memory, changes no result."""


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
        Number of images that the table is computed on.
    resamples
        Number of resamples.
    seed
        Two tables with the same seed and images are resampled alike, so their difference can be, too.
    level
        Share of resamples inside the interval, between 0 and 1.

    Returns
    -------
    low, high : pandas.DataFrame
        Like the table itself. A resample in which a cell is undefined is left out of that cell.

    Raises
    ------
    ValueError
        If `level` is not between 0 and 1, or there is nothing to resample.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is a share between 0 and 1, not {level}")
    if images < 1 or resamples < 1:
        raise ValueError(f"a bootstrap needs images and resamples, not {images} and {resamples}")
    parts = [statistic(weights=chunk) for chunk in weights(images, resamples, seed)]
    terms, columns = parts[0].loc[0].index, parts[0].columns
    values = np.concatenate([part.to_numpy().reshape(-1, len(terms), len(columns)) for part in parts])
    tail = (1 - level) / 2
    low, high = _percentiles(values, [tail, 1 - tail])
    return pd.DataFrame(low, terms, columns), pd.DataFrame(high, terms, columns)


def _percentiles(values: np.ndarray, shares: list[float]) -> np.ndarray:
    """Quantiles along the first axis without NaN; NaN where nothing is left (NumPy would warn)."""
    empty = np.isnan(values).all(axis=0)
    quantiles = np.nanquantile(np.where(empty, 0, values), shares, axis=0)
    return np.where(empty, np.nan, quantiles)
