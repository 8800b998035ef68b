"""Where a reader looked: one table of fixations for any source, and the maps that are made of it.

A table has a row for each fixation and the `COLUMNS` ``image`` (its name), ``x`` and ``y`` (in pixels of the image,
from its upper left corner), ``start`` and ``duration`` (in seconds). Images are squares of one side.

Karargyris et al. 2021 (Scientific Data 8:92) call the map of one fixation temporal, that of all of them static. Their
public code counts fixations and blurs them by 150 pixels of images of about 3,000; here each weighs as long as it took,
and the width is the visual angle that the eye sees sharply.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from medxai.data import tables
from medxai.errors import DataError

COLUMNS = ("image", "x", "y", "start", "duration")

FOVEA = 1.0
"""In degrees: within it one sees sharply, and trackers err by about as much."""
DISTANCE = 650.0
"""Of the eye from the screen, in mm. This and the next two are usual ones: the data sets do not hold them."""
PIXEL = 0.277
"""Of a screen 24 inches wide with 1,920 x 1,080 pixels, in mm."""
SHOWN = 1024
"""Longer side of a film on the screen in pixels, as in Karargyris et al."""


def visual_angle(degrees: float) -> float:
    """Return how much of a film an angle covers, as a share of its longer side."""
    return 2 * DISTANCE * math.tan(math.radians(degrees) / 2) / (PIXEL * SHOWN)


SIGMA = visual_angle(FOVEA)
"""Standard deviation of a fixation, in sides of the image: about 0.04; that of Karargyris et al. is about 0.05."""


def checked(fixations: pd.DataFrame, names: Sequence[str], side: int) -> pd.DataFrame:
    """Return a table of fixations with the `COLUMNS` alone, in order of image and start.

    Raises
    ------
    DataError
        In one sentence, if a column is missing, a value is no number, a fixation lies off its image or has a negative
        duration, or if an image is not one of `names`.
    """
    tables.require(fixations, COLUMNS, "the table of fixations")
    table = fixations[list(COLUMNS)].reset_index(drop=True)
    if len(unknown := table["image"][~table["image"].isin(names)]):
        raise DataError(f"a fixation is on {unknown.iloc[0]!r}: expected one of the {len(names)} images")
    table[list(COLUMNS[1:])] = tables.numbers(table, COLUMNS[1:])
    wrong = {
        "a value that is no number": ~np.isfinite(table[list(COLUMNS[1:])]).all(axis=1),
        "a negative duration": table["duration"] < 0,
        f"a place off the image of {side} x {side} pixels": ~table[["x", "y"]]
        .apply(lambda at: at.between(0, side))
        .all(axis=1),
    }
    for what, rows in wrong.items():
        if rows.any():
            row = table[rows].iloc[0]
            raise DataError(
                f"a fixation on {row['image']} has {what}: x {row['x']:g}, y {row['y']:g}, duration {row['duration']:g}"
            )
    order = table["image"].map({name: i for i, name in enumerate(names)})
    return table.assign(order=order).sort_values(["order", "start"], kind="stable", ignore_index=True)[list(COLUMNS)]


def static_maps(fixations: pd.DataFrame, names: Sequence[str], side: int, *, sigma: float = SIGMA) -> np.ndarray:
    """Return for each image the sum of Gaussians at its fixations, weighted by duration.

    Parameters
    ----------
    fixations, names, side
        As of `checked`.
    sigma
        Standard deviation of a Gaussian, in sides of the image.

    Returns
    -------
    numpy.ndarray
        float32 (n, side, side) with maximum 1 in each map; NaN where nobody looked at an image.

    Raises
    ------
    DataError
        As `checked` does.
    """
    by_image = dict(list(checked(fixations, names, side).groupby("image", sort=False)))
    maps = np.full((len(names), side, side), np.nan, np.float32)
    for row, name in enumerate(names):
        if name in by_image:
            mine = by_image[name]
            across, down = (_profiles(mine[axis], side, sigma) for axis in "xy")
            total = (down * mine["duration"].to_numpy()[:, None]).T @ across
            maps[row] = total / total.max() if total.any() else np.nan
    return maps


def temporal_maps(fixations: pd.DataFrame, name: str, side: int, *, sigma: float = SIGMA) -> np.ndarray:
    """Return a map for each fixation on one image, in order of time: float32 (fixations, side, side), at most 1.

    Their sum weighted by duration, divided by its maximum, is the static map. Parameters are as of `static_maps`.
    """
    mine = checked(fixations[fixations["image"] == name] if "image" in fixations else fixations, [name], side)
    across, down = (_profiles(mine[axis], side, sigma) for axis in "xy")
    return (down[:, :, None] * across[:, None, :]).astype(np.float32)


def _profiles(at: pd.Series, side: int, sigma: float) -> np.ndarray:
    """Return Gaussians of height 1 at the middles of pixels, float64 (fixations, side)."""
    middles = np.arange(side) + 0.5
    return np.exp(-0.5 * ((middles - at.to_numpy()[:, None]) / (sigma * side)) ** 2)
