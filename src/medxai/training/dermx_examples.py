"""Images with maps of experts as DermX is trained on them, and what is drawn from them for a step.

Two ways to see a picture. With early blocks that stay as they are, these run once on it and its flips, and what they
give is kept (`early_maps`); the experts' maps are flipped alike. Without, both are changed by
`medxai.training.augmentation`.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from medxai.errors import UnsupportedModel
from medxai.models.dermx import DermX, DermXOutput
from medxai.training.transfer import FLIPS, maps_of_flips

STRIDE = 16
"""Pixels of the picture to a pixel of the maps that are kept."""
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
    made_of: str = ""
    """A digest of what early maps were made of: it stands for their bytes, which differ in the last digits with the
    number of threads, where it is asked whether a checkpoint is of the same examples."""

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, rows: np.ndarray) -> "Examples":
        """Return some of the examples."""
        pictures = self.pictures[:, rows] if isinstance(self.pictures, Tensor) else self.pictures[rows]
        others = (self.labels, self.present, self.maps, self.counted, self.explained)
        return Examples(pictures, *(values[rows] for values in others), self.made_of)


def check(examples: Examples, model: DermX, where: str) -> None:
    """Raise a ValueError of one sentence unless examples have the shapes, names and sizes of a network.

    ``where`` names them. Whether all classes and characteristics are among them is asked by `check_taught`.
    """
    n, c, pictures = len(examples), len(model.characteristics), examples.pictures
    early, shape = isinstance(pictures, Tensor), tuple(pictures.shape)
    if not early and (len(shape) != 4 or shape[3] != 3 or pictures.dtype != np.uint8):
        raise ValueError(f"pictures {where} are {shape} of {pictures.dtype}: expected uint8 (n, h, w, 3)")
    if early and (len(shape) != 5 or shape[0] != len(FLIPS)):
        raise ValueError(f"early maps {where} are {shape}: expected ({len(FLIPS)}, n, k, h, w)")
    if not n or shape[int(early)] != n or examples.maps.ndim != 4 or len(examples.maps) != n:
        numbers = f"{shape[int(early)]} pictures, {n} labels and {len(examples.maps)} maps"
        raise ValueError(f"there are {numbers} {where}: expected as many of each, at least one")
    wanted = {"present": (n, c), "counted": (n, c), "explained": (n,), "maps": (n, c, *examples.maps.shape[2:])}
    for what, size in wanted.items():
        if (found := getattr(examples, what).shape) != size:
            raise ValueError(f"{what} {where} are {tuple(found)}: expected {size}, of images and characteristics")
    if examples.labels.min() < 0 or examples.labels.max() >= len(model.diseases):
        found = f"{examples.labels.min()} to {examples.labels.max()}"
        raise ValueError(f"labels {where} go from {found}: expected 0 to {len(model.diseases) - 1}")
    if c:
        _check_maps(examples.maps, None if early else shape[1:3], where)


def _check_maps(maps: np.ndarray, sides: tuple[int, ...] | None, where: str) -> None:
    """Raise a ValueError unless maps are shares, and where pictures are known have the ratio of their sides."""
    if sides and maps.shape[2] * sides[1] != maps.shape[3] * sides[0]:
        sizes = f"{maps.shape[2]} x {maps.shape[3]} pixels on pictures of {sides[0]} x {sides[1]}"
        raise ValueError(f"maps {where} have {sizes}: expected the same ratio of sides")
    if not (maps.min() >= 0 and maps.max() <= 1):
        raise ValueError(f"maps {where} go from {maps.min()} to {maps.max()}: expected 0 to 1")


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
    noted = list(getattr(backbone, "feature_info", ()))[:-1]  # the last is trained, whatever its stride
    ends = [stage["module"] for stage in noted if stage["reduction"] <= STRIDE]
    blocks: list[tuple[str, nn.Module]] = []
    for child, module in backbone.named_children():
        if child in ("global_pool", "head"):
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
        expected = backbone.forward_features(probe)
        try:
            found = late(early(probe))
        except RuntimeError:  # of sizes that do not fit, and of a list of modules, which cannot be called
            found = expected[:0]
    backbone.train(mode)
    if found.shape != expected.shape or not torch.allclose(found, expected, rtol=1e-4, atol=1e-5):
        raise UnsupportedModel(f"{name} is more than its blocks one after the other: train the whole network")
    return early, late


def early_maps(model: DermX, pictures: np.ndarray) -> Tensor:
    """Return what the blocks up to stride 16 give for pictures, uint8 (n, h, w, 3), and each of their `FLIPS`.

    float32 (4, n, k, h, w), 45 kB for an image and flip of 160 pixels in our default. They hold for every DermX with
    the same weights in these blocks: compute them once for all models and folds.
    """
    early, mode = parts(model)[0], model.training
    model.eval()
    found = maps_of_flips(early, model.normalisation.apply(pictures))
    model.train(mode)
    return found


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
