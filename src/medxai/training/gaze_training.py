"""Training the gaze-supervised models, all in the same way.

AdamW and one cycle of the learning rate (Smith and Topin 2019); images are turned, moved and made brighter or darker a
little, gaze with them, and never flipped: a heart has a side. The weights that are kept are those of the epoch with the
greatest mean AUC on validation images, of equal ones that with the lowest loss of the classes there. Test images do not
come here.
"""

import copy
import math
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from medxai.evaluation.classification import one_against_rest
from medxai.models.gaze_unet import GazeUNet
from medxai.training.augmentation import Changes, augmented
from medxai.training.gaze_losses import Choices, GazeModel, step_losses
from medxai.training.small_images import binary

RATE, BATCH, CHUNK = 1e-3, 16, 32
"""Highest learning rate, images in a step at most, and images that go through together where nothing is learnt."""
CHANGES = Changes(rotation=5.0, zoom=0.05, shift=0.04, brightness=(0.85, 1.15), contrast=0.15)
COLUMNS = ["epoch", "split", "metric", "value"]


class GazeExamples(NamedTuple):
    """Images, what they show, and where to look."""

    pictures: np.ndarray
    """uint8 (n, side, side, 3)."""
    labels: np.ndarray
    """int (n,), classes from 0."""
    gaze: np.ndarray
    """float32 (n, side, side) in [0, 1]."""


class Training(NamedTuple):
    """How a training went."""

    history: pd.DataFrame
    """Columns epoch (from 1), split, metric, value: the mean of each loss over the training images of an epoch, by its
    name in `gaze_losses.losses`, and of the validation images "AUC", the mean over classes, and "classification"."""
    epoch: int
    """Whose weights were kept."""


def train(
    network: GazeUNet,
    model: GazeModel,
    training: GazeExamples,
    validation: GazeExamples,
    *,
    epochs: int,
    seed: int,
    choices: Choices | None = None,
    rate: float = RATE,
) -> Training:
    """Train a network in place; leave it in evaluation mode with the weights of the best epoch.

    Parameters
    ----------
    network
        Of `medxai.models.gaze_unet.make`, with a decoder if the model has one. A decoder that no loss needs stays as it
        was drawn.
    model
        A value of `medxai.training.gaze_losses.MODELS`, or one of one's own.
    training, validation
        What to learn from, and what to choose the epoch by, whose gaze is not looked at.
    epochs, seed
        Passes over the training images; seed of the order, the changes and dropout. The same seed gives the same
        network, on a CPU bit for bit.
    choices
        What the paper leaves open; our defaults if there are none.
    rate
        The highest learning rate; a small network from random weights wants a higher one.

    Raises
    ------
    ValueError
        In one sentence, if examples do not fit each other or the network, or a class is missing.
    FloatingPointError
        If a loss is not finite.
    """
    if epochs < 1 or (model.uses_decoder and network.decoder is None):
        raise ValueError(f"epochs is {epochs}, decoder {network.decoder is not None}: {model.title} needs 1 and True")
    for name, examples in (("training", training), ("validation", validation)):
        _check(name, examples, network.classifier.classes)
    network.to(memory_format=torch.channels_last)  # a fifth faster
    learning = [*network.classifier.parameters(), *(network.decoder.parameters() if model.uses_decoder else ())]
    optimiser = torch.optim.AdamW(learning, lr=rate, weight_decay=1e-2, fused=True)
    steps = -(-len(training.labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=epochs * steps)
    records, best, kept, weights = [], (-math.inf, -math.inf), 0, {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for epoch in range(1, epochs + 1):
            lines = _epoch(network, model, training, choices or Choices(), optimiser, schedule)
            area, loss = _validated(network, validation)
            lines += [["validation", "AUC", area], ["validation", "classification", loss]]
            _check_finite(lines, epoch)
            records += [[epoch, *line] for line in lines]
            if (area, -loss) > best:
                best, kept, weights = (area, -loss), epoch, copy.deepcopy(network.state_dict())
    network.load_state_dict(weights)
    network.eval()
    return Training(pd.DataFrame(records, columns=COLUMNS), kept)


def _epoch(
    network: GazeUNet,
    model: GazeModel,
    training: GazeExamples,
    choices: Choices,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> list[list]:
    """Learn from each training image once; return the lines of the history."""
    network.train()
    if not model.uses_decoder and network.decoder is not None:
        network.decoder.eval()
    sums: dict[str, float] = {}
    for rows in torch.randperm(len(training.labels)).tensor_split(-(-len(training.labels) // BATCH)):
        images, labels, gaze = draw(network, training, rows.numpy())
        found = step_losses(network, model, images, labels, gaze, choices)
        optimiser.zero_grad()
        found["total"].backward()
        optimiser.step()
        schedule.step()
        for name, value in found.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach()) * len(rows)
    return [["training", name, total / len(training.labels)] for name, total in sums.items()]


def draw(network: GazeUNet, training: GazeExamples, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Return images as the network wants them, labels and gaze of some rows, moved and recoloured at random."""
    gaze = torch.from_numpy(training.gaze[rows])[:, None]
    images, gaze = augmented(training.pictures[rows], gaze, network.normalisation, CHANGES)
    images = images.contiguous(memory_format=torch.channels_last)
    return images, torch.from_numpy(training.labels[rows]).long(), gaze[:, 0]


def class_logits(network: GazeUNet, pictures: np.ndarray) -> Tensor:
    """Return the logits of the classes, (n, classes), for pictures uint8 (n, side, side, 3), in evaluation mode."""
    network.eval()
    with torch.no_grad():
        parts = network.normalisation.apply(pictures).split(CHUNK)
        return torch.cat([network.classifier(images) for images in parts])


def _validated(network: GazeUNet, validation: GazeExamples) -> tuple[float, float]:
    """Return the mean AUC of the classes and their loss."""
    logits = class_logits(network, validation.pictures)
    area = one_against_rest(validation.labels, logits.double().numpy())[0, 0]
    return float(area), float(binary(logits, torch.from_numpy(validation.labels).long()))


def _check(name: str, examples: GazeExamples, classes: int) -> None:
    pictures, labels, gaze = examples
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or gaze.shape != pictures.shape[:3] or gaze.dtype != np.float32:
        told = f"pictures {pictures.dtype} {pictures.shape} and gaze {gaze.dtype} {gaze.shape}"
        raise ValueError(f"{name} has {told}: expected uint8 (n, side, side, 3) and float32 (n, side, side)")
    if not ((gaze >= 0) & (gaze <= 1)).all():
        raise ValueError(f"gaze of {name} is from {gaze.min()} to {gaze.max()}: expected 0 to 1")
    if labels.shape != pictures.shape[:1] or not np.array_equal(np.unique(labels), np.arange(classes)):
        told = f"{name} has {len(labels)} labels of the classes {np.unique(labels).tolist()}"
        raise ValueError(f"{told}: expected one for each of {len(pictures)} images, and all of 0 to {classes - 1}")


def _check_finite(lines: list[list], epoch: int) -> None:
    for split, metric, value in lines:
        if not math.isfinite(value):
            raise FloatingPointError(f"{metric} of {split} is {value} in epoch {epoch}: expected a finite number")
