"""Images to try `your_data` on: a toy of discs and crosses, or real ultrasound where it is there."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter
from torch import nn

from medxai.errors import DataError
from medxai.experiment import image_sets
from medxai.experiment.trained_network import start, train
from medxai.models.normalisation import IMAGENET
from medxai.profiles import Profile
from medxai.training.fit import fit
from medxai.training.small_convnet import small_convnet

CLASSES = ("disc", "cross")
"""Of the toy, by label."""
SIDE = 96
"""Of the toy's images as they are written, in pixels."""
LEARNT = 96
"""Toy images that the small ConvNet is trained on; others than those that are explained."""
EPOCHS, RATE = 14, 5e-3
IMAGES, SCANS = 12, 6
"""How many toy images, and how many ultrasound images, are explained."""


@dataclass(frozen=True, eq=False)
class Example:
    """A model to explain, and what its images are; they lie in ``images`` and ``masks`` of the folder."""

    model: nn.Module
    classes: tuple[str, ...]
    kind: Literal["real", "simulated"]
    note: str
    """What must stand under a figure of them."""


def toy_folder(folder: Path | str, images: int = IMAGES, seed: int = 0) -> np.ndarray:
    """Write toy images and their masks to ``images`` and ``masks`` of a folder, as PNG; return their labels, int (n,).

    Each shows noise, a pale bar that means nothing, and one bright textured shape anywhere: a disc (label 0) or a cross
    (label 1), as often as each other. The mask is the shape.
    """
    pictures, masks, labels = toy_images(images, SIDE, seed)
    names = [f"toy_{i:0{len(str(images))}}" for i in range(images)]
    _write(Path(folder), names, pictures, masks)
    return labels


def toy_images(images: int, side: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return toy images, uint8 (n, side, side, 3), their masks, bool (n, side, side), and labels, int (n,)."""
    if images < 1:
        raise ValueError(f"images is {images}: expected at least 1")
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(images) % 2)
    drawn = [_toy(generator, side, label) for label in labels]
    pictures, masks = (np.stack(parts) for parts in zip(*drawn, strict=True))
    return pictures, masks, labels


def _toy(generator: np.random.Generator, side: int, label: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw one image and its mask."""
    rows, columns = np.mgrid[:side, :side]
    radius = generator.uniform(0.14, 0.2) * side
    y, x = generator.uniform(radius, side - radius, 2)
    mask = np.hypot(rows - y, columns - x) <= radius
    if label:
        arms = np.minimum(np.abs(rows - y), np.abs(columns - x)) <= 0.35 * radius
        mask = arms & (np.maximum(np.abs(rows - y), np.abs(columns - x)) <= radius)
    shade = gaussian_filter(generator.standard_normal((side, side)), side / 8, mode="wrap")
    grey = 70 + 40 * shade / np.abs(shade).max()
    start = generator.uniform(0.1, 0.8) * side
    grey[(columns >= start) & (columns < start + 0.06 * side)] += 45
    texture = 25 * np.sin(2 * np.pi * (rows + columns) / (0.08 * side))
    grey = np.where(mask, 190 + texture, grey) + generator.normal(0, 14, (side, side))
    tint = generator.uniform(0.9, 1.1, 3)
    return np.clip(grey[..., None] * tint, 0, 255).astype(np.uint8), mask


def _write(folder: Path, names: list[str], pictures: np.ndarray, masks: np.ndarray) -> None:
    for kind, values in (("images", pictures[..., ::-1]), ("masks", masks.astype(np.uint8) * 255)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for name, one in zip(names, values, strict=True):
            cv2.imwrite(str(folder / kind / f"{name}.png"), one)


def prepare(folder: Path | str, profile: Profile) -> Example:
    """Write images to explain to a folder, and return a model that was trained on others of their kind.

    Real breast ultrasound and the book's network where the images are there; else the toy and a small ConvNet, trained
    in seconds.
    """
    try:
        ultrasound = image_sets.open_ultrasound()
    except DataError:
        return toy(folder)
    trained = train(image_sets.ultrasound(ultrasound, profile), start(), profile, fold=0)
    images, rows = trained.images, trained.rows_to_explain(SCANS)
    masks = np.stack([images.reference(row) >= 0.5 for row in rows])
    _write(Path(folder), [Path(images.names[row]).stem for row in rows], images.pictures[rows], masks)
    return Example(trained.network, images.classes, "real", f"{ultrasound.credit} Network: {trained.origin}.")


def toy(folder: Path | str, seed: int = 0) -> Example:
    """Write the toy to a folder, and return a small ConvNet that was trained on other toy images."""
    toy_folder(folder, IMAGES, seed)
    pictures, _, labels = toy_images(LEARNT, SIDE, seed + 1)
    model = fit(partial(small_convnet, len(CLASSES)), pictures, labels, IMAGENET, epochs=EPOCHS, rate=RATE, seed=seed)
    return Example(model, CLASSES, "simulated", "a toy of discs and crosses; network: a small ConvNet of the book.")
