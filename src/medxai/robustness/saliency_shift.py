"""How far explanations move when images get worse.

Each image is explained as it is and in every corrupted version (`medxai.robustness.corruptions`), at several layers
from one pass forwards and one backwards. Maps are resized to the image, bilinearly, and scaled to 256 grey levels each;
the map of every version is then compared with that of the original (`medxai.evaluation.map_similarity`).

What a similarity is worth is told by two controls, which are compared in the same way: the map of *another image*, and
the map of the same image by a network of *random weights*.

The work is done in parts of a few images that are kept as they are finished, so that a run can be stopped at any time
and goes on where it was, and needs no more memory for more images. On a processor the same command gives the same
table to the last bit, whether it was stopped or not.
"""

import hashlib
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from medxai import attribution, evaluation, robustness
from medxai.attribution import feature_maps
from medxai.attribution.feature_maps import Layout
from medxai.errors import positive
from medxai.evaluation import map_similarity, sanity
from medxai.models.normalisation import HALF, Normalisation
from medxai.robustness import _parts, corruptions

Explainer = Callable[[nn.Module, Tensor, Callable[[Tensor], Tensor]], Tensor | dict[str, Tensor]]
"""Explains images (n, c, h, w) by a network: one map for each, (n, height, width), or one for each layer by its name.
It calls the third argument once, with the logits (n, classes), for the classes (n,) to explain."""

BLOCKS = {f"layer{stage}.{block}": Layout(channels=1) for stage in (1, 2, 3, 4) for block in (0, 1)}
"""The residual blocks of torchvision's ResNet18, whose maps are known to be (n, c, h, w)."""

ORIGINAL, ANOTHER_IMAGE, RANDOM_WEIGHTS = "original", "another image", "random weights"
"""What stands in the column ``corruption``, with severity 0, for the image as it is and for the two controls."""

PART = 8
"""Images that are stored together."""
PIXELS = 28 * 224 * 224
"""Of all versions that go through the network together, about."""


def explained_by(
    network: nn.Module, images: Tensor, choose: Callable[[Tensor], Tensor], *, method: str, **options: object
) -> Tensor:
    """Explain by any method of `medxai.attribution.METHODS`: an `Explainer` once `functools.partial` has named it.

    It takes a forward pass more, since most methods must know the class before.
    """
    with torch.no_grad():
        target = choose(network(images))
    return attribution.explain(network, images, target, method, **options)


def with_random_weights(network: nn.Module, images: Tensor, seed: int = 0) -> nn.Module:
    """Return a copy of a network as before training, for the control; arguments are those of `sanity.cascade`."""
    *_, (_, random) = sanity.cascade(network, images, stages=2, seed=seed)
    return random


