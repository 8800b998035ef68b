"""Simulated gaze with a habit, and how maps score that know the habit and nothing else.

A reader looks where one always looks, both lungs of a chest radiograph, and for part of the time at the finding of the
image. Nothing here is a radiograph; only places are drawn.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import ndimage

from medxai.evaluation import bootstrap, gaze_metrics

SIDE = 48
FIXATIONS = 60
"""Of each image, on average; half of them at the finding."""
BLUR = 0.05
"""Width of the Gaussian that makes a density of fixations, as a share of the side."""
SCORES = {
    "NSS": lambda maps, looks, density: gaze_metrics.nss(maps, looks),
    "CC": lambda maps, looks, density: gaze_metrics.correlation(maps, density),
    "AUC-Judd": lambda maps, looks, density: gaze_metrics.auc_judd(maps, looks),
    "sAUC": lambda maps, looks, density: gaze_metrics.shuffled_auc(maps, looks),
    "sNCC": lambda maps, looks, density: gaze_metrics.shuffled_correlation(maps, density),
    "sNCC, to the mean": lambda maps, looks, density: gaze_metrics.shuffled_correlation(
        maps, density, against="mean gaze"
    ),
}
"""What is shown of `medxai.evaluation.gaze_metrics`, of fixations or of their density."""


class Looked(NamedTuple):
    """Fixations at each pixel and where the finding is, each (n, SIDE, SIDE), and the outline of the lungs."""

    fixations: np.ndarray
    findings: np.ndarray
    lungs: np.ndarray

    @property
    def density(self) -> np.ndarray:
        """The fixations, each blurred."""
        return ndimage.gaussian_filter(self.fixations, (0, BLUR * SIDE, BLUR * SIDE))


def looked(images: int, seed: int = 0) -> Looked:
    """Draw the gaze on some images."""
    draw = np.random.default_rng(seed)
    down, right = np.mgrid[:SIDE, :SIDE] / SIDE
    lungs = np.minimum(*[((right - side) / 0.16) ** 2 + ((down - 0.5) / 0.32) ** 2 for side in (0.3, 0.7)]) < 1
    cells = np.argwhere(lungs) / SIDE
    places = cells[draw.integers(len(cells), size=images)][:, :, None, None]
    findings = np.exp(-((down - places[:, 0]) ** 2 + (right - places[:, 1]) ** 2) / (2 * 0.06**2))
    habit = ndimage.gaussian_filter(lungs.astype(np.float64), 2)
    share = (habit / habit.sum() + findings / findings.sum((1, 2), keepdims=True)) / 2
    return Looked(draw.poisson(FIXATIONS * share).astype(np.float64), findings, lungs)


def maps_that_know(gaze: Looked) -> dict[str, np.ndarray]:
    """Return maps by what they know: the finding, that of another image, the lungs, where one looks on average."""

    def all_alike(one: np.ndarray) -> np.ndarray:
        return np.broadcast_to(one, gaze.fixations.shape)

    return {
        "The finding of the image": gaze.findings,
        "▸ Another image's finding": np.roll(gaze.findings, 1, axis=0),
        "▸ The outline of the lungs": all_alike(gaze.lungs.astype(np.float64)),
        "▸ The mean gaze": all_alike(gaze.density.mean(0)),
    }


def scored(gaze: Looked, resamples: int) -> pd.DataFrame:
    """Score them: means over images with their intervals, tidy, ``row`` being the map."""
    parts = []
    for row, maps in maps_that_know(gaze).items():
        values = {name: score(maps, gaze.fixations, gaze.density) for name, score in SCORES.items()}
        means = bootstrap.mean_intervals(pd.DataFrame(values), resamples=resamples)
        parts.append(means.rename_axis("metric").reset_index().assign(row=row))
    return pd.concat(parts, ignore_index=True)[["row", "metric", "value", "low", "high"]]
