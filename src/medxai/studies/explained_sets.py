"""The two sets of images of the comparison, and a network trained on four fifths of one.

Paintings of DermXDB, whose references are the dermatologists' outlines; real breast ultrasound with a true mask of each
lesion.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import cv2
import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from medxai.attribution import METHODS, explain
from medxai.attribution.propagation.patterns import Patterns, fit_patterns
from medxai.attribution.registry import effort
from medxai.data import photo_sets
from medxai.data.dermxdb import DISEASES, DermXDB, chosen
from medxai.data.masks import area_average
from medxai.data.photo_sets import ImageSet
from medxai.evaluation import classification, suite
from medxai.models.networks import normalisation_of
from medxai.models.normalisation import IMAGENET, Normalisation
from medxai.models.weights import Pretrained
from medxai.painting import cache
from medxai.profiles import Profile
from medxai.studies.store import Absent
from medxai.training.fit import fit, predict
from medxai.training.small_convnet import small_convnet
from medxai.training.transfer import transfer

SEED = 0
CONVNET_RATE = 2e-3
CAM_LAYER = "bn2"
"""Of a network with ImageNet weights: what is averaged before the linear head."""
CONVNET_LAYER = "15"
"""The same of the small ConvNet."""
DOUBLE = ("pattern_net", "pattern_attribution")
"""Methods that run in float64: their signals leave the range of float32 in a network with many additions."""
PER_CLASS = 50
"""At most so many ultrasound images of a class, as in our selection."""


@dataclass(frozen=True, eq=False)
class Images:
    """A set of images as a network sees them, and what is known about where the lesions are."""

    name: str
    names: np.ndarray
    pictures: np.ndarray
    """uint8 (n, side, side, 3)."""
    labels: np.ndarray
    """int (n,), from 0."""
    classes: tuple[str, ...]
    groups: np.ndarray
    """int (n,): the same number for near copies of one image."""
    upside_down: bool
    """Whether an image may be turned upside down in training."""
    raters: Callable[[int], dict[int, np.ndarray]]
    """Of a row: bool (side, side), what each rater outlined, by his number; one rater where the truth is known."""
    truth: Callable[[int], np.ndarray]
    """Of a row: float32 (side, side) in [0, 1], where the lesion is."""

    def reference(self, row: int) -> np.ndarray:
        """Return the share of the raters who outlined each pixel, float64 (side, side)."""
        return np.mean(list(self.raters(row).values()), axis=0, dtype=float)


def paintings(db: DermXDB, profile: Profile) -> Images:
    """Paint the images of DermXDB; raters are its dermatologists (first round, all of them)."""
    side, names = profile.explained_size, chosen(db, profile.painted_images)
    folder = cache.paint_all(db, profile.painted_size, images=names, seed=SEED)
    pictures = np.stack([_square(cache.read(folder, name), side) for name in names])
    labels = db.images.loc[names, "reference"].map({name: i for i, name in enumerate(DISEASES)}).to_numpy()

    def raters(row: int) -> dict[int, np.ndarray]:
        return {rater: outlined(count, side) for rater, count in db.rater_counts(names[row]).items()}

    def truth(row: int) -> np.ndarray:
        terms = cache.truth(folder, names[row]).values()
        return np.max([_square(term, side) for term in terms] or [np.zeros((side, side), np.float32)], axis=0)

    return Images(
        "paintings", np.array(names), pictures, labels, tuple(DISEASES), np.arange(len(names)), True, raters, truth
    )


def ultrasound(images: ImageSet, profile: Profile) -> Images:
    """Open real breast ultrasound; its one rater is the mask that comes with an image, empty for a normal one."""
    side, table = profile.explained_size, images.images.groupby("label").head(PER_CLASS)
    full = [images.image(name) for name in table.index]
    labels = table["label"].map({name: i for i, name in enumerate(photo_sets.BUSI_LABELS)}).to_numpy()

    def truth(row: int) -> np.ndarray:
        return area_average(images.mask(table.index[row]).astype(np.float32), side)

    return Images(
        "ultrasound",
        table.index.to_numpy(),
        np.stack([_square(image, side) for image in full]),
        labels,
        photo_sets.BUSI_LABELS,
        photo_sets.near_copies(full),
        False,
        lambda row: {1: truth(row) >= 0.5},
        truth,
    )


def _square(picture: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)


def outlined(count: np.ndarray, side: int) -> np.ndarray:
    """Return where at least half of a pixel lies inside a rater's outlines, bool (side, side).

    ``count`` says how many of his outlines cover each pixel of the full image.
    """
    return area_average((count > 0).astype(np.float32), side) >= 0.5


@dataclass(frozen=True, eq=False)
class Trained:
    """A network that was trained on four folds of some images, and how it does on the fifth."""

    images: Images
    network: nn.Module
    train: np.ndarray
    test: np.ndarray
    """Rows."""
    probabilities: np.ndarray
    """Of the test rows, float64 (len(test), classes)."""
    profile: Profile
    fold: int

    @property
    def right(self) -> np.ndarray:
        """Whether the most probable class of each test row is its own, bool."""
        return self.probabilities.argmax(1) == self.images.labels[self.test]

    @property
    def layer(self) -> str:
        """Name of the layer whose average the head reads."""
        return CONVNET_LAYER if isinstance(self.network, nn.Sequential) else CAM_LAYER

    @property
    def normalisation(self) -> Normalisation:
        """What the network wants of its input."""
        return normalisation_of(self.network)

    @cached_property
    def options(self) -> dict[str, dict[str, object]]:
        """What methods need beyond image and target, by method."""
        samples = self.profile.samples
        background = self.some(max(2, samples // 4))
        low, high = self.normalisation.bounds()
        own: dict[str, dict[str, object]] = {
            "gradient_shap": {"baseline": background},
            "deep_taylor": {"low": low, "high": high},
            "deep_shap": {"baselines": background},
        }
        for name, method in METHODS.items():
            layer = {"layer": self.layer} if method.family == "class activation" else {}
            batch = {"batch_size": suite.BATCH} if method.family == "perturbation" else {}
            own[name] = {**effort(name, samples), **layer, **batch, **own.get(name, {})}
        return own

    def some(self, number: int) -> Tensor:
        """Return some training images, spread over the classes, as the network sees them."""
        labels = pd.Series(self.images.labels[self.train])
        order = labels.groupby(labels).cumcount().argsort(kind="stable").to_numpy()
        return self.normalisation.apply(self.images.pictures[self.train[order[:number]]])

    def image(self, row: int) -> Tensor:
        """Return an image as the network sees it, float32 (1, 3, side, side)."""
        return self.normalisation.apply(self.images.pictures[[row]])

    def label(self, row: int) -> int:
        """Return the class of an image, which is the one that is explained."""
        return int(self.images.labels[row])

    def explain(self, images: Tensor, target: int, method: str) -> Tensor:
        """Return the maps (n, side, side) of a method or control, float64 of those in `DOUBLE`."""
        if method not in DOUBLE:
            return explain(self.network, images, target, method, **self.options.get(method, {}))
        network, patterns = self._double
        return explain(network, images.double(), target, method, patterns=patterns)

    def network_of(self, method: str) -> nn.Module:
        """Return the network that a method explains: this one, or its copy in float64."""
        return self._double[0] if method in DOUBLE else self.network

    @cached_property
    def _double(self) -> tuple[nn.Module, Patterns]:
        patterns = fit_patterns(self.network, self.some(2 * self.profile.samples))
        return copy.deepcopy(self.network).double(), {place: value.double() for place, value in patterns.items()}


def train(
    images: Images, pretrained: Pretrained | Absent, profile: Profile, fold: int, labels: np.ndarray | None = None
) -> Trained:
    """Train a network on all folds but one.

    With weights from ImageNet the upper stages of a network are trained; without them a small ConvNet is trained from
    scratch.

    Parameters
    ----------
    labels
        int (n,) to train on in place of the images' own.
    """
    own = images.labels if labels is None else labels
    seen, unseen = list(classification.folds(images.labels, groups=images.groups, seed=SEED))[fold]
    options = {"seed": SEED, "upside_down": images.upside_down}
    if isinstance(pretrained, Absent):
        build, epochs = partial(small_convnet, len(images.classes)), 3 * profile.convnet_epochs
        network = fit(build, images.pictures[seen], own[seen], IMAGENET, epochs=epochs, rate=CONVNET_RATE, **options)
    else:
        network = transfer(pretrained, images.pictures[seen], own[seen], epochs=profile.transfer_epochs, **options)
    network = network.to(memory_format=torch.channels_last).requires_grad_(False)  # two to three times as fast here
    probabilities = predict(network, images.pictures[unseen], normalisation_of(network))
    return Trained(images, network, seen, unseen, probabilities, profile, fold)


def explained(trained: Trained) -> np.ndarray:
    """Return the rows of the fold to explain, as many as the profile says: images that the network gets right.

    Classes take turns. Images without any lesion are left out. Where too few are right, those follow whose class gets
    most probability.
    """
    labels = trained.images.labels[trained.test]
    own = trained.probabilities[np.arange(len(labels)), labels]
    table = pd.DataFrame({"row": trained.test, "label": labels, "wrong": ~trained.right, "doubt": 1 - own})
    table["doubt"] = table["doubt"].where(table["wrong"], np.random.default_rng(SEED).random(len(table)))
    table = table.sort_values(["wrong", "doubt"])
    table["turn"] = table.groupby(["wrong", "label"]).cumcount()
    table = table.sort_values(["wrong", "turn"], kind="stable")
    with_lesion = [row for row in table["row"] if (trained.images.reference(row) >= 0.5).any()]
    return np.array(with_lesion[: trained.profile.explained_images])
