"""Simulated breast ultrasound, laid out like MedMNIST, for readers without any file.

A dark lesion lies in speckled tissue. Its margin is the class: spiculated, as of many malignant lesions, or smooth
(Stavros et al. 1995, Radiology 196:123). Area, darkness and brightness of the picture do not depend on the class, so
that only the shape tells it. Speckle is the envelope of a field of random scatterers, complex and Gaussian, blurred by
the pulse and compressed to decibels (Wagner et al. 1983, IEEE Transactions on Sonics and Ultrasonics 30:156).

Each picture has a random state of its own. Lengths are in sides of the picture.
"""

import io

import cv2
import numpy as np

from medxai.data.masks import area_average
from medxai.data.medmnist import SIDES, SPLITS

IMAGES = dict(zip(SPLITS, (546, 78, 156), strict=True))
"""As many as BreastMNIST has; every other one is spiculated."""
GRID = 128
"""Least side of the grid of scatterers, in cells: smaller pictures average over it."""
PULSE = (0.012, 0.007)
"""Standard deviation of the pulse, across the beam and along it."""
DYNAMIC_RANGE = 50
"""From black to white, in dB."""
ANGLES = np.linspace(0, 2 * np.pi, 360, endpoint=False)
WAVES = np.arange(2, 5)[:, None]
"""Of the outline of any lesion, in periods a turn."""


def npz(side: int, *, seed: int, images: dict[str, int] = IMAGES) -> bytes:
    """Return the content of a file that `medxai.data.medmnist.read` reads: images, labels and true masks.

    Parameters
    ----------
    side
        Of the pictures in pixels, one of `SIDES`.
    seed
        0 or more. The same seed gives the same bytes, and fewer images are the first of more.
    images
        How many, by split.
    """
    if side not in SIDES:
        raise ValueError(f"side is {side!r}: expected one of {', '.join(map(str, SIDES))}")
    arrays = {}
    for number, split in enumerate(SPLITS):
        labels = np.arange(images[split]) % 2
        drawn = [picture([seed, number, row], label == 0, side) for row, label in enumerate(labels)]
        arrays[f"{split}_images"], arrays[f"{split}_masks"] = map(np.stack, zip(*drawn, strict=True))
        arrays[f"{split}_labels"] = labels.astype(np.uint8)[:, None]
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def picture(seed: list[int], spiculated: bool, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a picture and the mask of its lesion, both uint8 (side, side)."""
    rng = np.random.default_rng(seed)
    cells = max(side, GRID)
    mask = _lesion(rng, spiculated, cells)
    tissue = cv2.resize(0.3 * rng.standard_normal((8, 4), np.float32), (cells, cells), interpolation=cv2.INTER_CUBIC)
    darkness = rng.uniform(0.08, 0.4)
    gain = rng.uniform(22, 28)
    decibels = 20 * np.log10(envelope(rng, np.exp(tissue) * (1 - mask * (1 - darkness))) + 1e-4)
    grey = np.clip((decibels + gain) / DYNAMIC_RANGE, 0, 1)
    return _eight_bit(grey, side), _eight_bit(mask, side)


def _eight_bit(values: np.ndarray, side: int) -> np.ndarray:
    """Bring values in [0, 1] to the size of the picture, and to 0 to 255."""
    return np.rint(255 * area_average(values, side)).astype(np.uint8)


def envelope(rng: np.random.Generator, echo: np.ndarray) -> np.ndarray:
    """Return the envelope of what scatterers send back, float32 (n, n), given how strongly they do, float32 (n, n).

    Where `echo` is a constant a, its square has the mean 2 a^2.
    """
    field = rng.standard_normal((*echo.shape, 2), np.float32) * echo[..., None]
    across, along = (_pulse(width * len(echo)) for width in PULSE)
    field = cv2.sepFilter2D(field, -1, across, along, borderType=cv2.BORDER_REFLECT)
    return np.hypot(field[..., 0], field[..., 1])


def _pulse(deviation: float) -> np.ndarray:
    """Return a Gaussian of a standard deviation in cells that keeps the variance of independent values."""
    kernel = cv2.getGaussianKernel(2 * round(4 * deviation) + 1, deviation)
    return kernel / np.linalg.norm(kernel)


def _lesion(rng: np.random.Generator, spiculated: bool, cells: int) -> np.ndarray:
    """Return the share of each cell that a lesion covers, float32 (cells, cells)."""
    radius = _margin(rng, spiculated)
    area = rng.uniform(0.06, 0.18)
    x, y = rng.uniform(0.42, 0.58, (2, 1))
    radius *= np.sqrt(area / (np.mean(radius**2) * np.pi))
    fine = 4 * cells  # a filled polygon includes its outline, which adds area to a long margin: a thin one adds little
    outline = fine * np.stack([x + radius * np.cos(ANGLES), y + radius * np.sin(ANGLES)], axis=1)
    canvas = np.zeros((fine, fine), np.uint8)
    cv2.fillPoly(canvas, [np.rint(16 * outline - 8).astype(np.int32)], 1, shift=4)
    return area_average(canvas, cells)


def _margin(rng: np.random.Generator, spiculated: bool) -> np.ndarray:
    """Return the distance of the margin from the middle of a lesion in each of the `ANGLES`: a wavy ellipse, perhaps
    with spikes."""
    stretch, turned = np.exp(rng.uniform(-0.25, 0.25)), ANGLES - rng.uniform(0, np.pi)
    radius = 1 / np.hypot(stretch * np.cos(turned), np.sin(turned) / stretch)
    waves = rng.normal(0, 0.05, (3, 1)) * np.cos(WAVES * ANGLES + rng.uniform(0, 2 * np.pi, (3, 1)))
    radius *= 1 + waves.sum(axis=0)
    if spiculated:
        spikes = rng.integers(5, 9)
        at = 2 * np.pi * (np.arange(spikes) + rng.uniform(-0.3, 0.3, spikes)) / spikes
        away = np.abs(np.angle(np.exp(1j * (ANGLES[:, None] - at))))
        height = rng.uniform(0.3, 1.05) * rng.uniform(0.6, 1.4, spikes)
        radius *= 1 + (height * np.exp(-away / rng.uniform(0.12, 0.2, spikes))).sum(axis=1)
    return radius
