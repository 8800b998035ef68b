"""A ResNet18 trained on small images, asked about the corrupted versions of others, and explained on them.

As in the robustness thesis (`medxai.training.small_images`): images are resized bilinearly before they are corrupted.
"""

import functools
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from medxai import paths
from medxai.attribution import cam, feature_maps
from medxai.data import real_or_simulated
from medxai.data.labelled_images import LabelledImages
from medxai.data.medmnist import SPLITS, Splits
from medxai.evaluation import classification, localisation
from medxai.models import backbones, folding
from medxai.models.normalisation import HALF
from medxai.profiles import Profile
from medxai.robustness import _operations, augmentation, corruptions, saliency_shift
from medxai.robustness.corruptions import VERSIONS
from medxai.robustness.saliency_shift import BLOCKS, ORIGINAL, SaliencyShift
from medxai.training import small_images
from medxai.training.fit import multiplies_bfloat16
from medxai.training.small_images import LOSSES, Examples

SEED = 0
PROGRAMS = (small_images, augmentation, corruptions, _operations)
"""Modules on which trained weights depend."""
LEAST = 2000
"""Images that an epoch with corrupted versions has at least: it goes through the training images as often as it takes.
In the thesis an epoch has 26 passes, one of each version, which takes too long; with a single pass over a small set it
is so short that a patience of ten epochs is little."""
CHUNK = 8
"""Images whose versions are in memory together."""
ALL_VERSIONS = ((ORIGINAL, 0), *VERSIONS)
"""Name and severity of the original and its 25 versions."""
VARIANTS = {
    "Grad-CAM++": {},
    "undivided": {"divided": False},
    "fixed class": {"target": "original"},
}
"""What is compared: the equation, explaining what is predicted for each version; torchcam's maps, which are never
divided; and the equation, explaining what is predicted for the original."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained, and on what it is asked; the fields are arguments of a trial."""

    side: int = 64
    """Of the images, in pixels; they are resized unless they have it."""
    loss: str = "binary"
    """A key of `medxai.training.small_images.LOSSES`."""
    augmented: bool = False
    """Whether it is trained on corrupted versions, too (`medxai.robustness.augmentation`)."""
    constants: str = "224"
    """Of the corruptions."""


def open_images(name: str, kind: str | None = None) -> Splits:
    """Open a set by `medxai.data.real_or_simulated.open_small_images`, at 28 pixels; once per process."""
    return _open(name, kind or os.environ.get("MEDXAI_DATA_KIND"), paths.data_root())


@functools.lru_cache(maxsize=4)
def _open(name: str, kind: str | None, root: Path) -> Splits:
    return real_or_simulated.open_small_images(name, kind=kind)


def resized(images: LabelledImages, grey: bool, side: int) -> np.ndarray:
    """Return pictures as uint8 (n, c, side, side), bilinear, of one channel if they are grey; as they are at that side.

    Values are rounded to the next integer; pictures that get smaller are smoothed before.
    """
    pictures = images.pictures[..., :1] if grey else images.pictures
    pixels = np.array(pictures.transpose(0, 3, 1, 2), order="C")
    if side == images.side:
        return pixels
    options = {"mode": "bilinear", "align_corners": False, "antialias": True}
    found = [
        nn.functional.interpolate(part.float(), (side, side), **options).round().clamp(0, 255).byte()
        for part in torch.from_numpy(pixels).split(256)
    ]
    return torch.cat(found).numpy()


def examples(data: Splits, side: int, most: int | None = None) -> dict[str, Examples]:
    """Return the images of each split, resized, or the first so many of them."""
    found = {}
    for split in SPLITS:
        images = getattr(data, split)
        found[split] = Examples(resized(images, data.grey, side)[:most], images.labels[:most])
    return found


def fit(
    splits: Mapping[str, Examples], classes: int, recipe: Recipe, epochs: int, seed: int = SEED
) -> tuple[nn.Module, pd.DataFrame]:
    """Train a network on some images, or read it where that was done before; return it and its history."""
    torch.manual_seed(seed)
    network = backbones.create("resnet18", classes)
    change = partial(augmentation.drawn_versions, seed=seed, constants=recipe.constants) if recipe.augmented else None
    history = small_images.train(
        network,
        dict(splits),
        loss=recipe.loss,
        epochs=epochs,
        seed=seed,
        path=paths.trained(f"small-{_digest(splits, classes, recipe, epochs, seed)}"),
        passes=_passes(splits, recipe),
        change=change,
        judge=judge,
        bfloat16=multiplies_bfloat16(),
    )
    return network, history


