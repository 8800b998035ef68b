"""Transfer learning: a network trained on other pictures as a fixed extractor of features, or as a start."""

import copy

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
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


def with_linear_head(network: nn.Module, images: np.ndarray, labels: np.ndarray) -> nn.Sequential:
    """Return `classifier` with a head fitted to the features of some images; the rest of the network stays as it is.

    The head is a multinomial logistic regression on standardised features, its scaling put into the weights.

    Parameters
    ----------
    network
        As of `classifier`.
    images, labels
        uint8 (n, height, width, 3) and int (n,), from 0, each class at least once.

    Returns
    -------
    torch.nn.Sequential
        In evaluation mode.
    """
    features = frozen_features(network, images).astype(np.float64)
    scaler = StandardScaler().fit(features)
    fitted = LogisticRegression(max_iter=2000).fit(scaler.transform(features), labels)
    weight, bias = fitted.coef_ / scaler.scale_, fitted.intercept_ - fitted.coef_ @ (scaler.mean_ / scaler.scale_)
    if len(weight) == 1:  # of two classes scikit-learn keeps the second one's logit
        weight, bias = np.stack([0 * weight[0], weight[0]]), np.array([0.0, bias[0]])
    model = classifier(network, len(weight))
    head = model[-1]
    head.load_state_dict({"weight": torch.from_numpy(weight).float(), "bias": torch.from_numpy(bias).float()})
    return model.eval()
