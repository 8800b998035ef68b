"""The study behind the images chapter: do the painted diseases differ in more than colour, and does transfer work?

Two trials: separability (can the painted diseases be told apart by colour, by a small ConvNet, by features learned on
ImageNet?) and transfer (do weights from ImageNet help on real breast ultrasound?).
"""

import functools

import numpy as np
import pandas as pd
import torch
from torch import nn

from medxai.data import photo_sets, real_or_simulated
from medxai.data.dermxdb import DISEASES, DermXDB
from medxai.data.photo_sets import ImageSet
from medxai.evaluation import classification
from medxai.evaluation.classification import FitPredict, linear_model
from medxai.experiment import image_sets
from medxai.experiment.trained_network import start
from medxai.models.architectures import DEFAULT, NETWORKS, build
from medxai.models.normalisation import IMAGENET, Normalisation
from medxai.models.weights import Pretrained
from medxai.painting import cache
from medxai.profiles import Profile
from medxai.results import tidy
from medxai.studies.store import Absent, Record, Study, Trial, optional
from medxai.training.fit import fit_predict
from medxai.training.small_convnet import small_convnet
from medxai.training.transfer import frozen_features, with_new_head

SEED = 0
CONVNET_SIZE = 96
"""Side of the paintings that the small ConvNet sees, in pixels."""
ULTRASOUND_SIZE = 64
"""Side of the ultrasound images that it sees: they show larger things."""
CONVNET_RATE = 2e-3
NETWORK_SIZE = 160
"""Side of the images that the large network sees, in pixels."""
NETWORK_RATE = 1e-3
HEAD = f"{NETWORKS[DEFAULT].paper_name}, ImageNet weights, linear head"
TRANSFER = (
    "Small ConvNet, from scratch",
    f"{NETWORKS[DEFAULT].paper_name}, random weights, linear head",
    HEAD,
    f"{NETWORKS[DEFAULT].paper_name}, from scratch",
    f"{NETWORKS[DEFAULT].paper_name}, ImageNet weights, fine-tuned",
)
"""The models of the transfer trial. A linear head is trained on frozen features, the last two networks as a whole."""


def _separability(db: DermXDB, pretrained: Pretrained, profile: Profile) -> Record:
    """Predict the disease of each painting from its colour, with a small ConvNet, and from features of ImageNet."""
    small, large = (image_sets.paintings(db, profile, side=side) for side in (CONVNET_SIZE, NETWORK_SIZE))
    labels = small.labels
    colour = functools.partial(classification.colour_statistics, small.pictures)
    models = {
        "Mean colour, linear model": linear_model(colour(spread=False), labels),
        "Mean and spread of colour, linear model": linear_model(colour(spread=True), labels),
        "Small ConvNet": _convnet(small.pictures, labels, profile),
        HEAD: _linear_head(pretrained, large.pictures, labels),
    }
    found = classification.compared(models, labels, DISEASES, resamples=profile.bootstrap, seed=SEED)
    return {"separability": tidy(*found)}


def _transfer(ultrasound: ImageSet | Absent, pretrained: Pretrained, profile: Profile) -> Record:
    """Tell benign, malignant and normal ultrasound images apart, from scratch and with weights from ImageNet."""
    names = photo_sets.BUSI_LABELS
    if isinstance(ultrasound, Absent):
        columns = [*(f"f1_{name}" for name in names), "macro_f1", "auc_malignant"]
        return {"transfer": tidy(pd.DataFrame(np.nan, TRANSFER, columns))}
    small, large = (image_sets.ultrasound(ultrasound, profile, side=side) for side in (ULTRASOUND_SIZE, NETWORK_SIZE))
    labels = small.labels
    torch.manual_seed(SEED)
    fine_tuned = functools.partial(_fine_tuned, large.pictures, labels, profile)
    random = build(NETWORKS[DEFAULT]).eval()
    models = (
        _convnet(small.pictures, labels, profile, upside_down=False),
        linear_model(frozen_features(random, large.pictures, pretrained.normalisation), labels),
        _linear_head(pretrained, large.pictures, labels),
        fine_tuned(random, pretrained.normalisation),
        fine_tuned(pretrained.network, pretrained.normalisation),
    )
    named = dict(zip(TRANSFER, models, strict=True))
    options = {"groups": small.groups, "positive": "malignant", "resamples": profile.bootstrap, "seed": SEED}
    return {"transfer": tidy(*classification.compared(named, labels, names, **options))}


def _convnet(images: np.ndarray, labels: np.ndarray, profile: Profile, *, upside_down: bool = True) -> FitPredict:
    convnet = functools.partial(small_convnet, labels.max() + 1)
    options = {"epochs": profile.convnet_epochs, "rate": CONVNET_RATE, "seed": SEED, "upside_down": upside_down}
    return functools.partial(fit_predict, convnet, images, labels, IMAGENET, **options)


def _linear_head(pretrained: Pretrained, images: np.ndarray, labels: np.ndarray) -> FitPredict:
    return linear_model(frozen_features(pretrained.network, images, pretrained.normalisation), labels)


def _fine_tuned(
    images: np.ndarray, labels: np.ndarray, profile: Profile, start: nn.Module, normalisation: Normalisation
) -> FitPredict | None:
    """Return the training of a whole network, left and right alike but up and down not; ``None`` in a small run."""
    if not profile.network_epochs:
        return None
    options = {"epochs": profile.network_epochs, "rate": NETWORK_RATE, "seed": SEED, "upside_down": False}
    head = functools.partial(with_new_head, start, int(labels.max()) + 1)
    return functools.partial(fit_predict, head, images, labels, normalisation, **options)


STUDY = Study(
    "images",
    chapter="01_images",
    version=2 + cache.VERSION,  # other paintings, other results
    trials=lambda profile: [
        Trial("separability", _separability, ("dermxdb", DEFAULT)),
        Trial("transfer", _transfer, ("busi", DEFAULT)),
    ],
    data={
        "dermxdb": real_or_simulated.open_dermxdb,
        "busi": lambda _: optional(image_sets.open_ultrasound),
        DEFAULT: lambda _: start(),
    },
    seed=SEED,
)
