"""Does the score change where a map says that it should? Metrics that change an image and look at the score.

All take one image and many maps of it, one a method. What does not depend on the maps is computed once for all of
them, with the same random draws, so that methods can be compared in pairs.

Common parameters: ``score`` takes images (n, c, h, w) and returns the logit or the probability of the class that is
explained, float (n,), of a model in evaluation mode; ``image`` is a finite float tensor (c, h, w); ``maps`` are finite
(m, h, w), positive where a pixel speaks for the class; ``fill`` is what covered pixels become, a number or a tensor
that broadcasts to the image, 0 (the mean colour of normalised images) if not given; ``seed`` gives the random draws;
``batch_size`` counts changed images that go forward at once. All raise ValueError, in one sentence, where an argument
is none of these, or a score is not finite. ``steps`` is the number of equal shares of the pixels, to the nearest pixel,
at least 1.

The network has seen no covered image in training, so part of every change is the cover's and not the map's (Hooker et
al. 2019). What is said of one image with one fill need not hold with another.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from medxai.attribution.perturbation import grid
from medxai.errors import positive
from medxai.evaluation._checks import finite_maps
from medxai.evaluation.sums import ratio

BATCH = 64
BLUR = 5 / 224
"""Standard deviation of the blur from which `insertion` starts, as a share of the image's shorter side."""
SIZES = (2, 4, 8, 16, 32)
"""Features that `sensitivity_n` removes at a time, of 64."""
ROUNDING = 8
"""Differences of no more than these machine epsilons of the largest value are rounding."""

Score = Callable[[Tensor], Tensor]
"""The score (n,) of images (n, c, h, w)."""


def covered(image: Tensor, areas: np.ndarray, fill: float | Tensor = 0.0) -> Tensor:
    """Return a copy of an image for each area, bool (k, h, w), with the area filled: (k, c, h, w), as the image."""
    areas = _checked_areas(areas, image)
    fill = torch.as_tensor(fill, dtype=image.dtype, device=image.device).detach()
    try:
        fill = fill.expand_as(image)
    except RuntimeError as error:
        found, wanted = tuple(fill.shape), tuple(image.shape)
        raise ValueError(f"fill has the shape {found}: expected one that broadcasts to {wanted}") from error
    return torch.where(torch.as_tensor(areas, device=image.device)[:, None], fill, image.detach())


def occlusion_drop(
    score: Score, image: Tensor, areas: np.ndarray, *, fill: float | Tensor = 0.0, batch_size: int = BATCH
) -> np.ndarray:
    r"""Return by how much the score drops when each area is covered: :math:`m(x) - m(x_e)`.

    Higher means that the score depends more on the area. A larger area tends to have a larger drop: compare areas of
    alike size. Areas are bool (k, h, w), such as maps over a threshold, or what experts marked; drops float64 (k,), for
    probabilities in [-1, 1], negative where the area speaks against the class, 0 for an area without pixels.

    Notes
    -----
    Jalaboi et al. 2023 (DermX), the explanation's faithfulness; Zeiler and Fergus 2014, section 4.2.
    """
    return _drops(score, image, _checked_areas(areas, image), fill, batch_size)[0]


def deletion(
    score: Score,
    image: Tensor,
    maps: np.ndarray,
    *,
    steps: int = 24,
    fill: float | Tensor = 0.0,
    seed: int = 0,
    batch_size: int = BATCH,
) -> np.ndarray:
    """Return the scores while pixels are covered, those with the highest values first.

    A good map makes the score fall early: a lower `area` is better. float64 (m, steps + 1), from the score of the image
    to that of ``fill``. Pixels of the same value come in a random order, the same for all maps; a constant map has only
    that order.

    Notes
    -----
    Petsiuk, Das, Saenko 2018 (RISE), evaluation metrics, with larger steps. It costs m (steps - 1) + 2 images.
    """
    return _curves(score, image, maps, steps, fill, seed, batch_size, delete=True)


def insertion(
    score: Score,
    image: Tensor,
    maps: np.ndarray,
    *,
    steps: int = 24,
    sigma: float = BLUR,
    seed: int = 0,
    batch_size: int = BATCH,
) -> np.ndarray:
    """Return the scores while the pixels of a blurred image become sharp, those with the highest values first.

    A good map makes the score rise early: a higher `area` is better. float64 (m, steps + 1), from the score of the
    image blurred by ``sigma`` (see `blurred`) to that of the image; ties as in `deletion`. What a mild blur leaves of
    the evidence is not asked about: look at the first score.

    Notes
    -----
    Petsiuk, Das, Saenko 2018 (RISE), as for `deletion`. Their program has the same standard deviation but cuts the
    kernel to 11 x 11 pixels.
    """
    return _curves(score, image, maps, steps, blurred(image, sigma), seed, batch_size, delete=False)


