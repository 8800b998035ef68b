"""The study behind chapter 01: how eight dermatologists explain skin photographs, and how far they agree.

Four trials: who found what (diagnosis and presence), where (localisation), how far raters agree with themselves, and
how high a rater would score as an explanation method (the ceiling). Tables are tidy; those that rebuild a published
table carry its name.
"""

import functools
from collections.abc import Callable

import numpy as np
import pandas as pd

from medxai.data import real_or_simulated
from medxai.data.dermxdb import DermXDB
from medxai.evaluation import agreement, bootstrap, conventions, localisation, repeated
from medxai.evaluation.published import A08, A09, A10, A11, CEILING, T02, T03, T05, dermatologist_tables, scored_raters
from medxai.profiles import Profile
from medxai.results import tidy
from medxai.studies.store import Record, Study, Trial

SEED = 0
Statistic = Callable[..., pd.DataFrame]
"""Computes a table, or given ``weights`` of the images one for each resample."""

PUBLISHED = {
    A08: "Table A.8, diagnosis",
    A09: "Table A.9, presence",
    T02: "Table 2, presence",
    T05: "Table 5, Expert and Samples",
    A11: "Table A.11, prevalence",
    A10: "Table A.10, place",
    T03: "Table 3, place",
}
"""The tables of the DermX paper that this study rebuilds, in the order of the chapter, and what they are called."""


@functools.lru_cache(maxsize=1)
def overlaps(db: DermXDB) -> pd.DataFrame:
    """Return `agreement.overlaps` of the images that the tables use; once per process."""
    used = db.images["paper"] | db.images["second_round"]
    return agreement.overlaps(db, db.images.index[used])


def _interval(statistic: Statistic, evaluations: pd.DataFrame, profile: Profile) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the 95 % bootstrap interval of a table, over the images of `evaluations`."""
    return bootstrap.interval(statistic, evaluations["image"].nunique(), resamples=profile.bootstrap, seed=SEED)


def _with_interval(statistic: Statistic, evaluations: pd.DataFrame, profile: Profile) -> pd.DataFrame:
    return tidy(statistic(), *_interval(statistic, evaluations, profile))


def _presence(db: DermXDB, profile: Profile) -> Record:
    """Rebuild the tables of diagnosis, presence and prevalence."""
    evaluations = db.select("paper")
    rebuilt = dermatologist_tables(db, overlaps(db))
    presence = functools.partial(agreement.presence, evaluations)
    expert = functools.partial(agreement.presence, evaluations, use="correct_described")
    statistics = {
        A08: functools.partial(agreement.diagnosis, evaluations),
        A09: presence,
        T02: presence,
        T05: lambda weights: expert(weights=weights)[["f1"]].rename(columns={"f1": "expert"}),
        A11: functools.partial(agreement.prevalence, evaluations),
    }
    return {
        name: tidy(rebuilt[name], *_interval(statistic, evaluations, profile)) for name, statistic in statistics.items()
    }


def _localisation(db: DermXDB, profile: Profile) -> Record:
    """Rebuild the tables of place, both indices beside each other, and the mean under other conventions."""
    evaluations = db.select("paper")
    rebuilt = dermatologist_tables(db, overlaps(db))

    def indices(weights: np.ndarray | None = None) -> pd.DataFrame:
        return agreement.with_mean(agreement.localisation(overlaps(db), evaluations, weights=weights))

    low, high = _interval(indices, evaluations, profile)
    as_printed = [bound.drop(columns="dice").rename(columns={"iou": "f1"}) for bound in (low, high)]
    return {
        A10: tidy(rebuilt[A10], *as_printed),
        T03: tidy(rebuilt[T03], *[bound.drop(index="Mean") for bound in as_printed]),
        "localisation_indices": tidy(indices(), low, high),
        "conventions": tidy(conventions.means(overlaps(db), evaluations)),
    }


def _intra_rater(db: DermXDB, profile: Profile) -> Record:
    """Compare raters with themselves and with each other on the images that were labelled twice."""
    evaluations = db.select("second_round", round=None)

    def place_and_presence(weights: np.ndarray | None = None) -> pd.DataFrame:
        return repeated.shares_with_mean(agreement.intra_rater(overlaps(db), evaluations, weights=weights))

    def diagnoses(weights: np.ndarray | None = None) -> pd.DataFrame:
        return repeated.diagnosis_share(agreement.repeated_diagnosis(evaluations, weights=weights))

    return {
        "intra_rater": _with_interval(place_and_presence, evaluations, profile),
        "repeated_diagnosis": _with_interval(diagnoses, evaluations, profile),
    }


def _ceiling(db: DermXDB, profile: Profile) -> Record:
    """Score each rater like an explanation method: as in the benchmark's table 4, by disease, by characteristic."""
    scored, metrics = scored_raters(db), list(localisation.FuzzyScores._fields)
    raters = scored.groupby("rater")[metrics].mean()
    overall = pd.concat([raters.mean(), raters.std(ddof=1).add_suffix("_std")]).to_frame("Dermatologists").T
    by_disease = scored.groupby(["disease", "rater"])["f1"].mean().groupby("disease").agg(["mean", "min", "max"])
    mean, low, high = (by_disease[[name]].set_axis(["f1"], axis=1) for name in by_disease)
    evaluations = db.select("paper")

    def by_characteristic(weights: np.ndarray | None = None) -> pd.DataFrame:
        return agreement.with_mean(agreement.against_others(overlaps(db), evaluations, weights=weights))

    return {
        CEILING: tidy(overall),
        "ceiling_by_characteristic": _with_interval(by_characteristic, evaluations, profile),
        "ceiling_by_disease": tidy(mean, low, high),
    }


STUDY = Study(
    "dataset",
    chapter="01_dataset",
    version=1,
    trials=lambda profile: [
        Trial("presence", _presence, ("dermxdb",)),
        Trial("localisation", _localisation, ("dermxdb",)),
        Trial("intra_rater", _intra_rater, ("dermxdb",)),
        Trial("ceiling", _ceiling, ("dermxdb",)),
    ],
    data={"dermxdb": real_or_simulated.open_dermxdb},
    seed=SEED,
    digits=6,  # enough to round to every printed digit
)
