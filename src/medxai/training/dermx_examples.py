"""Images with maps of experts as DermX is trained on them, and what is drawn from them for a step.

Two ways to see a picture. With early blocks that stay as they are, these run once on it and its flips, and what they
give is kept (`early_maps`); the experts' maps are flipped alike. Without, pictures and maps are rotated, scaled, moved
and flipped together, and colours changed, by table B.12 of the DermX paper (Jalaboi et al. 2023, Medical Image Analysis
83:102647).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from medxai.errors import UnsupportedModel
from medxai.models.dermx import DermX, DermXOutput
from medxai.models.normalisation import Normalisation

STRIDE = 16
"""Pixels of the picture to a pixel of the maps that are kept."""
FLIPS = ((), (3,), (2,), (2, 3))
"""The axes that are turned round: by the number's first bit left and right, by its second up and down."""
ROTATION, ZOOM, SHIFT = 10.0, 0.15, 0.15
"""Table B.12: at most so many degrees; of the size; of a side."""
BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.35, 0.20, 0.20, 0.15
"""Table B.12: at most so much away from 1, and of a turn of the circle of hues."""
GREY = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in brightness."""
CHUNK = 32


@dataclass(frozen=True, eq=False)
class Examples:
    """Images, n, with c characteristics."""

    pictures: np.ndarray | Tensor
    """uint8 (n, height, width, 3); or `early_maps` of them, float32 (4, n, k, h, w)."""
    labels: np.ndarray
    """int (n,): the diagnosis."""
    present: np.ndarray
    """bool (n, c): which characteristics it has."""
    maps: np.ndarray
    """float32 (n, c, height, width) in [0, 1], at least as fine as the attention, to whose size they are averaged."""
    counted: np.ndarray
    """bool or float (n, c): what counts in the loss of attention."""
    explained: np.ndarray
    """bool (n,): whether the characteristics are known. Of the others only the diagnosis is learnt."""

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, rows: np.ndarray) -> "Examples":
        """Return some of the examples."""
        pictures = self.pictures[:, rows] if isinstance(self.pictures, Tensor) else self.pictures[rows]
        others = (self.labels, self.present, self.maps, self.counted, self.explained)
        return Examples(pictures, *(values[rows] for values in others))


def check(examples: Examples, model: DermX, where: str) -> None:
    """Raise a ValueError of one sentence unless examples have the shapes, names and sizes of a network.

    ``where`` names them. Whether all classes and characteristics are among them is asked by `check_taught`.
    """
    n, c, early = len(examples), len(model.characteristics), isinstance(examples.pictures, Tensor)
    shape = tuple(examples.pictures.shape)
    if not early and (len(shape) != 4 or shape[3] != 3 or examples.pictures.dtype != np.uint8):
        raise ValueError(f"pictures {where} are {shape} of {examples.pictures.dtype}: expected uint8 (n, h, w, 3)")
    if early and (len(shape) != 5 or shape[0] != len(FLIPS)):
        raise ValueError(f"early maps {where} are {shape}: expected ({len(FLIPS)}, n, k, h, w)")
    pictures, (height, width) = (shape[1], shape[3:]) if early else (shape[0], shape[1:3])
    if not n or pictures != n or examples.maps.ndim != 4 or len(examples.maps) != n:
        numbers = f"{pictures} pictures, {n} labels and {len(examples.maps)} maps"
        raise ValueError(f"there are {numbers} {where}: expected as many of each, at least one")
    for what, found, wanted in (
        ("present", examples.present.shape, (n, c)),
        ("counted", examples.counted.shape, (n, c)),
        ("explained", examples.explained.shape, (n,)),
        ("maps", examples.maps.shape[:2], (n, c)),
    ):
        if tuple(found) != wanted:
            raise ValueError(f"{what} {where} are {tuple(found)}: expected {wanted}, of images and characteristics")
    down, across = examples.maps.shape[2:]
    if c and not early and down * width != across * height:
        sizes = f"{down} x {across} pixels on pictures of {height} x {width}"
        raise ValueError(f"maps {where} have {sizes}: expected the same ratio of sides")
    if c and not (examples.maps.min() >= 0 and examples.maps.max() <= 1):
        raise ValueError(f"maps {where} go from {examples.maps.min()} to {examples.maps.max()}: expected 0 to 1")
    if examples.labels.min() < 0 or examples.labels.max() >= len(model.diseases):
        found = f"{examples.labels.min()} to {examples.labels.max()}"
        raise ValueError(f"labels {where} go from {found}: expected 0 to {len(model.diseases) - 1}")


def check_taught(examples: Examples, model: DermX) -> None:
    """Raise a ValueError of one sentence if a disease or a characteristic has no image to be learnt from."""
    for number, name in enumerate(model.diseases):
        if not (examples.labels == number).any():
            raise ValueError(f"{name} is the diagnosis of none of {len(examples)} training images: expected one")
    for number, name in enumerate(model.characteristics):
        if not examples.present[examples.explained, number].any():
            known = int(examples.explained.sum())
            raise ValueError(f"{name} is present in none of {known} explained training images: expected one")


def parts(model: DermX) -> tuple[nn.Sequential, nn.Sequential]:
    """Return the blocks of the backbone up to stride 16, and those after: its own modules, not copies.

    Raises
    ------
    UnsupportedModel
        If timm notes no strides, or one block after the other does not give the backbone's feature maps.
    """
    backbone, name = model.backbone, type(model.backbone).__name__
    ends = [stage["module"] for stage in getattr(backbone, "feature_info", ()) if stage["reduction"] <= STRIDE]
    blocks: list[tuple[str, nn.Module]] = []
    for child, module in backbone.named_children():
        if child == "global_pool":
            break
        inner = ends and ends[-1].startswith(f"{child}.")
        blocks += [(f"{child}.{key}", one) for key, one in module.named_children()] if inner else [(child, module)]
    names = [key for key, _ in blocks]
    if not ends or ends[-1] not in names:
        raise UnsupportedModel(f"{name} has no blocks up to stride {STRIDE} that timm notes: train the whole network")
    cut = names.index(ends[-1]) + 1
    early, late = (nn.Sequential(*(one for _, one in some)) for some in (blocks[:cut], blocks[cut:]))
    mode, weight = backbone.training, next(backbone.parameters())
    backbone.eval()
    probe = torch.linspace(-1, 1, 3 * 64 * 64, dtype=weight.dtype, device=weight.device).view(1, 3, 64, 64)
    with torch.no_grad():
        same = torch.allclose(late(early(probe)), backbone.forward_features(probe), rtol=1e-4, atol=1e-5)
    backbone.train(mode)
    if not same:
        raise UnsupportedModel(f"{name} is more than its blocks one after the other: train the whole network")
    return early, late


def early_maps(model: DermX, pictures: np.ndarray) -> Tensor:
    """Return what the blocks up to stride 16 give for pictures, uint8 (n, h, w, 3), and each of their `FLIPS`.

    float32 (4, n, k, h, w), some 160 kB an image and flip of 160 pixels in our default. They hold for every DermX with
    the same weights in these blocks: compute them once for all models and folds.
    """
    early, mode = parts(model)[0], model.training
    model.eval()
    found = []
    with torch.no_grad():
        for some in np.array_split(pictures, -(-len(pictures) // CHUNK)):
            images = model.normalisation.apply(some)
            found.append(torch.stack([early(images.flip(axes) if axes else images) for axes in FLIPS]))
    model.train(mode)
    return torch.cat(found, 1)


def flipped(maps: Tensor, flips: Tensor) -> Tensor:
    """Return each of the maps (n, c, h, w) turned round as its entry of ``flips``, int (n,), says by `FLIPS`."""
    for bit, axis in ((1, 3), (2, 2)):
        maps = torch.where((flips & bit).bool()[:, None, None, None], maps.flip(axis), maps)
    return maps


def with_early_maps(examples: Examples, model: DermX) -> Examples:
    """Return the examples with `early_maps` in place of their pictures, unless they have these."""
    if isinstance(examples.pictures, Tensor):
        return examples
    return replace(examples, pictures=early_maps(model, examples.pictures))


def run(model: DermX, late: nn.Module | None, seen: Tensor) -> DermXOutput:
    """Return what a network says of images, or of early maps where the part ``late`` goes on with them."""
    seen = seen.contiguous(memory_format=torch.channels_last)
    return model(seen) if late is None else model.heads(late(seen))


def check_sizes(examples: Examples, model: DermX, late: nn.Module | None) -> None:
    """Raise a ValueError of one sentence if maps are coarser than the attention, or early maps of another network."""
    first, mode = unflipped(examples.rows(np.arange(1)), model), model.training
    model.eval()
    try:
        with torch.no_grad():
            output = run(model, late, first)
    except RuntimeError as error:
        raise ValueError(
            f"the network refuses {tuple(first.shape)}: expected images or early maps of its own"
        ) from error
    finally:
        model.train(mode)
    found, wanted = examples.maps.shape[2:], None if output.attention is None else tuple(output.attention.shape[2:])
    if wanted and any(a < b for a, b in zip(found, wanted, strict=True)):
        raise ValueError(f"maps have {found[0]} x {found[1]} pixels: expected at least {wanted[0]} x {wanted[1]}")


def shrunk(maps: Tensor, size: torch.Size) -> Tensor:
    """Return maps (n, c, h, w) averaged to the size of the attention."""
    return maps if maps.shape[2:] == size else functional.adaptive_avg_pool2d(maps, size)


def unflipped(some: Examples, model: DermX) -> Tensor:
    """Return what a network, or its late part, is given to see pictures as they are."""
    pictures = some.pictures
    return pictures[0] if isinstance(pictures, Tensor) else model.normalisation.apply(pictures)


def joined(outputs: list[DermXOutput]) -> DermXOutput:
    """Return the outputs of several parts as one."""
    return DermXOutput(*(None if parts[0] is None else torch.cat(parts) for parts in zip(*outputs, strict=True)))


def augmented(pictures: np.ndarray, maps: Tensor, normalisation: Normalisation) -> tuple[Tensor, Tensor]:
    """Return images as the network wants them and their maps, moved alike at random by torch's global generator.

    What comes in from outside has the mean colour, and no map. Maps are interpolated as pictures are, since they are
    shares of experts; the paper's public program takes the nearest pixel of masks.
    """
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    seen = (255 * _recoloured(pixels)).round().byte().permute(0, 2, 3, 1).numpy()
    images, places = normalisation.apply(seen), _places(len(pictures), *pictures.shape[1:3])
    return _moved(images, places), _moved(maps, places) if maps.numel() else maps


def _moved(images: Tensor, places: Tensor) -> Tensor:
    grid = functional.affine_grid(places, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def _places(number: int, height: int, width: int) -> Tensor:
    """Draw where each image is read, float32 (number, 2, 3): in shares of half a side, from its middle."""
    turn = torch.deg2rad(_around(0, ROTATION, number))
    size, flip = 1 / _around(1, ZOOM, number, 1), 1 - 2 * torch.randint(2, (number, 2)).float()
    shift = 2 * _around(0, SHIFT, number, 2)
    cosine, sine = turn.cos(), turn.sin()
    rows = [cosine, -sine * height / width, sine * width / height, cosine]  # a rotation is one of pixels
    matrix = torch.stack(rows, 1).view(number, 2, 2) * (size * flip)[:, None]
    return torch.cat([matrix, shift[:, :, None]], 2)


def _recoloured(pixels: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue of images (n, 3, h, w) in [0, 1]; they stay there.

    A hue is turned about the axis of grey, which is one product of matrices, and not in a space of hue and value.
    """
    number = len(pixels)
    turn = 2 * torch.pi * _around(0, HUE, number, 1, 1)
    axis = torch.full((3, 3), 1 / 3)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    hue = turn.cos() * torch.eye(3) + (1 - turn.cos()) * axis + turn.sin() * cross
    grey, strength = torch.tensor(GREY).expand(3, 3), _around(1, SATURATION, number, 1, 1)
    colour = _around(1, BRIGHTNESS, number, 1, 1) * ((strength * torch.eye(3) + (1 - strength) * grey) @ hue)
    pixels = torch.einsum("nij,njhw->nihw", colour, pixels)
    mean = torch.einsum("j,njhw->n", torch.tensor(GREY), pixels) / (pixels.shape[2] * pixels.shape[3])
    contrast = _around(1, CONTRAST, number, 1, 1, 1)
    return (contrast * pixels + (1 - contrast) * mean[:, None, None, None]).clamp(0, 1)


def _around(middle: float, most: float, *shape: int) -> Tensor:
    """Draw numbers that are at most so far from the middle, each as likely."""
    return middle + most * (2 * torch.rand(*shape) - 1)
