"""Maps that hold no truth about an image, or less of it: guided by them, attention must not get better.

All take maps, float32 (n, c, h, w) in [0, 1] of n images and c characteristics, and return as many. An image without
a characteristic has an empty map of it, before and after. Give them only the images of the fold that is trained on.
"""

import numpy as np
import torch
from torch.nn import functional

SPREAD = 0.25
"""Standard deviation of the centred Gaussian as a share of a side."""


def of_another_image(maps: np.ndarray, present: np.ndarray, *, seed: int) -> np.ndarray:
    """Return for each image and characteristic the map of that characteristic in another image, drawn at random.

    ``present`` is bool (n, c). All maps of a characteristic are used, each once, so their sizes stay the same.

    Raises
    ------
    ValueError
        If a characteristic is in one image alone: there is no other.
    """
    generator, moved = np.random.default_rng(seed), np.zeros_like(maps)
    for number in range(maps.shape[1]):
        rows = generator.permutation(np.flatnonzero(present[:, number]))
        if len(rows) == 1:
            raise ValueError(f"characteristic {number} is in one image: expected none or at least two")
        moved[rows, number] = maps[np.roll(rows, 1), number]  # a single cycle, so that no image keeps its own
    return moved


def mean_of_disease(maps: np.ndarray, present: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return for each image and characteristic the mean map of that characteristic in the images of its disease.

    ``labels`` are int (n,). Where no other image of the disease has the characteristic, that is its own map.
    """
    means = np.zeros_like(maps)
    for disease in np.unique(labels):
        shown = present & (labels == disease)[:, None]
        total = np.einsum("nc,nchw->chw", shown.astype(maps.dtype), maps)
        mean = total / np.maximum(shown.sum(0), 1)[:, None, None]
        means[shown] = np.broadcast_to(mean, maps.shape)[shown]
    return means


def centred_gaussian(maps: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return for each characteristic that is present the same Gaussian in the middle, about 1 at its peak."""
    down, across = (((np.arange(side) + 0.5) / side - 0.5) / SPREAD for side in maps.shape[2:])
    hill = np.exp(-(down[:, None] ** 2 + across**2) / 2)
    return (present[:, :, None, None] * hill).astype(maps.dtype)


def coarsened(maps: np.ndarray, side: int) -> np.ndarray:
    """Return maps of the same size whose pixels are averaged over a grid of side times side cells."""
    cells = functional.adaptive_avg_pool2d(torch.from_numpy(maps), side)
    return functional.interpolate(cells, size=maps.shape[2:], mode="nearest-exact").numpy()
