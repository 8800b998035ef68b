"""Pictures and their maps rotated, scaled, moved and flipped together, and pictures in other colours, at random.

For a whole step at once. All is drawn from torch's global generator.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from medxai.models.normalisation import Normalisation


class Changes(NamedTuple):
    """How much a picture may change."""

    rotation: float
    """Degrees, at most."""
    zoom: float
    """Of its size, at most so much away from 1."""
    shift: float = 0.0
    """Of a side, at most."""
    shear: float = 0.0
    """Degrees, at most."""
    flips: bool = False
    """Whether it may be turned left to right and upside down."""
    brightness: tuple[float, float] = (1.0, 1.0)
    """Least and largest factor."""
    contrast: float = 0.0
    saturation: float = 0.0
    """Factors, at most so much away from 1."""
    hue: float = 0.0
    """Of a turn of the circle of hues, at most."""


DERMX = Changes(10.0, 0.15, 0.15, flips=True, brightness=(0.65, 1.35), contrast=0.20, saturation=0.20, hue=0.15)
"""Table B.12 of the DermX paper (Jalaboi et al. 2023, Medical Image Analysis 83:102647)."""
GREY = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in brightness."""


def augmented(
    pictures: np.ndarray, maps: Tensor, normalisation: Normalisation, changes: Changes = DERMX
) -> tuple[Tensor, Tensor]:
    """Return images as the network wants them and their maps, moved alike at random by torch's global generator.

    What comes in from outside has the mean colour, and no map. Maps are interpolated as pictures are, since they are
    shares of experts; the paper's public program takes the nearest pixel of masks.
    """
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    seen = (255 * _recoloured(pixels, changes)).round().byte().permute(0, 2, 3, 1).numpy()
    images, places = normalisation.apply(seen), _places(changes, len(pictures), *pictures.shape[1:3])
    return _moved(images, places), _moved(maps, places) if maps.numel() else maps


def _moved(images: Tensor, places: Tensor) -> Tensor:
    grid = functional.affine_grid(places, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def _places(changes: Changes, number: int, height: int, width: int) -> Tensor:
    """Draw where each image is read, float32 (number, 2, 3): in shares of half a side, from its middle."""
    turn = torch.deg2rad(_around(0, changes.rotation, number))
    size, lean = 1 / _around(1, changes.zoom, number, 1), torch.deg2rad(_around(0, changes.shear, number))
    flip = 1 - 2 * torch.randint(2, (number, 2)).float() if changes.flips else torch.ones(number, 2)
    shift = 2 * _around(0, changes.shift, number, 2)
    cosine, sine = turn.cos(), turn.sin()
    rows = [cosine, -sine * height / width, sine * width / height, cosine]  # a rotation is one of pixels
    nothing = torch.zeros(number)
    sheared = torch.stack([nothing + 1, -lean.sin() * height / width, nothing, lean.cos()], 1).view(number, 2, 2)
    matrix = torch.stack(rows, 1).view(number, 2, 2) @ sheared * (size * flip)[:, None]
    return torch.cat([matrix, shift[:, :, None]], 2)


def _recoloured(pixels: Tensor, changes: Changes) -> Tensor:
    """Change brightness, contrast, saturation and hue of images (n, 3, h, w) in [0, 1]; they stay there.

    A hue is turned about the axis of grey, which is one product of matrices, and not in a space of hue and value.
    """
    number = len(pixels)
    turn = 2 * torch.pi * _around(0, changes.hue, number, 1, 1)
    axis = torch.full((3, 3), 1 / 3)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    hue = turn.cos() * torch.eye(3) + (1 - turn.cos()) * axis + turn.sin() * cross
    grey, strength = torch.tensor(GREY).expand(3, 3), _around(1, changes.saturation, number, 1, 1)
    low, high = changes.brightness
    colour = _around((low + high) / 2, (high - low) / 2, number, 1, 1) * (
        (strength * torch.eye(3) + (1 - strength) * grey) @ hue
    )
    pixels = torch.einsum("nij,njhw->nihw", colour, pixels)
    mean = torch.einsum("j,njhw->n", torch.tensor(GREY), pixels) / (pixels.shape[2] * pixels.shape[3])
    contrast = _around(1, changes.contrast, number, 1, 1, 1)
    return (contrast * pixels + (1 - contrast) * mean[:, None, None, None]).clamp(0, 1)


def _around(middle: float, most: float, *shape: int) -> Tensor:
    """Draw numbers that are at most so far from the middle, each as likely."""
    return middle + most * (2 * torch.rand(*shape) - 1)