def blurred(image: Tensor, sigma: float = BLUR) -> Tensor:
    """Return an image (c, h, w) under a Gaussian blur; pixels beyond the border are like the nearest.

    ``sigma``, above 0, is its standard deviation as a share of the shorter side.
    """
    from scipy.ndimage import gaussian_filter

    _check_image(image)
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma!r}: expected a share of the shorter side, above 0")
    width = sigma * min(image.shape[1:])
    smooth = gaussian_filter(image.detach().cpu().double().numpy(), (0, width, width), mode="nearest")
    return torch.as_tensor(smooth).to(image)


def area(curves: np.ndarray) -> np.ndarray:
    """Return the area under curves (..., steps + 1), over the share of pixels in [0, 1], by trapezoids: float64 (...).

    Lower is better for `deletion`, higher for `insertion`. Between the least and the largest score, of at least two.
    """
    curves = np.asarray(curves, dtype=np.float64)
    if curves.ndim < 1 or curves.shape[-1] < 2:
        raise ValueError(f"curves have the shape {curves.shape}: expected (..., steps + 1) with at least two points")
    return np.trapezoid(curves, dx=1 / (curves.shape[-1] - 1), axis=-1)


def sensitivity_n(
    score: Score,
    image: Tensor,
    maps: np.ndarray,
    *,
    sizes: Sequence[int] = SIZES,
    subsets: int = 100,
    cells: int | None = 8,
    fill: float | Tensor = 0.0,
    seed: int = 0,
    batch_size: int = BATCH,
) -> np.ndarray:
    r"""Return how well the summed values of random features go with the drop of the score without them.

    For each :math:`n`, Pearson's correlation, over random sets :math:`S` of :math:`n` features, of
    :math:`\sum_{i \in S} R_i(x)` and :math:`f(x) - f(x_{S = fill})`. Higher is better.

    Parameters
    ----------
    sizes
        The numbers n, each from 1 to the number of features.
    subsets
        Random sets of each size, at least 2, the same for all maps; a size's do not depend on the other sizes.
    cells
        The features are ``cells`` x ``cells`` rectangles of the image; None: its pixels. A feature's value is the sum
        over its pixels.

    Returns
    -------
    numpy.ndarray
        float64 (m, len(sizes)), in [-1, 1]: 1 if the sums are the drops up to a positive factor and a constant. NaN
        where the sums or the scores do not vary, as for a map of zeros, or where n is the number of features.

    Notes
    -----
    Ancona, Ceolini, Oztireli, Gross 2018, section 3.1. It costs ``subsets`` x len(``sizes``) images, however many
    maps.
    """
    maps = _checked_maps(maps, image)
    if positive("subsets", subsets) < 2:
        raise ValueError("subsets is 1: expected at least 2 for a correlation")
    regions = _regions(*image.shape[1:], cells)
    features = int(regions.max()) + 1
    values = np.stack([np.bincount(regions.ravel(), weights=one.ravel()) for one in maps])
    correlations = np.empty((len(maps), len(sizes)))
    for column, size in enumerate(sizes):
        if positive("a size", size) > features:
            raise ValueError(f"a size is {size}: expected from 1 to {features}, the number of features")
        chosen = _subsets(features, size, subsets, seed)
        scores = _scores(score, image, chosen[:, regions], fill, batch_size)
        correlations[:, column] = _correlations(values, chosen, -scores)
    return correlations


