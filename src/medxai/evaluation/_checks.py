"""Checked arguments of the metrics of maps."""

import numpy as np


def finite_maps(maps: np.ndarray, what: str, axes: str, ndim: int | None = None) -> np.ndarray:
    """Return maps, anything that numpy takes, as a finite float64 array of `ndim` axes (None: any from 2).

    A ValueError says what is wrong of `what`, and which shape was expected: `axes`, in words.
    """
    values = np.asarray(maps, dtype=np.float64)
    if values.ndim < 2 or (ndim is not None and values.ndim != ndim) or 0 in values.shape:
        raise ValueError(f"{what} have the shape {values.shape}: expected {axes}, none of it 0")
    if not np.isfinite(values).all():
        raise ValueError(f"{what} hold NaN or infinity: expected finite values")
    return values
