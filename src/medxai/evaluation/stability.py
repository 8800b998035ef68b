"""How much a map changes when the image hardly does."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from medxai.errors import positive
from medxai.evaluation.sums import ratio

Explainer = Callable[[Tensor], Tensor]
"""The maps (n, h, w) of images (n, c, h, w), always of the same class."""


def max_sensitivity(
    explainer: Explainer, images: Tensor, *, radius: float = 0.02, samples: int = 10, seed: int = 0
) -> np.ndarray:
    r"""Return the largest relative change of a map among random images nearby.

    :math:`\max_d \|\Phi(x + d) - \Phi(x)\|_2 / \|\Phi(x)\|_2` over ``samples`` draws of :math:`d`, uniform in
    [-radius, radius] for each pixel and channel. Lower is more stable; a map that never changes is the most stable,
    so this number says nothing alone.

    Parameters
    ----------
    explainer
        Gives maps of the class of the unchanged images, also where a changed image is of another class.
    images
        Finite float (n, c, h, w), on the scale on which the network takes them.
    radius
        Above 0, in the units of ``images``.
    samples
        Number of draws, at least 1, the same for all images: a value does not depend on the other images. More draws
        can only raise it.
    seed
        Of the draws, and of what the explainer draws from torch's global CPU generator, which is left as it was. Two
        maps have then different draws, so that an explainer's own randomness counts as change.

    Returns
    -------
    numpy.ndarray
        float64 (n,), 0 or more, not bounded. NaN for an image whose map is zero everywhere.

    Raises
    ------
    ValueError
        If an argument is none of these, or the explainer does not return finite maps (n, h, w).

    Notes
    -----
    Yeh et al. 2019, definition 3.1, divided by the size of the map as captum does. Captum's `sensitivity_max` is the
    same but for maps of zeros, whose change it does not divide, and for its draws from the global generator. It costs
    ``samples`` + 1 explanations an image.
    """
    positive("samples", samples)
    if not isinstance(images, Tensor) or images.ndim != 4 or not images.is_floating_point():
        found = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"images are {found}: expected a float tensor (n, c, h, w)")
    if not radius > 0:
        raise ValueError(f"radius is {radius!r}: expected a number above 0")
    draws = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        maps = _explained(explainer, images)
        most = np.zeros(len(images))
        for _ in range(samples):
            change = (2 * torch.rand(images.shape[1:], generator=draws, dtype=torch.float64) - 1) * radius
            others = _explained(explainer, images + change.to(images))
            most = np.maximum(most, np.linalg.norm(others - maps, axis=1))
    return ratio(most, np.linalg.norm(maps, axis=1))


def _explained(explainer: Explainer, images: Tensor) -> np.ndarray:
    """Return the maps as float64 (n, h w), checked."""
    maps = explainer(images.clone())  # the explainer may change its input in place
    wanted = (len(images), *images.shape[2:])
    if not isinstance(maps, Tensor) or maps.shape != wanted:
        found = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise ValueError(f"the explainer returns {found} for images {tuple(images.shape)}: expected maps {wanted}")
    if not maps.isfinite().all():
        raise ValueError("the explainer returns NaN or infinity: expected finite maps")
    return maps.detach().cpu().double().flatten(1).numpy()