def infidelity(
    score: Score,
    image: Tensor,
    maps: np.ndarray,
    *,
    samples: int = 200,
    side: int | None = None,
    fill: float | Tensor = 0.0,
    seed: int = 0,
    batch_size: int = BATCH,
) -> np.ndarray:
    r"""Return how badly the summed values of random squares foretell the drop of the score without them.

    With :math:`a = I^T \Phi`, the sum of a map over a square, and :math:`b = f(x) - f(x - I)`, the drop when the square
    is covered: :math:`\min_\beta E[(\beta a - b)^2] / E[b^2] = 1 - E[ab]^2 / (E[a^2] E[b^2])`. Lower is better.

    Parameters
    ----------
    samples
        Random squares, the same for all maps, uniform over those that lie within the image.
    side
        Of the squares, in pixels; a quarter of the image's shorter side if not given.

    Returns
    -------
    numpy.ndarray
        float64 (m,), in [0, 1]: 0 if the sums are the drops up to a factor, 1 if they say nothing, as for a map of
        zeros. The factor may be negative, so that a map and its negative have the same value; `sensitivity_n` tells
        them apart. NaN where the score never changes.

    Notes
    -----
    Yeh et al. 2019, definition 2.1 with square removal; the map stands for contributions, with the channels summed, so
    that I is 1 within the square and 0 elsewhere. The factor is that of the authors' program, and captum's with
    ``normalize=True``; the division is ours, and makes images and scores of different size comparable. It costs
    ``samples`` + 1 images, however many maps.
    """
    maps = _checked_maps(maps, image)
    squares = _squares(*image.shape[1:], side, positive("samples", samples), seed)
    drops, negligible = _drops(score, image, squares, fill, batch_size)
    if negligible:
        return np.full(len(maps), np.nan)
    sums = maps.reshape(len(maps), -1) @ squares.reshape(samples, -1).T
    sizes = np.linalg.norm(sums, axis=1) * np.linalg.norm(drops)
    cosine = np.divide(sums @ drops, sizes, out=np.zeros(len(maps)), where=sizes > 0)
    return np.clip(1 - cosine**2, 0, 1)


