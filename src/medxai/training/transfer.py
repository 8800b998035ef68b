"""Transfer learning: a network trained on other pictures as a fixed extractor of features, or as a start."""

import copy

import numpy as np
import torch
from torch import nn

from medxai.models.weights import normalised

BATCH = 32


def classifier(network: nn.Module, classes: int) -> nn.Sequential:
    """Return a copy of a network of torchvision with a new head: mean over the positions, dropout, linear layer.

    Parameters
    ----------
    network
        With its convolutional part as ``features``, such as MobileNetV2 or SqueezeNet; it stays as it is.
    classes
        Number of outputs.
    """
    features = copy.deepcopy(network.features)
    with torch.no_grad():
        channels = features.eval()(torch.zeros(1, 3, 64, 64)).shape[1]
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(channels, classes))


def frozen_features(network: nn.Module, images: np.ndarray) -> np.ndarray:
    """Return the features of images just before a network's head, averaged over the positions.

    Parameters
    ----------
    network
        With its convolutional part as ``features``; used in evaluation mode.
    images
        uint8 (n, height, width, 3).

    Returns
    -------
    numpy.ndarray
        float32 (n, channels).
    """
    features = copy.deepcopy(network.features).eval().to(memory_format=torch.channels_last)
    with torch.no_grad():
        parts = [features(normalised(images[start : start + BATCH])) for start in range(0, len(images), BATCH)]
    return torch.cat([part.mean(dim=(2, 3)) for part in parts]).numpy()