@dataclass(frozen=True, kw_only=True)
class SaliencyShift:
    """What is explained, how, and compared by what; `table` measures it.

    Parameters
    ----------
    network, random
        In evaluation mode: the network, and one of the same classes with random weights (`with_random_weights`), or
        ``None`` to do without both controls. `medxai.models.folding.folded` makes both faster.
    explain
        Such as ``partial(cam.grad_cam_plus_plus, layers=BLOCKS)``.
    normalisation
        What both expect of their input, which has three channels; of a grey image all three are the same.
    target
        The class that is explained: the one that the network predicts for each ``"version"``, or always the one that it
        predicts for the ``"original"``.
    kinds, severities, constants, seed
        Of the corruptions; the seed is also that of the other images.
    measures
        Of `map_similarity.MEASURES`, besides the root mean square error.

    Raises
    ------
    ValueError
        If a network is in training mode, or a choice is unknown.
    """

    network: nn.Module
    random: nn.Module | None
    explain: Explainer
    normalisation: Normalisation = HALF
    target: Literal["version", "original"] = "version"
    kinds: tuple[str, ...] = corruptions.KINDS
    severities: tuple[int, ...] = corruptions.SEVERITIES
    constants: str = "224"
    seed: int = 0
    measures: tuple[str, ...] = tuple(name for name in map_similarity.MEASURES if name != "rmse")

    def __post_init__(self) -> None:
        for name in ("network", "random"):
            if getattr(self, name) is not None and getattr(self, name).training:
                raise ValueError(f"{name} is in training mode: expected evaluation mode, use eval()")
        for name, values, known in (
            ("target", [self.target], ("version", "original")),
            ("kinds", self.kinds, corruptions.kinds_of(self.constants)),
            ("severities", self.severities, corruptions.SEVERITIES),
            ("measures", self.measures, tuple(map_similarity.MEASURES)),
        ):
            if unknown := [value for value in values if value not in known]:
                raise ValueError(f"{name} is {unknown[0]!r}: expected one of {', '.join(map(str, known))}")

    @property
    def rows(self) -> list[tuple[str, int]]:
        """Name and severity of all that is compared with an original, which is the first."""
        versions = [(kind, severity) for kind in self.kinds for severity in self.severities]
        controls = [] if self.random is None else [(ANOTHER_IMAGE, 0), (RANDOM_WEIGHTS, 0)]
        return [(ORIGINAL, 0), *versions, *controls]

    @property
    def weight(self) -> Tensor:
        """One of the network's: images go to its device, and get its dtype."""
        return next(self.network.parameters())


def table(
    study: SaliencyShift, images: np.ndarray, labels: np.ndarray, keys: np.ndarray, folder: Path, *, processes: int = 1
) -> pd.DataFrame:
    """Return how far the maps of each version are from those of the original, measured or as stored.

    Parameters
    ----------
    images
        uint8 (n, c, h, w) with 1 or 3 channels, n at least 2; a file that is mapped into memory will do.
    labels
        int (n,), classes of the network.
    keys
        int64 (n,), all different: what an image is called in the table, and what its corruption depends on.
    folder
        Where the table and its parts are kept, as files named by a digest of all that they depend on; so it may be
        shared, and nothing of another run is ever read.
    processes
        With more than one, each computes parts of its own with one thread. They are new processes: a program that calls
        this does so under ``if __name__ == "__main__"``.

    Returns
    -------
    pandas.DataFrame
        One row for each image, version and layer, numbers with six significant digits: ``image`` (its key), ``label``;
        ``corruption``, ``severity`` (0 for the original and the controls); ``layer`` (``input`` for an explainer of one
        map); ``predicted``, the class that is predicted for the version, and ``right``, whether it is the label;
        ``rmse``, from 0 to 255; ``rmse_shift_corrected``, that once the shift of motion blur is taken back
        (`map_similarity.shifted_error`), the plain one where nothing is shifted; the measures; ``logit_0`` and so on,
        of each class. What is predicted for *another image* is compared with its own label; for *random weights* it is
        what that network predicts. Measures are NaN where a map is constant.

    Raises
    ------
    ValueError
        In one sentence, if an argument is none of these or the explainer returns no maps.
    DataError
        If the folder cannot be written.
    """
    _check(images, labels, keys)
    positive("processes", processes)
    others = derangement(len(images), study.seed)
    starts = range(0, len(images), PART)

    def task(number: int) -> _Images:
        own = slice(starts[number], starts[number] + PART)
        return _Images(images[own], labels[own], keys[own], images[others[own]], labels[others[own]])

    path = folder / f"{_digest(study, images, labels, keys)}.csv.gz"
    sizes = [min(PART, len(images) - first) for first in starts]
    return _parts.stored(path, sizes, task, partial(_rows, study), "image", processes)


class _Images(NamedTuple):
    """Some images and, for the control, as many others."""

    pixels: np.ndarray
    labels: np.ndarray
    keys: np.ndarray
    other_pixels: np.ndarray
    other_labels: np.ndarray

    def split(self, size: int) -> Iterator["_Images"]:
        for first in range(0, len(self.labels), size):
            yield _Images(*(values[first : first + size] for values in self))


