"""An architecture of the benchmark, pre-trained once and fine-tuned on half of the paintings."""

import contextlib
import functools
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import nn

from medxai import files, paths, training
from medxai.data import image_folder, real_or_simulated
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


def shown(db: DermXDB, profile: Profile, names: Sequence[str] | None = None) -> LabelledImages:
    """Return what the benchmark is about, or some of it: photographs where the user has all of them, else paintings."""
    names, side = list(names or _names(db, profile)), profile.benchmark_size
    if db.images.loc[names, "photograph"].notna().all():
        return image_sets.photographed(db, names, side)
    return image_sets.painted(db, names, side, side)


def paintings(db: DermXDB, profile: Profile, confounders: Sequence[str] = ()) -> LabelledImages:
    """Return paintings of the benchmark's images, as many as the profile says."""
    side = profile.benchmark_size
    return image_sets.painted(db, _names(db, profile), side, side, confounders)


def _names(db: DermXDB, profile: Profile) -> list[str]:
    """Draw images of the benchmark at random, diseases in turn."""
    table = db.images.loc[chosen(db, None)].query("benchmark").sample(frac=1, random_state=SEED)
    turns = table.groupby("reference").cumcount().sort_values(kind="stable")
    return list(turns.index[: profile.benchmark_images])


def halves(images: LabelledImages) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows of the images at random, each class alike: those to fine-tune on, and those to test on."""
    rows = train_test_split(np.arange(len(images)), train_size=TRAINED_ON, stratify=images.labels, random_state=SEED)
    return np.sort(rows[0]), np.sort(rows[1])


@dataclass(frozen=True)
class Start:
    """What the training of an architecture begins with."""

    weights: Pretrained | None
    """Of ImageNet; without any the network begins with random ones, and pre-training trains all of it."""
    clinical: Path | None
    """Folder of photographs to pre-train on, in a folder for each disease; paintings without one."""
    digest: str
    kind: str = "real"  # what there is: whether it is ImageNet's or random, a page says by the origin


@functools.lru_cache(maxsize=2)  # all of them together fill the memory
def start(name: str, profile: Profile) -> Start:
    """Return what an architecture begins with: the user's weights, or at full size what a library downloads.

    Photographs for pre-training are those of the folder ``clinical`` below MEDXAI_DATA.

    Raises
    ------
    DataError
        If the user's weights are damaged, or those of another network.
    """
    begin = None
    if weights.own_file(name).is_file():
        begin = weights.pretrained(name)
    elif profile.name == "full":
        with contextlib.suppress(DataError):  # no connection, or no such weights
            begin = weights.pretrained(name)
    clinical = paths.data_root() / "clinical"
    photographs = sorted(path for path in clinical.rglob("*") if path.is_file())
    digest = files.digest_with(begin.digest if begin else "random weights", photographs)
    return Start(begin, clinical if photographs else None, digest)


def train(
    images: LabelledImages,
    begin: Start,
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
        What `start` returns.
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


def _pretrained(begin: Start, profile: Profile, name: str) -> tuple[nn.Module, Normalisation, str]:
    """Return an architecture after pre-training, whose weights are kept, and what its weights come from."""
    number, epochs, side = profile.pretraining_images, profile.pretraining_epochs, profile.benchmark_size
    from_scratch = begin.weights is None
    normalisation = normalisation_of(name) if from_scratch else begin.weights.normalisation
    what = f"photographs of {begin.clinical.name}" if begin.clinical else f"{number} paintings of simulated annotations"
    origin = f"{'random weights' if from_scratch else begin.weights.origin}, then {what}"

    def new() -> nn.Module:
        torch.manual_seed(SEED)
        return create(name, len(DISEASES), pretrained=not from_scratch)

    def make() -> bytes:
        images = clinical(begin.clinical, side) if begin.clinical else _simulated(number, side)
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


def _simulated(number: int, side: int) -> LabelledImages:
    db = real_or_simulated.simulated_dermxdb(number, OTHER_SEED)
    return image_sets.painted(db, list(db.images.index), side, side)


def clinical(folder: Path, side: int) -> LabelledImages:
    """Read photographs that lie in a folder for each disease of the book, whatever the case of its letters.

    Raises
    ------
    DataError
        If a folder is called otherwise, a disease has no photograph, or a photograph cannot be read.
    """
    images = image_folder.read_folder(folder, size=side)
    numbers = {name.lower(): number for number, name in enumerate(DISEASES)}
    folders = [name.split("/")[0].lower() if "/" in name else "" for name in images.names]
    if strange := [name for name, own in zip(images.names, folders, strict=True) if own not in numbers]:
        raise DataError(f"{folder / strange[0]} is of no disease: expected folders called {', '.join(DISEASES)}")
    if missing := [name for name in DISEASES if name.lower() not in folders]:
        raise DataError(f"{folder} has no photograph of {missing[0]}: expected some of each of {', '.join(DISEASES)}")
    labels = np.array([numbers[own] for own in folders])
    return replace(images, labels=labels, classes=tuple(DISEASES))


def _digest(*told: object) -> str:
    """Return 16 hexadecimal digits for all that pre-trained weights depend on, the program that trains among it."""
    programs = [path.read_bytes() for path in sorted(Path(training.__file__).parent.glob("*.py"))]
    words = repr([*told, OTHER_SEED, cache.VERSION]).encode()
    return hashlib.sha256(b"".join([words, *programs])).hexdigest()[:16]
