"""A network trained on four fifths of some images, and all that explaining it needs to know."""

import functools
import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from medxai import files, paths, training
from medxai.data.labelled_images import LabelledImages
from medxai.evaluation import classification, sanity
from medxai.models import weights
from medxai.models.normalisation import Normalisation
from medxai.models.weights import Pretrained
from medxai.profiles import Profile
from medxai.training.fit import predict
from medxai.training.transfer import transfer, with_new_head

SEED = 0
BY_HEART, EPOCHS_BY_HEART = 64, 3
"""Images whose random labels are learnt by heart, and how many times the epochs of a profile that takes."""


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """A network, the images that it was trained on and those that it has not seen, and how it does.

    Parameters
    ----------
    network
        In evaluation mode; its logits are those of the classes of `images`.
    layer
        Name of the layer that gives the last feature maps, for class activation maps.
    normalisation
        What it expects of its input.
    origin
        Which weights it started from, in words.
    images
        Rows of everything below are theirs.
    train, test
        int, rows.
    probabilities
        float64 (n, classes), of all images.
    taught
        int (n,): the labels that it was trained with, which are the images' own unless they were shuffled.
    """

    network: nn.Module
    layer: str
    normalisation: Normalisation
    origin: str
    images: LabelledImages
    train: np.ndarray
    test: np.ndarray
    probabilities: np.ndarray
    taught: np.ndarray = field(repr=False)

    @property
    def right(self) -> np.ndarray:
        """Whether the most probable class of each image is its own, bool (n,)."""
        return self.probabilities.argmax(1) == self.images.labels

    @property
    def accuracy(self) -> float:
        """Share of the held-out images that are right, in [0, 1]."""
        return float(self.right[self.test].mean())

    @property
    def learnt(self) -> float:
        """Share of the training images whose most probable class is the one that was taught, in [0, 1]."""
        return float((self.probabilities.argmax(1) == self.taught)[self.train].mean())

    def image(self, row: int) -> Tensor:
        """Return an image as the network sees it, float32 (1, 3, side, side)."""
        return self.normalisation.apply(self.images.pictures[[row]])

    def label(self, row: int) -> int:
        """Return the class of an image, which is the one that is explained."""
        return int(self.images.labels[row])

    def background(self, number: int) -> Tensor:
        """Return the first training images as the network sees them, (number, 3, side, side); classes take turns."""
        labels = pd.Series(self.images.labels[self.train])
        order = labels.groupby(labels).cumcount().argsort(kind="stable").to_numpy()
        return self.normalisation.apply(self.images.pictures[self.train[order[:number]]])

    def rows_to_explain(self, number: int) -> np.ndarray:
        """Return rows of held-out images to explain, int (number,) or fewer: those that the network gets right.

        Classes take turns. Images without any lesion are left out (`without_outline`). Where too few are right, those
        follow whose class gets most probability.
        """
        labels, right = self.images.labels[self.test], self.right[self.test]
        own = self.probabilities[self.test, labels]
        table = pd.DataFrame({"row": self.test, "label": labels, "wrong": ~right, "doubt": 1 - own})
        table["doubt"] = table["doubt"].where(table["wrong"], np.random.default_rng(SEED).random(len(table)))
        table = table.sort_values(["wrong", "doubt"])
        table["turn"] = table.groupby(["wrong", "label"]).cumcount()
        ordered = table.sort_values(["wrong", "turn"], kind="stable")["row"].to_numpy()
        left_out = set(self.without_outline())
        return np.array([row for row in ordered if row not in left_out][:number], dtype=int)

    def without_outline(self) -> np.ndarray:
        """Return the rows of held-out images on which no pixel was outlined by half of the raters, int."""
        return np.array([row for row in self.test if not (self.images.reference(row) >= 0.5).any()], dtype=int)


def train(images: LabelledImages, pretrained: Pretrained, profile: Profile, fold: int) -> TrainedNetwork:
    """Train a network on all folds but one, or read it from ``results/networks`` where that was done before.

    A file of weights is named by a digest of all that they depend on: pictures, labels, rows, the weights that training
    starts from, and the recipe. So a trial and its chapter, or two chapters, train once.

    Parameters
    ----------
    pretrained
        The network to start from.
    fold
        From 0 to 4: the part of the images that is held out.
    """
    seen, unseen = _fold(images, fold)
    return _trained(images, pretrained, images.labels, seen, unseen, profile.transfer_epochs)


def misled(images: LabelledImages, pretrained: Pretrained, profile: Profile, fold: int) -> TrainedNetwork:
    """Train a network in the same way on a few images of the same folds, with all labels in random order.

    It can only learn them by heart, for which it gets few images and many epochs.
    """
    seen, unseen = _fold(images, fold)
    shuffled = sanity.label_permutation(images.labels, seed=SEED)
    few = np.sort(np.random.default_rng(SEED).permutation(seen)[:BY_HEART])
    return _trained(images, pretrained, shuffled, few, unseen, EPOCHS_BY_HEART * profile.transfer_epochs)


def _fold(images: LabelledImages, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and those held out."""
    return list(classification.folds(images.labels, groups=images.groups, seed=SEED))[fold]


def _trained(
    images: LabelledImages,
    pretrained: Pretrained,
    taught: np.ndarray,
    seen: np.ndarray,
    unseen: np.ndarray,
    epochs: int,
) -> TrainedNetwork:
    options = {"epochs": epochs, "seed": SEED, "upside_down": images.upside_down}
    path = paths.trained(_digest(images, pretrained, taught, seen, options))

    def make() -> bytes:
        network = transfer(pretrained, images.pictures[seen], taught[seen], **options)
        probabilities = predict(network, images.pictures, pretrained.normalisation)
        content = io.BytesIO()
        torch.save({"weights": network.state_dict(), "probabilities": torch.from_numpy(probabilities)}, content)
        return content.getvalue()

    files.once(path, make)
    kept = torch.load(path, weights_only=True)
    network = with_new_head(pretrained.network, len(images.classes))
    network.load_state_dict(kept["weights"])
    return TrainedNetwork(
        network.eval().to(memory_format=torch.channels_last).requires_grad_(False),
        pretrained.layer,
        pretrained.normalisation,
        pretrained.origin,
        images,
        seen,
        unseen,
        kept["probabilities"].numpy(),
        taught,
    )


def _digest(
    images: LabelledImages, pretrained: Pretrained, taught: np.ndarray, seen: np.ndarray, options: dict[str, object]
) -> str:
    """Return 16 hexadecimal digits for all that trained weights depend on, the program that trains among it."""
    programs = [path.read_bytes() for path in sorted(Path(training.__file__).parent.glob("*.py"))]
    total = hashlib.sha256(repr([images.pictures.shape, len(images.classes), pretrained.digest, options]).encode())
    for part in (np.ascontiguousarray(images.pictures), taught.astype(np.int64), seen.astype(np.int64), *programs):
        total.update(part)
    return total.hexdigest()[:16]


def start() -> Pretrained:
    """Return the network with the weights that training starts from; loaded once per process."""
    return _open(paths.data_root())


@functools.cache
def _open(root: Path) -> Pretrained:
    return weights.pretrained()
