"""Corrupted versions of images: five corruptions of ImageNet-C, and those of MedMNIST-C, at severities 1 to 5.

A corruption has a ``kind``, a ``severity`` and a set of ``constants``:

- ``"224"``: ImageNet-C, for 224 pixels; ``"64"``: Tiny-ImageNet-C; ``"32"``: CIFAR-C. Each has the five `KINDS`.
- ``"breastmnist"``, ``"dermamnist"``, ``"pneumoniamnist"``, ``"retinamnist"``: MedMNIST-C, for 224 pixels, with the
  kinds that its authors found fitting for that set of images (`medxai.robustness.medmnistc`).

``kinds_of(constants)`` tells which. Images are uint8 (n, c, h, w) with 1 or 3 channels, on any device; what is grey
stays grey. No image is resized: choose constants for the size that the images have.

**Random numbers** of an image depend on ``seed``, its key and the kind alone, and on its shape: neither on the severity
nor on the other images of the batch nor on the device, since they are drawn on the processor. So severities differ by
the amount of one and the same noise. Other processors or versions of torch may round them otherwise.

**Equality.** With the same random numbers, colour images of at least 32 pixels get the values of the library
imagecorruptions 1.1.2: all of them for Gaussian noise, speckle noise and contrast, all within one level of 255 for
motion blur and brightness. Its motion blur stands for ImageMagick's, with which ImageNet-C was made.

Sources: Hendrycks, Dietterich 2019 (ICLR, arXiv:1903.12261), whose programs in the repository hendrycks/robustness hold
formulas and parameters; Michaelis et al. 2019 (arXiv:1907.07484) for imagecorruptions; Di Salvo, Doerrich, Ledig 2024
(arXiv:2406.17536) for MedMNIST-C.
"""

import zlib
from collections.abc import Iterator, Sequence
from numbers import Integral

import torch
from torch import Generator, Tensor

from medxai.robustness import medmnistc
from medxai.robustness._operations import (
    BRIGHTNESS,
    CONTRAST,
    GAUSSIAN_NOISE,
    MOTION_BLUR,
    SPECKLE_NOISE,
    Amounts,
    Operation,
    motion_path,
    motion_weights,
)

SEVERITIES = (1, 2, 3, 4, 5)
_OPERATIONS = {
    "gaussian_noise": GAUSSIAN_NOISE,
    "speckle_noise": SPECKLE_NOISE,
    "motion_blur": MOTION_BLUR,
    "contrast": CONTRAST,
    "brightness": BRIGHTNESS,
}
KINDS = tuple(_OPERATIONS)
"""The five corruptions of the study."""
VERSIONS = tuple((kind, severity) for kind in KINDS for severity in SEVERITIES)
"""The 25 versions of an image, in the order in which `versions` returns them."""

