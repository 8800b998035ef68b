"""Transfer learning: a network trained on other pictures as a fixed extractor of features, or as a start."""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from medxai.models.normalisation import Normalisation
from medxai.models.weights import Pretrained
from medxai.training.fit import BATCH, optimise

FROZEN = 6
"""Of the parts of a network (stem, its normalisation, seven stages and a head of four) so many stay as they are."""
RATE, STEP, SMOOTHING = 1e-3, 16, 0.1
"""Highest learning rate, images in a step, and share of a label that is spread over all classes."""
FLIPS = ((), (3,), (2,), (2, 3))
"""Axes of images that are turned round: by the number's first bit left and right, by its second up and down."""


def with_new_head(network: nn.Module, classes: int) -> nn.Module:
    """Return a copy of a network of timm with a last layer for other classes, which gives 0 until it is trained."""
    network = copy.deepcopy(network)
    network.reset_classifier(classes)
    for weight in network.get_classifier().parameters():
        nn.init.zeros_(weight)
    return network


def frozen_features(network: nn.Module, pictures: np.ndarray, normalisation: Normalisation) -> np.ndarray:
    """Return what the head of a network of timm is given, float32 (n, channels), for pictures, uint8 (n, h, w, 3)."""
    return _frozen(network, pictures, normalisation, lambda one, maps: one.forward_head(maps, pre_logits=True))


def frozen_maps(network: nn.Module, pictures: np.ndarray, normalisation: Normalisation) -> np.ndarray:
    """Return the last feature maps of a network of timm, float32 (n, channels, h, w), as `frozen_features`."""
    return _frozen(network, pictures, normalisation, lambda _, maps: maps)


def _frozen(
    network: nn.Module,
    pictures: np.ndarray,
    normalisation: Normalisation,
    after: Callable[[nn.Module, Tensor], Tensor],
) -> np.ndarray:
    """Return what follows from the last feature maps, of a copy of the network that is in evaluation mode."""
    network = copy.deepcopy(network).eval().to(memory_format=torch.channels_last)
    with torch.no_grad():
        parts = [after(network, network.forward_features(some)) for some in normalisation.apply(pictures).split(BATCH)]
    return torch.cat(parts).numpy()


def maps_of_flips(early: nn.Module, images: Tensor, flips: Sequence[tuple[int, ...]] = FLIPS) -> Tensor:
    """Return what lower stages give for images (n, 3, h, w) and each of their flips, (flips, n, k, h, w)."""
    with torch.no_grad():
        turned = (images.flip(axes) if axes else images for axes in flips)
        return torch.stack([torch.cat([early(batch) for batch in one.split(BATCH)]) for one in turned])


def transfer(
    pretrained: Pretrained,
    pictures: np.ndarray,
    labels: np.ndarray,
    *,
    epochs: int,
    seed: int,
    upside_down: bool = True,
) -> nn.Module:
    """Train the upper stages and a new head of a network that was trained on other pictures.

    The lower stages run once on each picture and its flips, and what they give is kept: an epoch costs as little
    as the upper stages do on their small maps.

    Parameters
    ----------
    pretrained
        A network of timm that is a sequence, such as our default; it stays as it is.
    pictures, labels, epochs, seed, upside_down
        As of `medxai.training.fit.fit`.

    Returns
    -------
    torch.nn.Module
        A network in evaluation mode with the same layers, and logits (n, labels.max() + 1).
    """
    torch.manual_seed(seed)
    network = with_new_head(pretrained.network, int(labels.max()) + 1).to(memory_format=torch.channels_last)
    parts = network.eval().as_sequential()  # of the network's own modules: to train them is to train the network
    flips = FLIPS if upside_down else FLIPS[:2]
    maps = maps_of_flips(parts[:FROZEN], pretrained.normalisation.apply(pictures), flips)

    def draw(rows: Tensor) -> Tensor:
        flip = torch.randint(len(maps), (len(rows),))
        return maps[flip, rows].contiguous(memory_format=torch.channels_last)

    optimise(parts[FROZEN:].train(), draw, labels, epochs=epochs, rate=RATE, batch=STEP, smoothing=SMOOTHING)
    return network.eval()
