"""Corruptions of MedMNIST-C, each with the parameters that its authors chose for one of the four sets of the study.

As in Di Salvo, Doerrich, Ledig 2024 (arXiv:2406.17536) and their package medmnistc 0.1.0, for images of 224 x 224. Its
program works on RGB, and makes grey of the result where the set is grey: noise is drawn for three colours there, so
that it is smaller in grey than its parameter says. Two things differ here:

- Motion blur is that of `medxai.robustness.corruptions` with the published radius and sigma; theirs is ImageMagick's.
- ``characters`` of DermaMNIST is missing: OpenCV 5 draws the letters of its font otherwise than OpenCV 4 did.

Parameters are in the published order: a black corner is largest at severity 4.

Operations are as in `medxai.robustness._operations`.
"""

import io
from collections.abc import Callable
from math import ceil

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor
from torch.nn import functional

from medxai.robustness._operations import (
    GAUSSIAN_NOISE,
    LOST,
    MOTION_BLUR,
    SPECKLE_NOISE,
    Amounts,
    Operation,
    look_up,
)

REACH = 8
"""How far the largest disc reaches, in pixels; images have to be larger."""


def luma(images: Tensor) -> Tensor:
    """Return the grey values of images (n, c, h, w), uint8 (n, 1, h, w), as Pillow rounds them (ITU-R 601-2)."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.int().split(1, 1)
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).byte()


def in_colour(operation: Operation) -> Operation:
    """Return an operation that draws for three colours, and makes grey of the result where images are grey."""

    def apply(images: Tensor, drawn: Tensor, amounts: Amounts, out: Tensor) -> None:
        if images.shape[1] == 3:
            operation.apply(images, drawn, amounts, out)
            return
        coloured = images.expand(-1, 3, -1, -1)
        corrupted = coloured.new_empty(len(amounts), *coloured.shape)
        operation.apply(coloured, drawn, amounts, corrupted)
        out.copy_(luma(corrupted.flatten(0, 1)).view_as(out))

    return Operation(apply, lambda generator, shape: operation.draw(generator, (3, *shape[1:])))


def uniform(generator: Generator, shape: tuple[int, int, int]) -> Tensor:
    """Draw values from [0, 1), float32 (c, h, w)."""
    return torch.rand(shape, generator=generator)


def two_uniform(generator: Generator, shape: tuple[int, int, int]) -> Tensor:
    """Draw two values from [0, 1) for each pixel, float32 (2, c, h, w)."""
    return torch.rand(2, *shape, generator=generator)


def impulse_noise(images: Tensor, drawn: Tensor, amounts: Amounts, out: Tensor) -> None:
    """Make a share of the values black or white, each as likely."""
    extreme = (drawn[:, 1] <= 0.5).byte() * 255
    for noisy, amount in zip(out, amounts, strict=True):
        noisy.copy_(torch.where(drawn[:, 0] <= amount, extreme, images))


def shot_noise(images: Tensor, drawn: Tensor, amounts: Amounts, out: Tensor) -> None:
    """Count photons, of which white has so many on average: Poisson(a x) / a.

    A count is the least number whose cumulative probability reaches what was drawn. The steps of all 256 values stand
    in one row, each value's in a unit of its own, so that one search finds them all.
    """
    values = torch.arange(256, dtype=torch.float64, device=images.device)
    sought = (images + drawn.double()).contiguous()
    for noisy, photons in zip(out, amounts, strict=True):
        counts = torch.arange(photons + 1, device=images.device)
        mean = (values[:, None] * photons / 255).clamp(min=1e-300)  # black: no photon, almost surely
        steps = values[:, None] + torch.special.gammaincc(counts + 1.0, mean)
        found = torch.searchsorted(steps.flatten(), sought) - images.long() * len(counts)
        noisy.copy_((found.double() / photons).clamp(0, 1) * 255)


def gaussian_blur(images: Tensor, drawn: None, amounts: Amounts, out: Tensor) -> None:
    """Average over a Gaussian in a square of so many pixels, which sets its width, too; torchvision's program."""
    from torchvision.transforms.v2.functional import gaussian_blur as blur

    for blurred, size in zip(out, amounts, strict=True):
        blurred.copy_(blur(images, [size, size]))


def defocus_blur(images: Tensor, drawn: None, amounts: Amounts, out: Tensor) -> None:
    """Average over a disc of a radius in pixels, whose edge is blurred with a deviation."""
    planes = functional.pad(images.float(), (REACH,) * 4, mode="reflect").flatten(0, 1)[:, None]
    kernels = torch.from_numpy(np.stack([_disc(radius, deviation) for radius, deviation in amounts]))
    blurred = functional.conv2d(planes, kernels[:, None].to(images.device)) + LOST  # (n c, amounts, h, w)
    out.copy_(blurred.clamp_(0, 255).transpose(0, 1).reshape(out.shape))


