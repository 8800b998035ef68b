"""Training a classifier on some images of an array and predicting others."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from medxai.models.weights import normalised

BATCH = 32


def fit(
    build: Callable[[], nn.Module],
    images: np.ndarray,
    labels: np.ndarray,
    *,
    epochs: int,
    rate: float,
    seed: int,
    upside_down: bool = True,
) -> nn.Module:
    """Train a network on all of some images.

    Parameters
    ----------
    build
        Returns the network to start from, which takes `medxai.models.weights.normalised` images and gives logits; it is
        called once the seed is set.
    images
        uint8 (n, height, width, 3).
    labels
        int (n,), from 0.
    epochs, rate
        Length of training, and the highest learning rate (AdamW, one cycle: Smith and Topin 2019, arXiv 1708.07120).
    seed
        Of new weights, order and augmentation (flips and a colour shift per image).
    upside_down
        Whether an image may be flipped upside down, too, and not only left to right.

    Returns
    -------
    torch.nn.Module
        The network in evaluation mode.
    """
    torch.manual_seed(seed)
    pixels, truth = normalised(images), torch.from_numpy(labels).long()
    network = build().to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-2)
    batches = -(-len(pixels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=epochs * batches)
    for _ in range(epochs):
        for rows in torch.randperm(len(pixels)).tensor_split(batches):
            logits = network(_augmented(pixels[rows], upside_down))
            optimiser.zero_grad()
            nn.functional.cross_entropy(logits, truth[rows]).backward()
            optimiser.step()
            schedule.step()
    return network.eval()


def predict(network: nn.Module, images: np.ndarray) -> np.ndarray:
    """Return the probabilities, float64 (n, classes), that a network gives images, uint8 (n, height, width, 3)."""
    with torch.no_grad():
        logits = torch.cat([network(pixels) for pixels in normalised(images).split(BATCH)])
    return logits.double().softmax(dim=1).numpy()


def fit_predict(
    build: Callable[[], nn.Module],
    images: np.ndarray,
    labels: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    **options: object,
) -> np.ndarray:
    """Train a network on some rows of the images and predict others.

    Parameters
    ----------
    train, test
        Rows of `images`.
    build, images, labels, **options
        As of `fit`.

    Returns
    -------
    numpy.ndarray
        float64 (len(test), classes), probabilities.
    """
    return predict(fit(build, images[train], labels[train], **options), images[test])


def _augmented(pixels: torch.Tensor, upside_down: bool) -> torch.Tensor:
    """Flip each image at random and shift its colour, so that texture has to be learned."""
    for axis in (2, 3) if upside_down else (3,):
        flip = torch.rand(len(pixels), 1, 1, 1) < 0.5
        pixels = torch.where(flip, pixels.flip(axis), pixels)
    return pixels + 0.2 * torch.randn(len(pixels), 3, 1, 1)
