"""How far two readers agree who score the same images on a scale of steps, such as 0 to 3."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medxai.evaluation.sums import make_table, ratio

COLUMNS = ("weighted_kappa", "correlation", "mean_difference", "same")


def agreement(
    first: np.ndarray, second: np.ndarray, names: Sequence[str], *, weights: np.ndarray | None = None
) -> pd.DataFrame:
    """Compare the scores of two readers for each of several places, and for their sum over the places.

    Parameters
    ----------
    first, second
        Scores, int (n, places).
    names
        Of the places.
    weights
        How often each image counts, float (resamples, n), as `medxai.evaluation.bootstrap.weights`; ``None``: once.

    Returns
    -------
    pandas.DataFrame
        Rows are the places, then ``sum``; with weights, those of each resample. Columns ``weighted_kappa`` (Cohen 1968,
        Psychological Bulletin 70:213, with squared distances as weights), ``correlation`` (Pearson's),
        ``mean_difference`` (second less first) and ``same`` (share of equal scores). Kappa is NaN where chance alone
        gives no disagreement, the correlation where a reader gives one score to all.

    Raises
    ------
    ValueError
        If the scores are not of one shape (n, places).
    """
    if first.shape != second.shape or first.shape[1:] != (len(names),):
        raise ValueError(f"scores are {first.shape} and {second.shape}: expected (n, {len(names)}) twice")
    x, y = (np.column_stack([scores, scores.sum(axis=1)]).astype(float) for scores in (first, second))
    return make_table([np.ones_like(x), x, y, x**2, y**2, x * y, x == y], _finish, [*names, "sum"], COLUMNS, weights)


def _finish(
    n: np.ndarray, x: np.ndarray, y: np.ndarray, xx: np.ndarray, yy: np.ndarray, xy: np.ndarray, same: np.ndarray
) -> np.ndarray:
    """Turn sums (resamples, places) into scores (resamples, places, columns)."""
    mean_x, mean_y, mean_xx, mean_yy, mean_xy, share = (ratio(total, n) for total in (x, y, xx, yy, xy, same))
    observed, expected = mean_xx + mean_yy - 2 * mean_xy, mean_xx + mean_yy - 2 * mean_x * mean_y
    spread = np.sqrt(np.maximum(mean_xx - mean_x**2, 0) * np.maximum(mean_yy - mean_y**2, 0))
    return np.stack(
        [1 - ratio(observed, expected), ratio(mean_xy - mean_x * mean_y, spread), mean_y - mean_x, share], axis=-1
    )