def completeness_gap(totals: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return how far the sums of maps are from what they should sum to, as a share of it; lower is better.

    Of ``totals``, the sums, and ``wanted``, for instance the score less that of the baseline, float of shapes that
    broadcast: ``|total - wanted| / |wanted|``, float64, 0 or more, 1 for a map of zeros. NaN where ``wanted`` is 0, or
    either is NaN. Sundararajan, Taly, Yan 2017, the axiom of completeness (proposition 1).
    """
    totals, wanted = (np.asarray(values, dtype=np.float64) for values in (totals, wanted))
    return ratio(np.abs(totals - wanted), np.abs(wanted))


def _check_image(image: Tensor) -> None:
    if not isinstance(image, Tensor) or image.ndim != 3 or not image.is_floating_point():
        found = f"{image.dtype} {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(f"image is {found}: expected one image as a float tensor (c, h, w)")
    if not image.isfinite().all():
        raise ValueError("image holds NaN or infinity: expected finite values")


def _checked_areas(areas: np.ndarray, image: Tensor) -> np.ndarray:
    """Return the areas as bool (k, h, w), of the image's size."""
    _check_image(image)
    areas = np.asarray(areas)
    if areas.dtype != bool or areas.ndim != 3 or areas.shape[1:] != image.shape[1:]:
        height, width = image.shape[1:]
        raise ValueError(f"areas are {areas.dtype} {areas.shape}: expected bool (k, {height}, {width})")
    return areas


def _checked_maps(maps: np.ndarray, image: Tensor) -> np.ndarray:
    """Return the maps as float64 (m, h, w), of the image's size."""
    _check_image(image)
    maps = finite_maps(maps, "maps", "(m, h, w)", 3)
    if maps.shape[1:] != image.shape[1:]:
        raise ValueError(f"maps are {maps.shape} and the image {tuple(image.shape)}: expected the same h and w")
    return maps


def _scores(score: Score, image: Tensor, areas: np.ndarray, fill: float | Tensor, batch_size: int) -> np.ndarray:
    """Scores (k,) of an image with each of areas (k, h, w) covered, in the precision that they come in."""
    positive("batch_size", batch_size)
    parts = [np.zeros(0, dtype=np.float32)]
    with torch.no_grad():
        for start in range(0, len(areas), batch_size):
            images = covered(image, areas[start : start + batch_size], fill)
            parts.append(_checked_scores(score(images), len(images)))
    return np.concatenate(parts)


def _checked_scores(values: Tensor, number: int) -> np.ndarray:
    if not isinstance(values, Tensor) or values.shape != (number,) or not values.is_floating_point():
        found = f"{values.dtype} {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(f"score returns {found} for {number} images: expected a float tensor ({number},)")
    if not values.isfinite().all():
        raise ValueError("score returns NaN or infinity: expected finite values")
    return values.to(torch.promote_types(values.dtype, torch.float32)).cpu().numpy()


def _drops(
    score: Score, image: Tensor, areas: np.ndarray, fill: float | Tensor, batch_size: int
) -> tuple[np.ndarray, bool]:
    """Return the drops (k,) of the score with each area covered, float64, and whether all of them are rounding."""
    none = np.zeros((1, *image.shape[1:]), dtype=bool)
    scores = _scores(score, image, np.concatenate([none, areas]), fill, batch_size)
    return np.subtract(scores[0], scores[1:], dtype=np.float64), not _vary(scores)


def _vary(values: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
    """Whether values (..., k) differ by more than the rounding of ``scale`` (...), their largest size if not given."""
    scale = np.abs(values).max(-1) if scale is None else scale
    return np.ptp(values, axis=-1) > ROUNDING * np.finfo(values.dtype).eps * scale


def _curves(
    score: Score,
    image: Tensor,
    maps: np.ndarray,
    steps: int,
    fill: float | Tensor,
    seed: int,
    batch_size: int,
    *,
    delete: bool,
) -> np.ndarray:
    """Scores (m, steps + 1) while the first pixels of each map are covered, or all but them."""
    maps = _checked_maps(maps, image)
    pixels = maps[0].size
    shares = np.rint(np.linspace(0, pixels, positive("steps", steps) + 1)).astype(int)
    first = _places(maps.reshape(len(maps), -1), seed)[:, None] < shares[1:-1, None]
    ends = np.repeat([[False], [True]], pixels, axis=1)  # nothing and all: the same for every map
    areas = np.concatenate([ends, first.reshape(-1, pixels)]).reshape(-1, *image.shape[1:])
    scores = _scores(score, image, areas if delete else ~areas, fill, batch_size)
    curves = np.empty((len(maps), steps + 1))
    curves[:, [0, -1]] = scores[:2]
    curves[:, 1:-1] = scores[2:].reshape(len(maps), steps - 1)
    return curves


def _places(values: np.ndarray, seed: int) -> np.ndarray:
    """Return each value's place (m, k) in its row by falling value, from 0; ties in one random order for all rows."""
    shuffled = np.random.default_rng(seed).permutation(values.shape[1])
    order = shuffled[np.argsort(-values[:, shuffled], axis=1, kind="stable")]
    places = np.empty(values.shape, dtype=int)
    np.put_along_axis(places, order, np.arange(values.shape[1])[None], axis=1)
    return places


def _regions(height: int, width: int, cells: int | None) -> np.ndarray:
    """Return the number of each pixel's feature, int (h, w)."""
    if cells is None:
        return np.arange(height * width).reshape(height, width)
    if positive("cells", cells) > min(height, width):
        raise ValueError(f"cells is {cells}: expected from 1 to {min(height, width)}, the image's shorter side")
    return grid(height, width, cells).numpy()


def _subsets(features: int, size: int, number: int, seed: int) -> np.ndarray:
    """Return random sets, bool (number, features), with ``size`` features each."""
    first = np.tile(np.arange(features) < size, (number, 1))
    return np.random.default_rng([seed, size]).permuted(first, axis=1)


def _correlations(values: np.ndarray, chosen: np.ndarray, drops: np.ndarray) -> np.ndarray:
    """Pearson's correlations (m,) of the sums of values (m, features) over sets (k, features) with drops (k,)."""
    sums = values @ chosen.T
    defined = _vary(sums, np.abs(values).sum(1)) & _vary(drops)
    sums -= sums.mean(1, keepdims=True)
    drops = drops - drops.mean(dtype=np.float64)
    sizes = np.linalg.norm(sums, axis=1) * np.linalg.norm(drops)
    correlations = np.divide(sums @ drops, sizes, out=np.full(len(values), np.nan), where=defined)
    return np.clip(correlations, -1, 1)


def _squares(height: int, width: int, side: int | None, number: int, seed: int) -> np.ndarray:
    """Return random squares within an image, bool (number, h, w)."""
    shorter = min(height, width)
    side = positive("side", max(1, shorter // 4) if side is None else side)
    if side > shorter:
        raise ValueError(f"side is {side}: expected from 1 to {shorter}, the image's shorter side")
    corners = np.random.default_rng(seed).integers((height - side + 1, width - side + 1), size=(number, 2))
    rows, columns = (
        (np.arange(length) >= start[:, None]) & (np.arange(length) < start[:, None] + side)
        for length, start in zip((height, width), corners.T, strict=True)
    )
    return rows[:, :, None] & columns[:, None]