def derangement(number: int, seed: int = 0) -> np.ndarray:
    """Return an index int (number,) that gives each of at least 2 images another one: one cycle through all of them."""
    order = np.random.default_rng(seed).permutation(number)
    others = np.empty_like(order)
    others[order] = np.roll(order, -1)
    return others


def _rows(study: SaliencyShift, images: _Images) -> pd.DataFrame:
    """Return the table of some images, of which as many go through the network together as memory should hold."""
    size = max(1, PIXELS // (len(study.rows) * images.pixels[0, 0].size))
    return pd.concat([_compared(study, some) for some in images.split(size)])


def _compared(study: SaliencyShift, images: _Images) -> pd.DataFrame:
    """Explain all versions of some images, and compare; rows of the table, of one image after the other."""
    pixels, others = (
        torch.tensor(values, device=study.weight.device) for values in (images.pixels, images.other_pixels)
    )
    keys = torch.tensor(images.keys, dtype=torch.int64)
    corrupted = corruptions.versions(
        pixels, keys, seed=study.seed, constants=study.constants, kinds=study.kinds, severities=study.severities
    )
    asked = [pixels[None], corrupted, *([] if study.random is None else [others[None]])]
    found = _explained(study, study.network, torch.cat(asked))
    maps, logits = found.maps, found.logits
    if study.random is not None:
        random = _explained(study, study.random, pixels[None], found.classes[0])
        maps = {layer: torch.cat([own, random.maps[layer]]) for layer, own in maps.items()}
        logits = torch.cat([logits, random.logits])
    shift = _shift(study, keys).to(pixels.device)
    values = [_similarities(study, own, shift) for own in maps.values()]
    return _tidy(study, images, logits, list(maps), torch.stack(values))


def _similarities(study: SaliencyShift, maps: Tensor, shift: Tensor) -> Tensor:
    """Compare maps (v, n, h, w) with the first of each image: (2 + measures, v, n), RMSE and its correction first."""
    rmse, *others = map_similarity.similarities(maps, maps[0], ("rmse", *study.measures)).values()
    corrected, moved = rmse.clone(), shift.any(-1)
    if moved.any():
        corrected[moved] = map_similarity.shifted_error(maps[moved], maps[0].expand_as(maps)[moved], shift[moved])
    return torch.stack([rmse, corrected, *others])


class _Explained(NamedTuple):
    """Grey maps uint8 (v, n, h, w) by layer, logits (v, n, classes), and the classes (v, n) that were explained."""

    maps: dict[str, Tensor]
    logits: Tensor
    classes: Tensor


def _explained(
    study: SaliencyShift, network: nn.Module, versions: Tensor, original: Tensor | None = None
) -> _Explained:
    """Explain versions, uint8 (v, n, c, h, w), the first of which are originals, unless their class (n,) is given."""
    seen: list[Tensor] = []
    shape = versions.shape[:2]

    def choose(logits: Tensor) -> Tensor:
        logits = logits.detach()
        classes = logits.argmax(1).view(shape)
        if study.target == "original":
            classes = (classes[0] if original is None else original).expand(shape)
        seen[:] = logits.view(*shape, -1), classes
        return classes.flatten()

    images = study.normalisation.of_pixels(versions.flatten(0, 1), study.weight)
    found = study.explain(network, images, choose)
    maps = {"input": found} if isinstance(found, Tensor) else found
    if not seen or not maps or any(one.ndim != 3 or len(one) != len(images) for one in maps.values()):
        told = {name: tuple(one.shape) for name, one in maps.items()}
        raise ValueError(f"explain gives {told} for {len(images)} images: expected maps (n, h, w), and a class chosen")
    return _Explained({name: _grey(one, images).unflatten(0, shape) for name, one in maps.items()}, *seen)


def _grey(maps: Tensor, images: Tensor) -> Tensor:
    """Return maps (n, h, w) at the size of the images, in grey levels; as channels of one image they take less time."""
    return map_similarity.grey_levels(feature_maps.resized(maps[None], images)[0])


def _shift(study: SaliencyShift, keys: Tensor) -> Tensor:
    """By how much the corruption moves what is in the image, (v, n, 2), to the right and downwards."""
    options = {"seed": study.seed, "constants": study.constants}
    still = torch.zeros(len(keys), 2, dtype=torch.float64)
    return torch.stack(
        [
            corruptions.motion_shift(keys, severity, **options) if kind == "motion_blur" else still
            for kind, severity in study.rows
        ]
    )


def _tidy(study: SaliencyShift, images: _Images, logits: Tensor, layers: list[str], values: Tensor) -> pd.DataFrame:
    """Make rows of logits (v, n, classes) and values (layers, measures, v, n)."""
    if images.labels.max() >= logits.shape[-1]:
        raise ValueError(
            f"labels hold {images.labels.max()}: expected classes of the network, 0 to {logits.shape[-1] - 1}"
        )
    logits, values = logits.double().cpu().numpy().transpose(1, 0, 2), values.cpu().numpy().transpose(3, 2, 0, 1)
    predicted, truth = logits.argmax(-1), np.repeat(images.labels[:, None], len(study.rows), 1)
    if study.random is not None:
        truth[:, study.rows.index((ANOTHER_IMAGE, 0))] = images.other_labels
    kinds, severities = (np.array(part) for part in zip(*study.rows, strict=True))
    columns = {
        "image": images.keys[:, None, None],
        "label": images.labels[:, None, None],
        "corruption": kinds[:, None],
        "severity": severities[:, None],
        "layer": np.array(layers),
        "predicted": predicted[..., None],
        "right": (predicted == truth)[..., None],
    }
    names = ("rmse", "rmse_shift_corrected", *study.measures)
    columns |= {name: values[..., number] for number, name in enumerate(names)}
    columns |= {f"logit_{number}": logits[..., None, number] for number in range(logits.shape[-1])}
    return pd.DataFrame({name: np.broadcast_to(some, values.shape[:3]).ravel() for name, some in columns.items()})


def _check(images: np.ndarray, labels: np.ndarray, keys: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape or len(images) < 2:
        raise ValueError(f"images are {images.dtype} {images.shape}: expected uint8 (n, c, h, w), n at least 2")
    for name, values in (("labels", labels), ("keys", keys)):
        if values.shape != (len(images),) or not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"{name} are {values.dtype} {values.shape}: expected integers ({len(images)},)")
    if labels.min() < 0:
        raise ValueError(f"labels hold {labels.min()}: expected classes of the network, from 0")
    if len(np.unique(keys)) < len(keys):
        raise ValueError(f"keys of {len(keys)} images are {len(np.unique(keys))}: expected all to be different")


def _digest(study: SaliencyShift, images: np.ndarray, labels: np.ndarray, keys: np.ndarray) -> str:
    """Return 16 hexadecimal digits for all that the table depends on, the programs among it.

    Functions are told by name and arguments, so that those of a notebook are not told apart by what they do.
    """
    settings = [study.explain, study.normalisation, study.target, study.kinds, study.severities, study.constants]
    try:
        told = pickle.dumps([*settings, study.seed, study.measures])
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"explain cannot be stored ({error}): expected a module's function, or a partial of one"
        ) from error
    total = hashlib.sha256(told)
    for network in (study.network, *([] if study.random is None else [study.random])):
        total.update(repr(network).encode())
        for tensor in network.state_dict().values():
            total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    for first in range(0, len(images), PART):
        total.update(np.ascontiguousarray(images[first : first + PART]))
    for values in (labels, keys):
        total.update(values.astype(np.int64).tobytes())
    for package in (attribution, evaluation, robustness):
        for program in sorted(Path(package.__file__).parent.rglob("*.py")):
            total.update(program.read_bytes())
    total.update(repr((images.shape, torch.__version__)).encode())
    return total.hexdigest()[:16]