def judge(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the area under the ROC curve, the mean of each class against the rest, and the accuracy."""
    auc = classification.one_against_rest(labels, probabilities)[0, 0]
    return {"auc": float(auc), "accuracy": float((probabilities.argmax(1) == labels).mean())}


def _passes(splits: Mapping[str, Examples], recipe: Recipe) -> int:
    """Return how often an epoch goes through the training images."""
    return -(-LEAST // len(splits["train"].labels)) if recipe.augmented else 1


def _digest(splits: Mapping[str, Examples], classes: int, recipe: Recipe, epochs: int, seed: int) -> str:
    """Return 16 hexadecimal digits for all that trained weights depend on, the programs among it."""
    changed = (recipe.constants, _passes(splits, recipe)) if recipe.augmented else None
    told = [recipe.loss, changed, classes, epochs, seed, multiplies_bfloat16()]
    total = hashlib.sha256(repr(told).encode())
    for split in SPLITS:
        pixels, labels = splits[split]
        total.update(repr(pixels.shape).encode())
        total.update(np.ascontiguousarray(pixels))
        total.update(labels.astype(np.int64))
    for program in PROGRAMS:
        total.update(Path(program.__file__).read_bytes())
    return total.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class RobustNetwork:
    """A trained network and the test images that it is asked about, which are named by their rows."""

    network: nn.Module
    recipe: Recipe
    history: pd.DataFrame
    """As of `medxai.training.small_images.train`."""
    test: Examples

    @cached_property
    def folded(self) -> nn.Module:
        """A faster copy (`medxai.models.folding`)."""
        return folding.folded(self.network, self._input(slice(1)))

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Of the test images in `ALL_VERSIONS`, float64 (26, n, classes); sums need not be 1 for a binary loss."""
        keys = torch.arange(len(self.test.labels))
        parts = [
            self._logits(pixels, some)
            for pixels, some in zip(torch.from_numpy(self.test.pixels).split(CHUNK), keys.split(CHUNK), strict=True)
        ]
        logits = torch.cat(parts, 1).double()
        return LOSSES[self.recipe.loss].probabilities(logits.flatten(0, 1)).reshape(logits.shape).numpy()

    def _logits(self, pixels: Tensor, keys: Tensor) -> Tensor:
        """Return the logits of the originals and their versions, (26, n, classes)."""
        corrupted = corruptions.versions(pixels, keys, seed=SEED, constants=self.recipe.constants)
        every = torch.cat([pixels[None], corrupted])
        return small_images.logits_of(self.folded, every.flatten(0, 1)).unflatten(0, every.shape[:2])

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class of each test image in each version, int (26, n)."""
        return self.probabilities.argmax(2)

    def versions(self, row: int) -> Tensor:
        """Return a test image in `ALL_VERSIONS`, uint8 (26, c, h, w)."""
        pixels, key = torch.from_numpy(self.test.pixels[[row]]), torch.tensor([row])
        return torch.cat([pixels, corruptions.versions(pixels, key, seed=SEED, constants=self.recipe.constants)[:, 0]])

    def shift(self, rows: np.ndarray, variant: str) -> pd.DataFrame:
        """Return `medxai.robustness.saliency_shift.table` of some test images, with ``right_before``.

        ``image`` is the row; ``right_before`` says whether the original is predicted right, ``confidence`` how probable
        the predicted class of the version is by a softmax of the logits. Measures besides the RMSE are of the first
        variant alone.

        Parameters
        ----------
        rows
            int (m,), at least 2.
        variant
            A key of `VARIANTS`.
        """
        options = dict(VARIANTS[variant])
        target = options.pop("target", "version")
        study = SaliencyShift(
            network=self.folded,
            random=self.with_random_weights(),
            explain=partial(cam.grad_cam_plus_plus, layers=BLOCKS, **options),
            target=target,
            constants=self.recipe.constants,
            seed=SEED,
            measures=SaliencyShift.measures if variant == next(iter(VARIANTS)) else (),
        )
        pixels, labels = self.test
        table = saliency_shift.table(study, pixels[rows], labels[rows], rows, paths.saliency_shifts())
        before = table[table["corruption"] == ORIGINAL].groupby("image")["right"].first()
        logits = torch.from_numpy(table.filter(regex="^logit_").to_numpy())
        return table.assign(right_before=table["image"].map(before), confidence=logits.softmax(1).amax(1).numpy()).drop(
            columns=[name for name in table if name.startswith("logit_")]
        )

    def with_random_weights(self) -> nn.Module:
        """Return the control: the network as before training, folded; statistics are of 64 of the test images."""
        random = saliency_shift.with_random_weights(self.network, self._input(slice(64)), SEED)
        return folding.folded(random, self._input(slice(1)))

    def _input(self, rows: slice) -> Tensor:
        return HALF.of_pixels(torch.from_numpy(self.test.pixels[rows]), next(self.network.parameters()))


def explained(network: nn.Module, pixels: Tensor) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Explain what is predicted for some images by Grad-CAM++ at each of the `BLOCKS`.

    Parameters
    ----------
    pixels
        uint8 (n, c, h, w).

    Returns
    -------
    maps : dict of numpy.ndarray
        By layer, over their maximum: (n, h, w) in [0, 1].
    classes : numpy.ndarray
        What is predicted, int (n,).
    """
    images, classes = HALF.of_pixels(pixels, next(network.parameters())), []

    def choose(logits: Tensor) -> Tensor:
        classes.append(logits.argmax(1))
        return classes[0]

    found = cam.grad_cam_plus_plus(network, images, choose, layers=BLOCKS)
    maps = {name: feature_maps.resized(one[None], images)[0].numpy() for name, one in found.items()}
    return {name: localisation.attention(one) for name, one in maps.items()}, classes[0].numpy()


def train(data: Splits, profile: Profile, recipe: Recipe, seed: int = SEED) -> RobustNetwork:
    """Train a network on a set, or read it from ``results/networks``."""
    splits = examples(data, recipe.side, profile.robust_images)
    network, history = fit(splits, len(data.classes), recipe, profile.robust_epochs, seed)
    return RobustNetwork(network, recipe, history, splits["test"])


def rows_to_explain(labels: np.ndarray, per_class: int) -> np.ndarray:
    """Return rows of at most so many images of each class, int, in order; drawn at random where there are more."""
    drawn = np.random.default_rng(SEED).permutation(len(labels))
    table = pd.Series(labels[drawn], drawn)
    return np.sort(table.index[table.groupby(table).cumcount() < per_class].to_numpy())