_IMAGENET_C = {
    "224": {
        "gaussian_noise": (0.08, 0.12, 0.18, 0.26, 0.38),
        "speckle_noise": (0.15, 0.2, 0.35, 0.45, 0.6),
        "motion_blur": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
        "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    },
    "64": {
        "gaussian_noise": (0.04, 0.08, 0.12, 0.15, 0.18),
        "speckle_noise": (0.15, 0.2, 0.25, 0.3, 0.35),
        "motion_blur": ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
        "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
        "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    },
    "32": {
        "gaussian_noise": (0.04, 0.06, 0.08, 0.09, 0.10),
        "speckle_noise": (0.06, 0.1, 0.12, 0.16, 0.2),
        "motion_blur": ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
        "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    },
}
"""Parameters of severities 1 to 5, from make_imagenet_c.py, make_tinyimagenet_c.py and make_cifar_c.py: deviations of
noise, (radius, sigma) of motion in pixels, factors of contrast, what is added to brightness."""
_CORRUPTIONS: dict[str, dict[str, tuple[Operation, Amounts]]] = {
    name: {kind: (_OPERATIONS[kind], amounts) for kind, amounts in of_kind.items()}
    for name, of_kind in _IMAGENET_C.items()
} | medmnistc.CORRUPTIONS


def kinds_of(constants: str) -> tuple[str, ...]:
    """Return the kinds of corruptions that a set of constants has; a ValueError says which sets there are."""
    return tuple(_of(constants))


def corrupt(images: Tensor, kind: str, severity: int, keys: Tensor, *, seed: int = 0, constants: str = "224") -> Tensor:
    """Return images with one corruption.

    Parameters
    ----------
    images
        uint8 (n, c, h, w) with 1 or 3 channels.
    kind
        One of ``kinds_of(constants)``.
    severity
        1 to 5.
    keys
        int64 (n,): what tells each image from all others, as its number in a data set. Keys that differ by less than
        2**32 have random numbers of their own.
    seed
        Any integer; for other random numbers.
    constants
        Which parameters.

    Returns
    -------
    torch.Tensor
        uint8 (n, c, h, w), on the device of the images.

    Raises
    ------
    ValueError
        In one sentence, if an argument is none of these.
    """
    out = _empty(images, keys, constants, 1)
    _corrupt(images, kind, [_checked(severity)], keys, seed, constants, out)
    return out[0]


def versions(
    images: Tensor,
    keys: Tensor,
    *,
    seed: int = 0,
    constants: str = "224",
    kinds: Sequence[str] = KINDS,
    severities: Sequence[int] = SEVERITIES,
) -> Tensor:
    """Return images with each of the corruptions at each severity; arguments and ValueError as for `corrupt`.

    Returns
    -------
    torch.Tensor
        uint8 (kinds * severities, n, c, h, w): all severities of the first kind, then those of the next. With the five
        `KINDS` and `SEVERITIES` row i is ``VERSIONS[i]``. Each is what `corrupt` returns; motion blur may differ by one
        level.
    """
    severities = tuple(_checked(severity) for severity in severities)
    out = _empty(images, keys, constants, len(kinds) * len(severities))
    for kind, rows in zip(kinds, out.unflatten(0, (len(kinds), len(severities))), strict=True):
        _corrupt(images, kind, severities, keys, seed, constants, rows)
    return out


def motion_shift(keys: Tensor, severity: int, *, seed: int = 0, constants: str = "224") -> Tensor:
    """Return by how much motion blur moves what is in an image: the mean of the motion that is drawn for its key.

    The motion starts at the image and goes to one side of it, so that a map that follows an object exactly moves with
    it. Things near the border, where the edge is continued, move less, as do those in images of less than 41 pixels.

    Returns
    -------
    torch.Tensor
        float64 (n, 2), not on a GPU: to the right and downwards, in pixels. The motion goes left, and up or down by at
        most 45 degrees.

    Raises
    ------
    ValueError
        In one sentence, if an argument is none of those of `corrupt`, or if the constants have no motion blur.
    """
    operation, amounts = _found("motion_blur", constants)
    weights = motion_weights([amounts[_checked(severity) - 1]])[0]
    _check_keys(keys)
    angles = _drawn(operation, _seeds(keys, "motion_blur", seed), (0, 0, 0))
    return torch.einsum("k,nkd->nd", weights, motion_path(angles, len(weights)).double())


def _corrupt(
    images: Tensor, kind: str, severities: Sequence[int], keys: Tensor, seed: int, constants: str, out: Tensor
) -> None:
    operation, amounts = _found(kind, constants)
    drawn = None
    if operation.draw is not None:
        drawn = _drawn(operation, _seeds(keys, kind, seed), tuple(images.shape[1:])).to(images.device)
    operation.apply(images, drawn, [amounts[severity - 1] for severity in severities], out)


def _seeds(keys: Tensor, kind: str, seed: int) -> Iterator[int]:
    """Yield a seed for each image: torch takes 32 bits of it, and an odd factor keeps 2**32 keys apart."""
    start = zlib.crc32(f"{seed:d} {kind}".encode())
    return ((start + 0x9E3779B1 * key) % 2**32 for key in keys.tolist())


def _drawn(operation: Operation, seeds: Iterator[int], shape: tuple[int, int, int]) -> Tensor:
    """Draw the random numbers of each image, (n, ...)."""
    generator = Generator()
    return torch.stack([operation.draw(generator.manual_seed(seed), shape) for seed in seeds])


def _of(constants: str) -> dict[str, tuple[Operation, Amounts]]:
    if constants not in _CORRUPTIONS:
        raise ValueError(f"constants is {constants!r}: expected one of {', '.join(map(repr, _CORRUPTIONS))}")
    return _CORRUPTIONS[constants]


def _found(kind: str, constants: str) -> tuple[Operation, Amounts]:
    if kind not in _of(constants):
        raise ValueError(f"kind is {kind!r}: expected one of {', '.join(kinds_of(constants))}")
    return _of(constants)[kind]


def _checked(severity: int) -> int:
    if isinstance(severity, bool) or not isinstance(severity, Integral) or severity not in SEVERITIES:
        raise ValueError(f"severity is {severity!r}: expected an integer from 1 to 5")
    return int(severity)


def _check_keys(keys: Tensor, number: int | None = None) -> None:
    right = isinstance(keys, Tensor) and keys.dtype == torch.int64 and keys.ndim == 1 and len(keys) > 0
    if not right or number not in (None, len(keys)):
        raise ValueError(f"keys are {_told(keys)}: expected torch.int64 ({number or 'n'},), one for each image")


def _empty(images: Tensor, keys: Tensor, constants: str, number: int) -> Tensor:
    """Return room for some versions of images, uint8 (number, n, c, h, w), if the images and their keys are right."""
    right = isinstance(images, Tensor) and images.dtype == torch.uint8 and images.ndim == 4
    if not right or images.shape[1] not in (1, 3) or 0 in images.shape:
        told = "torch.uint8 (n, c, h, w) with 1 or 3 channels, none of it 0"
        raise ValueError(f"images are {_told(images)}: expected {told}")
    if constants in medmnistc.CORRUPTIONS and min(images.shape[2:]) <= medmnistc.REACH:
        told = " x ".join(map(str, images.shape[2:]))
        raise ValueError(f"images are {told} pixels: expected sides above {medmnistc.REACH} for {constants!r}")
    _check_keys(keys, len(images))
    return images.new_empty(number, *images.shape)


def _told(value: object) -> str:
    return f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