def _disc(radius: float, deviation: float) -> np.ndarray:
    """Return a disc in a square, float32 (17, 17), whose edge is blurred; its sum is 1."""
    steps = np.arange(-REACH, REACH + 1)
    disc = (steps**2 + steps[:, None] ** 2 <= radius**2).astype(np.float32)
    blurred = cv2.GaussianBlur(disc / disc.sum(), ksize=(3, 3), sigmaX=deviation)
    return np.where(blurred > 1e-9, blurred, 0)  # processors are slow with numbers as small as its corners


def zoom_blur(images: Tensor, drawn: None, amounts: Amounts, out: Tensor) -> None:
    """Average over the image and enlargements of it by 1 to so much, in steps; amounts are (end, step)."""
    pixels = images.float()
    for blurred, (end, step) in zip(out, amounts, strict=True):
        factors = np.arange(1, end, step)
        total = pixels + sum(_enlarged(pixels, factor) for factor in factors)
        blurred.copy_((total / (len(factors) + 1) + LOST).clamp_(0, 255))


def _enlarged(pixels: Tensor, factor: float) -> Tensor:
    """Return the middle of images enlarged to their size."""
    sides = pixels.shape[2:]
    part = _middle(pixels, [ceil(side / factor) for side in sides])
    size = [round(side * factor) for side in part.shape[2:]]
    return _middle(functional.interpolate(part, size=size, mode="bilinear", align_corners=True), sides)


