"""An architecture of the benchmark, pre-trained once and fine-tuned on half of the paintings."""

import functools
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import nn

from medxai import files, paths, training
from medxai.data import real_or_simulated
from medxai.data.dermxdb import DISEASES, DermXDB, chosen
from medxai.data.labelled_images import LabelledImages
from medxai.errors import DataError
from medxai.experiment import image_sets
from medxai.experiment.trained_network import TrainedNetwork
from medxai.models import weights
from medxai.models.architectures import normalisation_of
from medxai.models.benchmark_networks import BENCHMARK, create
from medxai.models.normalisation import Normalisation
from medxai.models.weights import Pretrained
from medxai.painting import cache
from medxai.profiles import Profile
from medxai.training.fine_tuning import fine_tune, pretrain
from medxai.training.fit import predict

SEED = 0
OTHER_SEED = 1
"""Of the simulated annotations that networks are pre-trained on: not those of the book."""
TRAINED_ON = 261 / 524
"""The paper's share of images for fine-tuning."""


def paintings(db: DermXDB, profile: Profile, confounders: Sequence[str] = ()) -> LabelledImages:
    """Return paintings of the benchmark's images, as many as the profile says, drawn at random, diseases in turn."""
    table = db.images.loc[chosen(db, None)].query("benchmark").sample(frac=1, random_state=SEED)
    turns = table.groupby("reference").cumcount().sort_values(kind="stable")
    of_benchmark = list(turns.index[: profile.benchmark_images])
    side = profile.benchmark_size
    return image_sets.painted(db, of_benchmark, side, side, confounders)


def halves(images: LabelledImages) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows of the images at random, each class alike: those to fine-tune on, and those to test on."""
    rows = train_test_split(np.arange(len(images)), train_size=TRAINED_ON, stratify=images.labels, random_state=SEED)
    return np.sort(rows[0]), np.sort(rows[1])


@dataclass(frozen=True)
class NoWeights:
    """In place of weights of ImageNet where none are to be had: a network starts from random ones, and says so."""

    reason: str
    kind: str = "real"
    digest: str = "random weights"


@functools.lru_cache(maxsize=2)  # all of them together fill the memory
def start(name: str, profile: Profile) -> Pretrained | NoWeights:
    """Return an architecture with weights of ImageNet, the user's, or at full size what a library downloads."""
    if profile.name != "full" and not weights.own_file(name).is_file():
        return NoWeights(f"{weights.own_file(name)} is not there, and only a full run downloads weights of {name}")
    try:
        return weights.pretrained(name)
    except DataError as error:
        return NoWeights(str(error))


def train(
    images: LabelledImages,
    begin: Pretrained | NoWeights,
    profile: Profile,
    *,
    name: str,
    run: int,
    taught: np.ndarray | None = None,
) -> TrainedNetwork:
    """Pre-train an architecture, or read it where that was done before, and fine-tune it on half of the images.

    Parameters
    ----------
    begin
        What `start` returns. Where there are no weights, pre-training trains the whole network.
    name, run
        A key of `BENCHMARK`, and the seed of fine-tuning.
    taught
        What it is fine-tuned on in place of the images' own pictures, as many.
    """
    seen, unseen = halves(images)
    network, normalisation, origin = _pretrained(begin, profile, name)
    pictures, labels = (images.pictures if taught is None else taught)[seen], images.labels[seen]
    network = fine_tune(network, name, pictures, labels, normalisation, epochs=profile.benchmark_epochs, seed=run)
    probabilities = predict(network, images.pictures, normalisation)
    layer = BENCHMARK[name].last_convolution
    return TrainedNetwork(network, layer, normalisation, origin, images, seen, unseen, probabilities, images.labels)


def _pretrained(begin: Pretrained | NoWeights, profile: Profile, name: str) -> tuple[nn.Module, Normalisation, str]:
    """Return an architecture after pre-training, whose weights are kept, and what its weights come from."""
    number, epochs, side = profile.pretraining_images, profile.pretraining_epochs, profile.benchmark_size
    from_scratch = isinstance(begin, NoWeights)
    normalisation = normalisation_of(name) if from_scratch else begin.normalisation
    origin = f"{'random weights' if from_scratch else begin.origin}, then {number} paintings of simulated annotations"

    def new() -> nn.Module:
        torch.manual_seed(SEED)
        return create(name, len(DISEASES), pretrained=not from_scratch)

    def make() -> bytes:
        db = real_or_simulated.simulated_dermxdb(number, OTHER_SEED)
        images = image_sets.painted(db, list(db.images.index), side, side)
        options = {"epochs": epochs, "seed": SEED, "from_scratch": from_scratch}
        network = pretrain(new(), name, images.pictures, images.labels, normalisation, **options)
        content = io.BytesIO()
        torch.save(network.state_dict(), content)
        return content.getvalue()

    path = paths.trained(f"{name}-{_digest(name, number, epochs, side, begin.digest)}")
    files.once(path, make)
    network = new()
    network.load_state_dict(torch.load(path, weights_only=True))
    return network, normalisation, origin


def _digest(*told: object) -> str:
    """Return 16 hexadecimal digits for all that pre-trained weights depend on, the program that trains among it."""
    programs = [path.read_bytes() for path in sorted(Path(training.__file__).parent.glob("*.py"))]
    words = repr([*told, OTHER_SEED, cache.VERSION]).encode()
    return hashlib.sha256(b"".join([words, *programs])).hexdigest()[:16]
