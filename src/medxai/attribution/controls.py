"""Control maps, made without the model: the score to beat.

Each function takes the arguments of `medxai.attribution.explain`, checks them as `_inputs.prepared` does, and returns
(n, 1, height, width), of the dtype and on the device of the images. The model is never run.

The seed of an image's noise is made of the generator's seed (0 if there is no generator) and of the image's bytes:
different images get independent noise, and an image gets the same noise in any batch.
"""

import math
import zlib

import numpy as np
import torch
from torch import Tensor, nn

from medxai.attribution import _inputs
from medxai.attribution.registry import Method, described


def uniform_random(
    model: nn.Module, images: Tensor, target: int | Tensor, *, generator: torch.Generator | None = None
) -> Tensor:
    """Return independent values for each pixel, uniform between 0 and 1."""
    with _inputs.prepared(model, images, target) as (images, _):
        shape = images.shape[-2:]
        return _stacked([draw.random(shape) for draw in _draws(images, generator)], images)


def smoothed_random(
    model: nn.Module,
    images: Tensor,
    target: int | Tensor,
    *,
    sigma: float = 0.05,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return normal noise smoothed by a Gaussian: blobs of both signs, anywhere with the same probability.

    What leaves at one side comes in at the other, so that the borders are as noisy as the middle.

    Parameters
    ----------
    sigma
        Standard deviation of the Gaussian as a share of each side, above 0.
    """
    from scipy.ndimage import gaussian_filter

    _check_sigma(sigma)
    with _inputs.prepared(model, images, target) as (images, _):
        shape = images.shape[-2:]
        widths = [sigma * side for side in shape]
        noise = [draw.standard_normal(shape) for draw in _draws(images, generator)]
        return _stacked([gaussian_filter(one, widths, mode="wrap") for one in noise], images)


def centre_gaussian(model: nn.Module, images: Tensor, target: int | Tensor, *, sigma: float = 0.25) -> Tensor:
    """Return a Gaussian around the centre, the same for all images: photographers aim at what matters.

    Its maximum is 1, or a little less where no pixel lies at the centre.

    Parameters
    ----------
    sigma
        Standard deviation as a share of each side, above 0.
    """
    _check_sigma(sigma)
    with _inputs.prepared(model, images, target) as (images, _):
        # Whole numbers first: opposite pixels then have equal values, to the last digit.
        rows, columns = ((2 * torch.arange(side).double() + 1 - side) / (2 * side) for side in images.shape[-2:])
        bump = torch.exp(-(rows[:, None] ** 2 + columns**2) / (2 * sigma**2))
        return bump.to(images).expand(len(images), 1, -1, -1).clone()


def sobel_edges(model: nn.Module, images: Tensor, target: int | Tensor) -> Tensor:
    """Return the size of the gradient of the mean over channels, by Sobel's operator.

    Adebayo et al. 2018 show how much a map can look like an explanation that is only an edge detector. Borders are
    continued by their own values.
    """
    with _inputs.prepared(model, images, target) as (images, _):
        grey = nn.functional.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        kernel = torch.outer(grey.new_tensor([1, 2, 1]), grey.new_tensor([-1, 0, 1]))
        kernels = torch.stack([kernel, kernel.T])[:, None]
        return nn.functional.conv2d(grey, kernels).square().sum(1, keepdim=True).sqrt()


def all_zero(model: nn.Module, images: Tensor, target: int | Tensor) -> Tensor:
    """Return zeros: no attribution at all."""
    with _inputs.prepared(model, images, target) as (images, _):
        return torch.zeros_like(images[:, :1])


def _check_sigma(sigma: float) -> None:
    if not 0 < sigma < math.inf:
        raise ValueError(f"sigma is {sigma}: expected a share of each side, above 0")


def _draws(images: Tensor, generator: torch.Generator | None) -> list[np.random.Generator]:
    """One source of random numbers for each image, by the seed and the image's bytes."""
    seed = _inputs.seed_of(generator)
    return [np.random.default_rng([seed, zlib.crc32(one.tobytes())]) for one in images.cpu().numpy()]


def _stacked(maps: list[np.ndarray], images: Tensor) -> Tensor:
    return torch.as_tensor(np.stack(maps)[:, None]).to(images)


CONTROLS: dict[str, Method] = described(
    {
        "uniform_random": uniform_random,
        "smoothed_random": smoothed_random,
        "centre_gaussian": centre_gaussian,
        "sobel_edges": sobel_edges,
        "all_zero": all_zero,
    }
)
"""Every control by the name that `medxai.attribution.explain` takes; none is a method of the review."""
