"""A small ConvNet, trained from scratch: just enough to see whether pictures hold more than their colour."""

import numpy as np
import torch
from torch import nn

WIDTHS = (16, 32, 64, 128)
BATCH = 32
RATE = 2e-3


def small_convnet(classes: int) -> nn.Sequential:
    """Return four blocks of convolution, batch norm, ReLU and pooling, and a linear layer on the averaged features."""
    layers: list[nn.Module] = []
    for before, after in zip((3, *WIDTHS), WIDTHS, strict=False):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(WIDTHS[-1], classes)
    )


def fit_predict(
    images: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray, *, epochs: int, seed: int
) -> np.ndarray:
    """Train on some images and predict others.

    Parameters
    ----------
    images
        uint8 (n, height, width, 3).
    labels
        int (n,), from 0.
    train, test
        Rows of `images`.
    epochs, seed
        Length of training; seed of weights, order and augmentation (flips and a colour shift per image).

    Returns
    -------
    numpy.ndarray
        int (len(test),), the predicted labels.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float().div(127.5).sub(1)
    truth = torch.from_numpy(labels).long()
    model = small_convnet(int(labels.max()) + 1)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=epochs * -(-len(train) // BATCH))
    for _ in range(epochs):
        model.train()
        for rows in torch.from_numpy(train)[torch.randperm(len(train), generator=generator)].split(BATCH):
            loss = nn.functional.cross_entropy(model(_augment(pixels[rows], generator)), truth[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        return model(pixels[torch.from_numpy(test)]).argmax(1).numpy()


def _augment(pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Flip each image at random and shift its colour, so that texture has to be learned."""
    for axis in (2, 3):
        flip = torch.rand(len(pixels), 1, 1, 1, generator=generator) < 0.5
        pixels = torch.where(flip, pixels.flip(axis), pixels)
    return pixels + 0.1 * torch.randn(len(pixels), 3, 1, 1, generator=generator)
