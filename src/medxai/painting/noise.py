"""Random textures that the painters share: smooth noise, cells, scatter, domes. Arrays are float32 (height, width)."""

import zlib
from collections.abc import Iterable

import cv2
import numpy as np

Blob = tuple[float, float, float]
"""y, x and radius, in pixels."""


def generator(seed: int, name: str, purpose: str) -> np.random.Generator:
    """Return the random state of one image for one purpose: whatever else is drawn, it stays the same."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), zlib.crc32(purpose.encode())])


def fractal(shape: tuple[int, int], rng: np.random.Generator, cell_px: float, octaves: int = 4) -> np.ndarray:
    """Return smooth noise in [-1, 1]: random grids, enlarged and added, each with half the cell and half the weight.

    The coarsest of the `octaves` grids has bumps of `cell_px` pixels; those finer than a pixel and a half are left out.
    """
    total = np.zeros(shape, dtype=np.float32)
    for octave in range(octaves):
        cell = max(cell_px / 2**octave, 1.5)
        total += _smooth_grid(shape, rng, cell) / 2**octave
        if cell == 1.5:
            break
    return total / max(float(np.abs(total).max()), 1e-6)


def _smooth_grid(shape: tuple[int, int], rng: np.random.Generator, cell: float) -> np.ndarray:
    height, width = shape
    grid = rng.uniform(-1, 1, (int(height / cell) + 5, int(width / cell) + 5)).astype(np.float32)
    shift_y, shift_x = rng.uniform(1, 2, 2)
    to_grid = np.array([[1 / cell, 0, shift_x], [0, 1 / cell, shift_y]], dtype=np.float32)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(grid, to_grid, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT)


def cells(
    shape: tuple[int, int], rng: np.random.Generator, cell_px: float, where: tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Divide the picture into irregular cells, each around one of scattered seeds (Worley 1996).

    The mean distance of the seeds is `cell_px` pixels. `where` replaces the pixels' own (y, x), so that cells can be
    stretched, turned or bent.

    Returns
    -------
    nearest : numpy.ndarray
        Distance to the nearest seed in pixels.
    border : numpy.ndarray
        By how much the second-nearest seed is further: 0 on the border of a cell, about `cell_px` in its middle.
    number : numpy.ndarray
        Number of the nearest seed, int32.
    """
    cell = float(cell_px)
    y, x = where if where is not None else np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    y, x = (y - y.min()) / np.float32(cell) + 1, (x - x.min()) / np.float32(cell) + 1
    rows, columns = int(y.max()) + 3, int(x.max()) + 3
    jitter = rng.uniform(0, 1, (2, rows, columns)).astype(np.float32)
    row, column = y.astype(np.int32), x.astype(np.int32)
    nearest, second = np.full(shape, 9.0, np.float32), np.full(shape, 9.0, np.float32)
    number = np.zeros(shape, np.int32)
    for step in range(9):
        r, c = row + step // 3 - 1, column + step % 3 - 1
        distance = np.hypot(r + jitter[0][r, c] - y, c + jitter[1][r, c] - x)
        closer = distance < nearest
        second = np.where(closer, nearest, np.minimum(second, distance))
        number = np.where(closer, r * columns + c, number)
        nearest = np.where(closer, distance, nearest)
    return nearest * np.float32(cell), (second - nearest) * np.float32(cell), number


def blobs(
    mask: np.ndarray, rng: np.random.Generator, radius_px: float | tuple[float, float], spacing: float
) -> list[Blob]:
    """Scatter circles inside a region, about `spacing` pixels apart; at least one where the region is not empty.

    `mask` is the chance, in [0, 1], that a circle may be centred at a pixel; `radius_px` the radius, or its smallest
    and largest value.
    """
    height, width = mask.shape
    spacing = max(spacing, 1.0)
    y, x = np.mgrid[-1 : height / spacing + 1, -1 : width / spacing + 1].reshape(2, -1)
    x = x + 0.5 * (y % 2)
    points = np.stack([y, x]) + rng.uniform(-0.38, 0.38, (2, y.size)) + rng.uniform(0, 1, (2, 1))
    points = points[:, rng.permutation(points.shape[1])] * spacing
    inside = ((points >= 0) & (points < np.array([[height], [width]]))).all(axis=0)
    points = points[:, inside]
    keep = rng.uniform(0, 1, points.shape[1]) < mask[points[0].astype(int), points[1].astype(int)]
    points = points[:, keep]
    if not points.size and mask.max() > 0:
        points = _middle(mask)
    low, high = np.broadcast_to(np.asarray(radius_px, dtype=float), 2)
    radii = rng.uniform(low, high, points.shape[1])
    return [(float(y), float(x), float(r)) for (y, x), r in zip(points.T, radii, strict=True)]


def _middle(mask: np.ndarray) -> np.ndarray:
    inside = (mask >= 0.5 * mask.max()).astype(np.uint8)
    depth = cv2.distanceTransform(cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 3)
    return np.array(np.unravel_index(depth[1:-1, 1:-1].argmax(), mask.shape), dtype=float)[:, None]


def soft(mask: np.ndarray, px: float) -> np.ndarray:
    """Return `mask` blurred with a Gaussian of standard deviation `px`."""
    if px <= 0.05:
        return mask.astype(np.float32)
    return cv2.GaussianBlur(mask.astype(np.float32), (0, 0), float(px))


def step(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """Return 0 below `low`, 1 above `high`, and a smooth step between; `low` may exceed `high` to fall instead."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def dome(
    shape: tuple[int, int], centres: Iterable[tuple[float, float]], radii: Iterable[float], power: float = 1.0
) -> np.ndarray:
    """Return round bumps of height 1 at the (y, x) `centres`, 0 outside `radii`, with a smooth foot.

    Where bumps meet, the higher one counts. Multiply by the height wanted. A `power` below 1 flattens the top.
    """
    relief = np.zeros(shape, dtype=np.float32)
    for (y, x), radius in zip(centres, radii, strict=True):
        top, left = max(int(y - radius), 0), max(int(x - radius), 0)
        window = relief[top : int(y + radius) + 2, left : int(x + radius) + 2]
        rows, columns = np.ogrid[: window.shape[0], : window.shape[1]]
        squared = ((rows + top - y) ** 2 + (columns + left - x) ** 2) / radius**2
        bump = np.clip(1 - squared, 0, 1) ** (1.5 * power)
        np.maximum(window, bump.astype(np.float32), out=window)
    return relief
