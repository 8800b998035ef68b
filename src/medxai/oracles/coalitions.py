"""Methods that replace regions, solved from the score of every coalition of few regions.

What is random in a method is taken from what the method did: the images that it showed the model tell its coalitions.
Each function returns one value for each region.
"""

from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

Coalition = tuple[bool, ...]


class Watched(nn.Module):
    """A model that keeps what it was shown."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.shown: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        """Return the model's logits."""
        self.shown += list(images.detach().clone())
        return self.model(images)

    def coalitions(self, image: Tensor, baseline: Tensor, regions: Tensor) -> list[Coalition]:
        """Return which regions (h, w; 0, 1, ...) were on, as in `image`, of each mixture of the two that was shown."""
        found = []
        for shown in self.shown:
            on = tuple(bool((shown == image)[:, regions == number].all()) for number in range(int(regions.max()) + 1))
            if not torch.equal(shown, mixed(image, baseline, regions, on)):
                raise ValueError("the model was shown an image that is no mixture of image and baseline")
            found.append(on)
        return found


def mixed(image: Tensor, baseline: Tensor, regions: Tensor, on: Coalition) -> Tensor:
    """Return the image (C, H, W) where its region is on, else the baseline."""
    return torch.where(torch.tensor(on)[regions], image, baseline)


def scores(model: nn.Module, image: Tensor, baseline: Tensor, regions: Tensor, target: int) -> dict[Coalition, float]:
    """Return the target's logit for every coalition of the regions."""
    coalitions = list(product((False, True), repeat=int(regions.max()) + 1))
    with torch.no_grad():
        logits = model(torch.stack([mixed(image, baseline, regions, on) for on in coalitions]))
    return dict(zip(coalitions, logits[:, target].tolist(), strict=True))


def shapley_value_sampling(score: dict[Coalition, float], shown: list[Coalition]) -> np.ndarray:
    """Castro et al. (2009), algorithm 1: the mean gain of a region, over orders in which regions are switched on."""
    count = len(shown[0])
    nothing = (False,) * count
    steps = [on for on in shown if any(on)]
    gains: list[list[float]] = [[] for _ in range(count)]
    before = nothing
    for on in steps:
        before = nothing if all(before) else before
        (new,) = (i for i in range(count) if on[i] and not before[i])
        gains[new].append(score[on] - score[before])
        before = on
    return np.array([np.mean(some) for some in gains])


def kernel_shap(score: dict[Coalition, float], shown: list[Coalition]) -> np.ndarray:
    """Lundberg and Lee (2017), theorem 2: least squares over coalitions drawn by the kernel, exact for all and none."""
    count = len(shown[0])
    drawn = [on for on in shown if any(on) and not all(on)]
    nothing, whole = score[(False,) * count], score[(True,) * count]
    switches = np.array(drawn, float)
    gains = np.array([score[on] for on in drawn]) - nothing
    # The constraint takes the last value out of the regression.
    design = switches[:, :-1] - switches[:, -1:]
    free = np.linalg.lstsq(design, gains - switches[:, -1] * (whole - nothing), rcond=None)[0]
    return np.append(free, whole - nothing - free.sum())


def lime(score: dict[Coalition, float], shown: list[Coalition], width: float, ridge: float) -> np.ndarray:
    """Ribeiro et al. (2016), equation 1, with a ridge: the normal equations about the weighted means."""
    switches, gains = np.array(shown, float), np.array([score[on] for on in shown])
    weights = np.sqrt(np.exp(-(((1 - np.sqrt(switches.mean(1))) / width) ** 2)))
    switches = switches - np.average(switches, axis=0, weights=weights)
    gains = gains - np.average(gains, weights=weights)
    below = switches.T @ (weights[:, None] * switches) + ridge * np.eye(switches.shape[1])
    return np.linalg.solve(below, switches.T @ (weights * gains))


def painted(values: np.ndarray, regions: Tensor) -> Tensor:
    """Return (1, H, W): each region's value, spread evenly over its pixels."""
    counts = torch.bincount(regions.flatten())
    return (torch.as_tensor(values) / counts)[regions][None]


def occlusion(model: nn.Module, image: Tensor, target: int, baseline: Tensor, window: int, stride: int) -> Tensor:
    """Zeiler and Fergus (2014), section 4.2: (1, H, W), the mean fall of the logit over the squares on a pixel."""
    height, width = image.shape[1:]
    corners = list(product(range(0, height - window + 1, stride), range(0, width - window + 1, stride)))
    falls, counts = torch.zeros(height, width).to(image), torch.zeros(height, width).to(image)
    with torch.no_grad():
        whole = model(image[None].clone())[0, target]
        for top, left in corners:
            square = (..., slice(top, top + window), slice(left, left + window))
            covered = image.clone()
            covered[square] = baseline[square]
            falls[square[1:]] += whole - model(covered[None])[0, target]
            counts[square[1:]] += 1
    return (falls / counts)[None]
