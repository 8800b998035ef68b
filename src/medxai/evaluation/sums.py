"""Sums, and the ratios and tables that are made of them; undefined is NaN."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd


def make_table(
    sums: Sequence[np.ndarray], finish: Callable[..., np.ndarray], index: Sequence, columns: Sequence, weights
) -> pd.DataFrame:
    """Add up per-image `sums` (images, ...), plainly or by weights; `finish` makes (resamples, rows, columns) of it."""
    images = len(sums[0])
    if weights is None:
        return pd.DataFrame(finish(*[part.sum(axis=0, dtype=float)[None] for part in sums])[0], index, columns)
    weights = np.asarray(weights, dtype=np.float64)
    if weights.ndim != 2 or weights.shape[1] != images:
        raise ValueError(f"weights are {weights.shape}: expected (resamples, {images}), one column per image")
    totals = [(weights @ part.reshape(images, -1)).reshape(-1, *part.shape[1:]) for part in sums]
    values = finish(*totals)
    rows = pd.MultiIndex.from_product([range(len(values)), index], names=["resample", None])
    return pd.DataFrame(values.reshape(-1, len(columns)), rows, columns)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotient, NaN where the denominator is 0."""
    out = np.full(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)), np.nan)
    return np.divide(numerator, denominator, out=out, where=np.asarray(denominator) != 0)


def mean_std(values: np.ndarray, axis: int, ddof: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation along an axis, NaN left out."""
    known = np.isfinite(values)
    number = known.sum(axis=axis)
    mean = ratio(np.where(known, values, 0).sum(axis=axis), number)
    deviations = np.where(known, values - np.expand_dims(mean, axis), 0)
    return mean, np.sqrt(ratio((deviations**2).sum(axis=axis), np.maximum(number - ddof, 0)))
