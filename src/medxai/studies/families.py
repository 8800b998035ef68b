"""The study behind the chapter on explanations that are no heat maps: one trial a family and fold of the paintings."""

import functools

import numpy as np
import torch

from medxai.data import real_or_simulated
from medxai.data.dermxdb import DermXDB, chosen
from medxai.evaluation import classification
from medxai.experiment import (
    attention_pooled,
    bottlenecks,
    concepts_tested,
    decision_impact,
    image_sets,
    prototyped,
    similar_images,
)
from medxai.experiment.cells import cells
from medxai.experiment.explained_paintings import ExplainedPaintings, explained_images
from medxai.experiment.image_sets import SEED
from medxai.experiment.trained_network import start, train
from medxai.models.weights import DEFAULT, Pretrained
from medxai.painting import cache
from medxai.profiles import Profile
from medxai.results import in_front
from medxai.studies.store import Record, Study, Trial
from medxai.training.transfer import frozen_maps

SHUFFLES = 100
"""Exchanges of diseases behind the chance of an agreement."""


def paintings(db: DermXDB, profile: Profile) -> ExplainedPaintings:
    """Return the paintings of the chapters on maps, with the dermatologists' maps of the chapter on DermX."""
    return _paintings(db, profile.painted_images, profile.painted_size, profile.explained_size)


@functools.lru_cache(maxsize=1)  # not of a profile: its hash reads all sizes, and each would count for the reference
def _paintings(db: DermXDB, number: int | None, size: int, side: int) -> ExplainedPaintings:
    return explained_images(db, image_sets.painted(db, chosen(db, number), size, side), map_side=size // 4)


@functools.lru_cache(maxsize=1)  # of all folds
def _maps(pretrained: Pretrained, shown: ExplainedPaintings) -> np.ndarray:
    """Return the last feature maps of the paintings, float32 (n, k, h, w), of a network that knows no disease."""
    return frozen_maps(pretrained.network, shown.images.pictures, pretrained.normalisation)


def _features(pretrained: Pretrained, shown: ExplainedPaintings) -> np.ndarray:
    """Return the means of these maps, float32 (n, k), which the network's own head is given."""
    return torch.from_numpy(_maps(pretrained, shown)).mean((2, 3)).numpy()


def _fold(shown: ExplainedPaintings, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to train on and those held out."""
    return list(classification.folds(shown.images.labels, groups=None, seed=SEED))[fold]


@functools.lru_cache(maxsize=1)
def _networks(shown: ExplainedPaintings, pretrained: Pretrained, fold: int) -> bottlenecks.Bottlenecks:
    """Return the concept bottlenecks of a fold."""
    return bottlenecks.train(_features(pretrained, shown), shown, *_fold(shown, fold), seed=SEED)


def _vectors(db: DermXDB, pretrained: Pretrained, profile: Profile, *, fold: int) -> Record:
    """Test characteristics as concepts, by pictures and by areas."""
    shown = paintings(db, profile)
    trained = train(shown.images, pretrained, profile, fold)
    table = concepts_tested.tested(shown, trained, random_sets=max(3, profile.samples // 3), seed=SEED)
    agreed = concepts_tested.agreement(table, shuffles=SHUFFLES, seed=SEED)
    return {name: in_front(one, fold=fold).round(4) for name, one in (("vectors", table), ("agreement", agreed))}


def _interventions(db: DermXDB, pretrained: Pretrained, profile: Profile, *, fold: int) -> Record:
    """Set characteristics right and ask for the diagnosis."""
    of = _networks(paintings(db, profile), pretrained, fold)
    return {"interventions": bottlenecks.interventions(of, seed=SEED)}


def _text(db: DermXDB, pretrained: Pretrained, profile: Profile, *, fold: int) -> Record:
    """Score descriptions, and keep what was said."""
    shown = paintings(db, profile)
    of = _networks(shown, pretrained, fold)
    return {
        "terms": bottlenecks.terms(of).round(4),
        "sentences": bottlenecks.sentences(of, shown.characteristics),
    }


def _impact(db: DermXDB, pretrained: Pretrained, profile: Profile, *, fold: int) -> Record:
    """Cover what maps call critical, and look for patches in maps."""
    trained = train(paintings(db, profile).images, pretrained, profile, fold)
    return {"impact": in_front(decision_impact.measured(trained, profile, seed=SEED), fold=fold).round(4)}


def _similar(db: DermXDB, pretrained: Pretrained, profile: Profile, *, fold: int) -> Record:
    """Find the training images nearest to held-out images, and keep some of them."""
    shown = paintings(db, profile)
    of = similar_images.train(_features(pretrained, shown), shown, *_fold(shown, fold), seed=SEED)
    return {"similar": similar_images.scores(of, shown).round(4), "neighbours": similar_images.examples(of, shown)}


def _attention(db: DermXDB, pretrained: Pretrained, profile: Profile, *, fold: int) -> Record:
    """Pool cells by attention, score where it lies, and exchange it."""
    shown = paintings(db, profile)
    bags = cells(_maps(pretrained, shown), shown, *_fold(shown, fold))
    of = attention_pooled.train(bags, len(shown.images.classes), seed=SEED)
    return {
        "attention": attention_pooled.scores(of, shown, seed=SEED).round(4),
        "exchanged": attention_pooled.answers(of, shown, seed=SEED).round(4),
        "attended": attention_pooled.examples(of, shown, seed=SEED),
    }


def _prototypes(db: DermXDB, pretrained: Pretrained, profile: Profile, *, fold: int) -> Record:
    """Answer by likeness to prototypes, and look where these lie."""
    shown = paintings(db, profile)
    bags = cells(_maps(pretrained, shown), shown, *_fold(shown, fold))
    of = prototyped.train(bags, len(shown.images.classes), seed=SEED)
    return {
        "prototypes": prototyped.scores(of, shown).round(4),
        "likeness": prototyped.answers(of, shown),
        "alike": prototyped.examples(of, shown),
    }


FAMILIES = {
    "vectors": _vectors,
    "bottleneck": _interventions,
    "text": _text,
    "impact": _impact,
    "similar": _similar,
    "attention": _attention,
    "prototypes": _prototypes,
}


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