def _middle(pixels: Tensor, sides: list[int]) -> Tensor:
    top, left = ((whole - side) // 2 for whole, side in zip(pixels.shape[2:], sides, strict=True))
    return pixels[:, :, top : top + sides[0], left : left + sides[1]]


def brightness_factor(images: Tensor, drawn: None, amounts: Amounts, out: Tensor) -> None:
    """Multiply values: a x."""
    _blend(images, torch.zeros(1, 1, device=images.device), amounts, out)


def contrast_factor(images: Tensor, drawn: None, amounts: Amounts, out: Tensor) -> None:
    """Move values away from the mean m of the image in grey, or towards it: (x - m) a + m."""
    means = (luma(images).flatten(1).double().mean(1, keepdim=True) + 0.5).floor().float()
    _blend(images, means, amounts, out)


def _blend(images: Tensor, middle: Tensor, amounts: Amounts, out: Tensor) -> None:
    """Apply (x - m) a + m in float32, as Pillow does; ``middle`` is a level, float32 (n, 1) or (1, 1)."""
    levels = torch.arange(256.0, device=images.device)
    tables = torch.stack([(levels - middle) * amount + middle for amount in amounts])
    look_up(images.reshape(len(middle), -1), tables, out)


def gamma_correction(images: Tensor, drawn: None, amounts: Amounts, out: Tensor) -> None:
    """Raise values in [0, 1] to a power; torchvision's 255.999 keeps black and white."""
    levels = torch.arange(256, dtype=torch.float64, device=images.device) / 255
    tables = torch.stack([255.999 * levels**amount for amount in amounts])
    look_up(images.reshape(1, -1), tables[:, None], out)


def black_corner(images: Tensor, drawn: None, amounts: Amounts, out: Tensor) -> None:
    """Blacken what is outside a circle in the middle; amounts are shares of half the shorter side."""
    height, width = images.shape[2:]
    half = min(height, width) // 2
    for covered, amount in zip(out, amounts, strict=True):
        circle = cv2.circle(np.zeros((height, width), np.uint8), (width // 2, height // 2), int(half * amount), 1, -1)
        covered.copy_(images * torch.from_numpy(circle).to(images.device))


def _each(change: Callable[[Image.Image, float], Image.Image]) -> Operation:
    """Return an operation that changes one picture of Pillow after the other."""

    def apply(images: Tensor, drawn: None, amounts: Amounts, out: Tensor) -> None:
        for number, pixels in enumerate(images.permute(0, 2, 3, 1).cpu().numpy()):
            picture = Image.fromarray(np.squeeze(pixels, 2) if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
            for row, amount in enumerate(amounts):
                changed = torch.from_numpy(np.array(change(picture, amount)))
                out[row, number].copy_(changed.view(pixels.shape).permute(2, 0, 1))

    return Operation(apply)


def pixelated(picture: Image.Image, share: float) -> Image.Image:
    """Return a picture scaled down to a share of its sides, at least a pixel, and up again without interpolation."""
    small = picture.resize([max(int(side * share), 1) for side in picture.size], Image.Resampling.BOX)
    return small.resize(picture.size, Image.Resampling.BOX)


def compressed(picture: Image.Image, quality: int) -> Image.Image:
    """Return a picture as it is after JPEG."""
    code = io.BytesIO()
    picture.save(code, "JPEG", quality=quality)
    return Image.open(code)


_PIXELATE, _JPEG = _each(pixelated), _each(compressed)
_GAUSSIAN, _SPECKLE = in_colour(GAUSSIAN_NOISE), in_colour(SPECKLE_NOISE)
_IMPULSE, _SHOT = in_colour(Operation(impulse_noise, two_uniform)), in_colour(Operation(shot_noise, uniform))
_DEFOCUS, _ZOOM, _BLUR = Operation(defocus_blur), Operation(zoom_blur), Operation(gaussian_blur)
_BRIGHTNESS, _CONTRAST, _GAMMA = Operation(brightness_factor), Operation(contrast_factor), Operation(gamma_correction)
_CORNER = Operation(black_corner)

CORRUPTIONS: dict[str, dict[str, tuple[Operation, Amounts]]] = {
    "breastmnist": {
        "pixelate": (_PIXELATE, (0.30, 0.25, 0.20, 0.15, 0.10)),
        "jpeg_compression": (_JPEG, (50, 30, 15, 10, 7)),
        "speckle_noise": (_SPECKLE, (0.10, 0.15, 0.20, 0.25, 0.30)),
        "motion_blur": (MOTION_BLUR, ((5, 5), (9, 7), (9, 10), (13, 10), (17, 12))),
        "brightness_up": (_BRIGHTNESS, (1.4, 1.5, 1.6, 1.8, 2.0)),
        "brightness_down": (_BRIGHTNESS, (0.55, 0.5, 0.45, 0.4, 0.3)),
        "contrast_down": (_CONTRAST, (0.9, 0.8, 0.7, 0.6, 0.4)),
    },
    "dermamnist": {
        "pixelate": (_PIXELATE, (0.7, 0.5, 0.40, 0.30, 0.25)),
        "jpeg_compression": (_JPEG, (30, 20, 15, 10, 7)),
        "gaussian_noise": (_GAUSSIAN, (0.04, 0.08, 0.12, 0.18, 0.26)),
        "speckle_noise": (_SPECKLE, (0.05, 0.15, 0.2, 0.35, 0.45)),
        "impulse_noise": (_IMPULSE, (0.01, 0.03, 0.06, 0.09, 0.17)),
        "shot_noise": (_SHOT, (60, 25, 18, 10, 5)),
        "defocus_blur": (_DEFOCUS, ((4, 0.1), (5, 0.2), (6, 0.3), (7, 0.4), (8, 0.5))),
        "motion_blur": (MOTION_BLUR, ((10, 5), (15, 5), (15, 8), (15, 12), (20, 15))),
        "zoom_blur": (_ZOOM, ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))),
        "brightness_up": (_BRIGHTNESS, (1.1, 1.2, 1.3, 1.4, 1.5)),
        "brightness_down": (_BRIGHTNESS, (0.9, 0.8, 0.7, 0.6, 0.5)),
        "contrast_up": (_CONTRAST, (1.1, 1.2, 1.3, 1.4, 1.6)),
        "contrast_down": (_CONTRAST, (0.8, 0.7, 0.6, 0.5, 0.4)),
        "black_corner": (_CORNER, (1.10, 1.05, 1.00, 0.90, 0.95)),
    },
    "pneumoniamnist": {
        "pixelate": (_PIXELATE, (0.8, 0.7, 0.6, 0.5, 0.40)),
        "jpeg_compression": (_JPEG, (50, 30, 15, 10, 7)),
        "gaussian_noise": (_GAUSSIAN, (0.04, 0.05, 0.06, 0.07, 0.08)),
        "speckle_noise": (_SPECKLE, (0.05, 0.07, 0.10, 0.15, 0.20)),
        "impulse_noise": (_IMPULSE, (0.005, 0.01, 0.013, 0.017, 0.02)),
        "shot_noise": (_SHOT, (300, 200, 150, 100, 80)),
        "gaussian_blur": (_BLUR, (3, 5, 7, 9, 11)),
        "brightness_up": (_BRIGHTNESS, (1.1, 1.2, 1.3, 1.4, 1.5)),
        "brightness_down": (_BRIGHTNESS, (0.9, 0.8, 0.7, 0.6, 0.5)),
        "contrast_up": (_CONTRAST, (1.1, 1.2, 1.3, 1.4, 1.6)),
        "contrast_down": (_CONTRAST, (0.9, 0.8, 0.7, 0.6, 0.4)),
        "gamma_corr_up": (_GAMMA, (1.1, 1.2, 1.3, 1.4, 1.6)),
        "gamma_corr_down": (_GAMMA, (0.9, 0.8, 0.7, 0.6, 0.4)),
    },
    "retinamnist": {
        "pixelate": (_PIXELATE, (0.8, 0.60, 0.50, 0.40, 0.35)),
        "jpeg_compression": (_JPEG, (30, 25, 20, 10, 5)),
        "gaussian_noise": (_GAUSSIAN, (0.04, 0.08, 0.12, 0.16, 0.20)),
        "speckle_noise": (_SPECKLE, (0.10, 0.15, 0.20, 0.25, 0.30)),
        "defocus_blur": (_DEFOCUS, ((4, 0.1), (5, 0.2), (6, 0.3), (7, 0.4), (8, 0.5))),
        "motion_blur": (MOTION_BLUR, ((8, 5), (15, 5), (15, 8), (15, 12), (20, 15))),
        "brightness_down": (_BRIGHTNESS, (0.9, 0.8, 0.7, 0.6, 0.5)),
        "contrast_down": (_CONTRAST, (0.9, 0.8, 0.7, 0.6, 0.4)),
    },
}
"""For each set of images, by the published names: the operation, and its parameters at severities 1 to 5."""
