"""The study behind the chapter on explanations that are no heat maps: one trial a family and fold of the paintings."""

import functools

import numpy as np

from medxai.data import real_or_simulated
from medxai.data.dermxdb import DermXDB
from medxai.evaluation import classification
from medxai.experiment import bottlenecks, concepts_tested, image_sets, similar_images
from medxai.experiment.explained_paintings import ExplainedPaintings, explained_images
from medxai.experiment.image_sets import SEED
from medxai.experiment.trained_network import start, train
from medxai.models.weights import DEFAULT, Pretrained
from medxai.painting import cache
from medxai.profiles import Profile
from medxai.results import in_front
from medxai.studies.store import Record, Study, Trial

SHUFFLES = 100
"""Exchanges of diseases behind the chance of an agreement."""


@functools.lru_cache(maxsize=1)
def paintings(db: DermXDB, profile: Profile) -> ExplainedPaintings:
    """Return the paintings of the chapters on maps, with the dermatologists' maps of the chapter on DermX."""
    return explained_images(db, image_sets.paintings(db, profile), map_side=profile.painted_size // 4)


@functools.lru_cache(maxsize=1)
def features(db: DermXDB, pretrained: Pretrained, profile: Profile) -> np.ndarray:
    """Return the features of the paintings, float32 (n, k), of a network that knows no disease."""
    return bottlenecks.features(pretrained, paintings(db, profile))


def fold_of(shown: ExplainedPaintings, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and those held out."""
    return list(classification.folds(shown.images.labels, groups=None, seed=SEED))[fold]


@functools.lru_cache(maxsize=1)
def networks(db: DermXDB, pretrained: Pretrained, profile: Profile, fold: int) -> bottlenecks.Bottlenecks:
    """Return the concept bottlenecks of a fold."""
    shown = paintings(db, profile)
    return bottlenecks.train(features(db, pretrained, profile), shown, *fold_of(shown, fold), seed=SEED)


def similar(db: DermXDB, pretrained: Pretrained, profile: Profile, fold: int) -> similar_images.Similar:
    """Return the spaces of a fold in which similar images are near each other."""
    shown = paintings(db, profile)
    return similar_images.train(features(db, pretrained, profile), shown, *fold_of(shown, fold), seed=SEED)


def _vectors(db: DermXDB, pretrained: Pretrained, profile: Profile, *, fold: int) -> Record:
    """Test characteristics as concepts, by pictures and by areas."""
    shown = paintings(db, profile)
    trained = train(shown.images, pretrained, profile, fold)
    table = concepts_tested.tested(shown, trained, random_sets=max(3, profile.samples // 2), seed=SEED)
    agreed = concepts_tested.agreement(table, shuffles=SHUFFLES, seed=SEED)
    return {name: in_front(one, fold=fold).round(4) for name, one in (("vectors", table), ("agreement", agreed))}


def _interventions(db: DermXDB, pretrained: Pretrained, profile: Profile, *, fold: int) -> Record:
    """Set characteristics right and ask for the diagnosis."""
    return {"interventions": bottlenecks.interventions(networks(db, pretrained, profile, fold), seed=SEED)}


def _text(db: DermXDB, pretrained: Pretrained, profile: Profile, *, fold: int) -> Record:
    """Describe held-out images in the dermatologists' terms."""
    return {"terms": bottlenecks.terms(networks(db, pretrained, profile, fold)).round(4)}


def _similar(db: DermXDB, pretrained: Pretrained, profile: Profile, *, fold: int) -> Record:
    """Find the training images nearest to held-out images."""
    table = similar_images.scores(similar(db, pretrained, profile, fold), paintings(db, profile))
    return {"similar": table.round(4)}


FAMILIES = {"vectors": _vectors, "bottleneck": _interventions, "text": _text, "similar": _similar}


def _trials(profile: Profile) -> list[Trial]:
    return [
        Trial(f"{name}_{fold}", compute, ("dermxdb", DEFAULT), (("fold", fold),))
        for name, compute in FAMILIES.items()
        for fold in range(profile.explained_folds)
    ]


STUDY = Study(
    "families",
    chapter="02_families",
    version=cache.VERSION,  # other paintings, other results
    trials=_trials,
    data={"dermxdb": real_or_simulated.open_dermxdb, DEFAULT: lambda _: start()},
    seed=SEED,
)
