"""What a corruption does to a batch of images, for several amounts of it at once.

An operation draws random numbers for each image, and applies them to uint8 images (n, c, h, w) with 1 or 3 channels.
Results go to ``out``, uint8 (amounts, n, c, h, w). All amounts share what was drawn (common random numbers): only the
size of the noise, or the length of the motion, differs between them. Values become integers as in the reference
libraries: what is behind the point is cut off.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Generator, Tensor

SMALLEST = 32
"""Shortest side of an image, in pixels, that the reference library takes."""
LOST = 1e-4
"""More than sums in float32 may lose of a level: with it, a flat area keeps its level when it is cut off."""

Draw = Callable[[Generator, tuple[int, int, int]], Tensor]
"""Draws the random numbers of one image of the given (c, h, w)."""
Amounts = Sequence
"""Parameters of an operation, one for each severity: numbers, or tuples of them."""


@dataclass(frozen=True)
class Operation:
    """What a corruption draws, and how it changes images with that."""

    apply: Callable[[Tensor, Tensor | None, Amounts, Tensor], None]
    """Takes images, what was drawn for each of them (n, ...), amounts and ``out``."""
    draw: Draw | None = None


def normal(generator: Generator, shape: tuple[int, int, int]) -> Tensor:
    """Draw standard normal values, float32 (c, h, w)."""
    return torch.randn(shape, generator=generator)


def angle(generator: Generator, shape: tuple[int, int, int]) -> Tensor:
    """Draw the direction of a motion in degrees, float64 () from -45 to 45: to the left, and up if above 0."""
    return torch.empty((), dtype=torch.float64).uniform_(-45, 45, generator=generator)


def gaussian_noise(images: Tensor, field: Tensor, amounts: Amounts, out: Tensor) -> None:
    """Add noise: x + a N, with x in [0, 1] and a an amount."""
    _add(images.double(), field.double(), [255 * amount for amount in amounts], out)


def speckle_noise(images: Tensor, field: Tensor, amounts: Amounts, out: Tensor) -> None:
    """Add noise in proportion to the value: x + a x N."""
    pixels = images.double()
    _add(pixels, pixels * field, amounts, out)


def _add(pixels: Tensor, noise: Tensor, amounts: Amounts, out: Tensor) -> None:
    for noisy, amount in zip(out, amounts, strict=True):
        noisy.copy_(torch.add(pixels, noise, alpha=amount).clamp_(0, 255))


def motion_weights(amounts: Amounts) -> Tensor:
    """Return the weight of each step of a motion, float64 (amounts, steps), for amounts (radius, sigma) in pixels.

    Half a Gaussian over 2 radius + 1 steps, with a sum of 1; 0 beyond.
    """
    steps = torch.arange(max(2 * radius + 1 for radius, _ in amounts), dtype=torch.float64)
    weights = [torch.exp(-(steps**2) / (2 * sigma**2)) * (steps <= 2 * radius) for radius, sigma in amounts]
    return torch.stack([weight / weight.sum() for weight in weights])


def motion_path(angles: Tensor, steps: int) -> Tensor:
    """Return how far right and down each step of a motion moves an image, int64 (n, steps, 2), in pixels."""
    turns = torch.deg2rad(angles)
    directions = torch.stack([turns.cos(), turns.sin()], 1)
    along = torch.arange(steps, dtype=torch.float64)[:, None]
    return -torch.ceil(along * directions[:, None] - 0.5).long()


def motion_blur(images: Tensor, angles: Tensor, amounts: Amounts, out: Tensor) -> None:
    """Average an image over the steps of a motion, with its edge continued.

    A step as long as the image is left out, as in the reference library, where images of 32 to 40 pixels get darker by
    that; smaller images, which that library refuses, keep their edge instead.
    """
    height, width = images.shape[2:]
    weights = motion_weights(amounts)
    path = motion_path(angles.cpu(), weights.shape[1])
    inside = (path.abs() < torch.tensor([width, height])).all(2) | (min(height, width) < SMALLEST)
    each = (weights * inside[:, None]).to(images.device, torch.float32)  # (n, amounts, steps)
    across, down = path.abs().amax((0, 1)).tolist()
    rows = torch.arange(-down, height + down).clamp(0, height - 1)
    columns = torch.arange(-across, width + across).clamp(0, width - 1)
    padded = images[:, :, rows[:, None], columns]
    moved = each.new_empty(weights.shape[1], *images.shape[1:])
    for number, steps in enumerate(path.tolist()):
        for view, (right, lower) in zip(moved.unbind(), steps, strict=True):
            top, left = down - lower, across - right
            view.copy_(padded[number, :, top : top + height, left : left + width])
        blurred = each[number] @ moved.flatten(1)
        out[:, number].copy_(blurred.add_(LOST).view(-1, *images.shape[1:]))


def contrast(images: Tensor, drawn: None, amounts: Amounts, out: Tensor) -> None:
    """Draw values towards the mean m of their channel: (x - m) a + m."""
    size = images.shape[2] * images.shape[3]
    means = images.sum((2, 3)).double().view(-1, 1) / size / 255  # (n c, 1)
    levels = torch.arange(256, dtype=torch.float64, device=images.device) / 255
    tables = torch.stack([(levels - means) * amount + means for amount in amounts])
    look_up(images.reshape(-1, size), 255 * tables, out)


def brightness(images: Tensor, drawn: None, amounts: Amounts, out: Tensor) -> None:
    """Add to the value of a colour in the space of hue, saturation and value; hue and saturation stay as they are.

    The value V is the largest channel, so a channel x becomes x min(V + a, 1) / V, and black a grey of a.
    """
    largest = images.amax(1, keepdim=True).long()
    tables = _brightness_tables(tuple(amounts)).to(images.device)
    look_up((256 * largest + images).reshape(1, -1), tables, out)


@cache
def _brightness_tables(amounts: tuple[float, ...]) -> Tensor:
    """Return new levels, float64 (amounts, 1, 65536), by 256 times the largest channel and a channel.

    In the order of scikit-image's program, so that largest and smallest channel are cut off as they are there.
    """
    levels = torch.arange(256, dtype=torch.float64) / 255
    largest, channel = levels[:, None], levels
    saturation = ((largest - channel) / largest).nan_to_num(0)  # black has none
    tables = torch.stack([(largest + amount).clamp(max=1) * (1 - saturation) for amount in amounts])
    return 255 * tables.view(-1, 1, 65536)


def look_up(index: Tensor, tables: Tensor, out: Tensor) -> None:
    """Replace values by tables: row r of ``index`` (r, k) by row r of each of the ``tables`` (amounts, r, values).

    ``index`` holds integers, ``tables`` levels of 255 as floating-point numbers, which are clipped and cut off.
    """
    levels = tables.clamp(0, 255).byte()
    index = index.long().expand(len(levels), -1, -1)
    torch.gather(levels, 2, index, out=out.view(len(levels), *index.shape[1:]))


GAUSSIAN_NOISE = Operation(gaussian_noise, normal)
SPECKLE_NOISE = Operation(speckle_noise, normal)
MOTION_BLUR = Operation(motion_blur, angle)
CONTRAST = Operation(contrast)
BRIGHTNESS = Operation(brightness)
