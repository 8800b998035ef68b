"""The study behind the chapter on explanations that are no heat maps: one trial a family and fold of the paintings."""

import functools

from medxai.data import real_or_simulated
from medxai.data.dermxdb import DermXDB, chosen
from medxai.evaluation import classification
from medxai.experiment import bottlenecks, concepts_tested, decision_impact, image_sets
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


def paintings(db: DermXDB, profile: Profile) -> ExplainedPaintings:
    """Return the paintings of the chapters on maps, with the dermatologists' maps of the chapter on DermX."""
    return _paintings(db, profile.painted_images, profile.painted_size, profile.explained_size)


@functools.lru_cache(maxsize=1)  # not of a profile: its hash reads all sizes, and each would count for the reference
def _paintings(db: DermXDB, number: int | None, size: int, side: int) -> ExplainedPaintings:
    return explained_images(db, image_sets.painted(db, chosen(db, number), size, side), map_side=size // 4)


_features = functools.lru_cache(maxsize=1)(bottlenecks.features)  # of all folds


@functools.lru_cache(maxsize=1)
def _networks(shown: ExplainedPaintings, pretrained: Pretrained, fold: int) -> bottlenecks.Bottlenecks:
    """Return the concept bottlenecks of a fold."""
    seen, unseen = list(classification.folds(shown.images.labels, groups=None, seed=SEED))[fold]
    return bottlenecks.train(_features(pretrained, shown), shown, seen, unseen, seed=SEED)


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


FAMILIES = {"vectors": _vectors, "bottleneck": _interventions, "text": _text, "impact": _impact}


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
