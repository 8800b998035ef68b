"""Numbers that tell poor photographs without any network: how sharp, how exposed, how natural.

Pictures are uint8 (n, h, w, 3), RGB. Luminance is that of ITU-R BT.601, 0 to 255.
"""

from collections.abc import Callable

import cv2
import numpy as np
from scipy.special import gamma

LUMINANCE = np.array([0.299, 0.587, 0.114])
BINS = 16
SHAPES = np.arange(0.2, 10.001, 0.001)
"""Shapes of generalised Gaussians among which moments choose, as in the authors' program."""
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Neighbours whose products are taken, in rows and columns: horizontal, vertical, and both diagonals."""


def grey(pictures: np.ndarray) -> np.ndarray:
    """Return the luminance, float64 (n, h, w) in [0, 255]."""
    return pictures.astype(np.float64) @ LUMINANCE


def laplacian_variance(pictures: np.ndarray) -> np.ndarray:
    """Return the variance of the Laplacian, float64 (n, 1): little where nothing is sharp.

    Pech-Pacheco et al. (2000), Proc. 15th ICPR 3:314-317, equation for LAPV; the filter has four neighbours.
    """
    return np.array([[cv2.Laplacian(one, cv2.CV_64F).var()] for one in grey(pictures)])


def exposure_histogram(pictures: np.ndarray) -> np.ndarray:
    """Return which share of the pixels lies in each of `BINS` equal steps of luminance, float64 (n, BINS)."""
    shares = [np.histogram(one, BINS, (0, 256))[0] / one.size for one in grey(pictures)]
    return np.array(shares)


def brisque_features(pictures: np.ndarray) -> np.ndarray:
    """Return the 36 features of BRISQUE, float64 (n, 36): of each of two scales, 2 + 4 x 4.

    Mittal, Moorthy and Bovik (2012), IEEE Transactions on Image Processing 21:4695-4708, table I: shape and variance of
    the normalised luminance (equations 1 to 3), then shape, mean and both variances of the products of neighbours
    (equations 7 to 10). The second scale is half the size. The authors' regression was learnt on photographs of
    outdoor scenes; whoever uses these features learns another one.
    """
    return np.array([np.concatenate([_of_scale(one), _of_scale(_halved(one))]) for one in grey(pictures)])


def _halved(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (image.shape[1] // 2, image.shape[0] // 2), interpolation=cv2.INTER_AREA)


def normalised_luminance(image: np.ndarray) -> np.ndarray:
    """Return the luminance less its local mean, over its local deviation plus 1: equations 1 to 3; float64 (h, w)."""
    local = (7, 7), 7 / 6
    mean = cv2.GaussianBlur(image, *local, borderType=cv2.BORDER_REFLECT_101)
    square = cv2.GaussianBlur(image**2, *local, borderType=cv2.BORDER_REFLECT_101)
    return (image - mean) / (np.sqrt(np.maximum(square - mean**2, 0)) + 1)


def _of_scale(image: np.ndarray) -> np.ndarray:
    values = normalised_luminance(image)
    height, width = values.shape
    found = list(gaussian_fit(values))
    for down, right in SHIFTS:
        first = values[: height - down, max(-right, 0) : width - max(right, 0)]
        second = values[down:, max(right, 0) : width - max(-right, 0)]
        found += asymmetric_fit(first * second)
    return np.array(found)


def gaussian_fit(values: np.ndarray) -> tuple[float, float]:
    """Return shape and variance of the generalised Gaussian of the same moments (shape 2 is a Gaussian, 1 Laplace).

    Sharifi and Leon-Garcia (1995), IEEE Transactions on Circuits and Systems for Video Technology 5:52-56: the ratio of
    E|x| squared to E x² decides. Values that are all zero have shape NaN.
    """
    variance, spread = np.mean(values**2), np.mean(np.abs(values))
    if not variance > 0:
        return np.nan, 0.0
    return float(SHAPES[np.argmin(np.abs(RATIOS - spread**2 / variance))]), float(variance)


def asymmetric_fit(values: np.ndarray) -> tuple[float, float, float, float]:
    """Return shape, mean, and the variances left and right of zero of an asymmetric generalised Gaussian, by moments.

    Lasmar, Stitou and Berthoumieu (2009), as BRISQUE uses it, equations 8 to 10. Shape and mean are NaN where one side
    is empty.
    """
    left, right = (np.mean(side**2) if len(side) else 0.0 for side in (values[values < 0], values[values > 0]))
    if not (left > 0 and right > 0):
        return np.nan, np.nan, float(left), float(right)
    skew = np.sqrt(left / right)
    spread = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
    wanted = spread * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = SHAPES[np.argmin(np.abs(RATIOS - wanted))]
    mean = (np.sqrt(right) - np.sqrt(left)) * gamma(2 / shape) / np.sqrt(gamma(1 / shape) * gamma(3 / shape))
    return float(shape), float(mean), float(left), float(right)


RATIOS = gamma(2 / SHAPES) ** 2 / (gamma(1 / SHAPES) * gamma(3 / SHAPES))
"""E|x| squared over E x² of generalised Gaussians of `SHAPES`."""

FEATURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "variance of the Laplacian": lambda pictures: np.log1p(laplacian_variance(pictures)),
    "exposure histogram": exposure_histogram,
    "BRISQUE features": brisque_features,
}
"""What gives numbers for pictures, by name; a variance that spans powers of ten by its logarithm."""
