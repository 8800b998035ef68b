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
from medxai.data.dermxdb import CHARACTERISTICS, DermXDB
from medxai.evaluation import agreement, bootstrap, localisation
from medxai.evaluation.published import dermatologist_tables
from medxai.profiles import Profile
from medxai.report import tables as report
from medxai.studies.store import Record, Study, Trial

SEED = 0

A08 = "dermx_table_a08_dermatologist_diagnosis"
A09 = "dermx_table_a09_interrater_presence_full"
A10 = "dermx_table_a10_interrater_localization_full"
A11 = "dermx_table_a11_characteristic_prevalence"
T02 = "dermx_table_02_interrater_presence"
T03 = "dermx_table_03_interrater_localization"
T05 = "dermx_table_05_identification_f1"
CEILING = "benchmark_table_04_image_level"
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


def describe(db: DermXDB) -> str:
    """Say in one line what the data set holds and where it comes from."""
    origin = (
        "DermXDB, annotations CC0" if db.kind == "real" else "drawn by medxai.data.simulate in the schema of DermXDB"
    )
    return (
        f"{origin}: {db.images['paper'].sum()} images, {db.evaluations['rater'].nunique()} raters, "
        f"{len(db.evaluations)} evaluations, {len(db.instances)} outlined regions."
    )


def typical_image(db: DermXDB, disease: str) -> str:
    """Return an image of `disease` that all raters diagnosed right, with a median number of outlined regions.

    Where no image was diagnosed right by all, those with the most right diagnoses are taken.
    """
    evaluations = db.select("paper")
    evaluations = evaluations[evaluations["reference"] == disease]
    right = evaluations.groupby("image")["correct"].sum()
    regions = db.instances.query("round == 1").groupby("image").size().reindex(right.index[right == right.max()])
    return regions.fillna(0).sort_values(kind="stable").index[len(regions) // 2]


def most_used(db: DermXDB, image: str, number: int) -> list[str]:
    """Return the characteristics that most raters marked on `image`, most used first."""
    marks = db.select([image])[list(CHARACTERISTICS)].sum()
    return list(marks.sort_values(ascending=False, kind="stable").index[:number])


def _interval(
    statistic: Callable[..., pd.DataFrame], evaluations: pd.DataFrame, profile: Profile
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the 95 % bootstrap interval of a table, over the images of `evaluations`."""
    return bootstrap.interval(statistic, evaluations["image"].nunique(), resamples=profile.bootstrap, seed=SEED)


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
        name: report.tidy(rebuilt[name], *_interval(statistic, evaluations, profile))
        for name, statistic in statistics.items()
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
        A10: report.tidy(rebuilt[A10], *as_printed),
        T03: report.tidy(rebuilt[T03], *[bound.drop(index="Mean") for bound in as_printed]),
        "localisation_indices": report.tidy(indices(), low, high),
        "conventions": _conventions(db, evaluations),
    }


CONVENTIONS = {
    "as published: right diagnosis (or everybody), all pairs of masks alike": {},
    "every evaluation with a diagnosis": {"use": "diagnosed"},
    "right diagnosis only, no exception": {"use": "correct"},
    "mean per image first": {"pool": "image"},
    "mean per pair of raters first": {"pool": "rater pair"},
    "a region that only one rater drew counts as no overlap": {"empty": "zero"},
}
"""One decision changed at a time: name and arguments of `agreement.localisation`."""


def _conventions(db: DermXDB, evaluations: pd.DataFrame) -> pd.DataFrame:
    """Compute the mean over the characteristics under each convention, and with each rater left out."""
    choices = {name: (evaluations, options) for name, options in CONVENTIONS.items()}
    for rater in sorted(evaluations["rater"].unique()):
        choices[f"without rater {rater}"] = (evaluations[evaluations["rater"] != rater], {})
    rows = {}
    for name, (chosen, options) in choices.items():
        table = agreement.localisation(overlaps(db), chosen, **options)
        rows[name] = table[["iou", "dice"]].mean() if len(table) else np.nan
        rows[name]["pairs"] = table["pairs"].sum()
    return report.tidy(pd.DataFrame(rows).T)


def _intra_rater(db: DermXDB, profile: Profile) -> Record:
    """Compare raters with themselves and with each other on the images that were labelled twice."""
    evaluations = db.select("second_round", round=None)

    def place_and_presence(weights: np.ndarray | None = None) -> pd.DataFrame:
        return _with_shares(agreement.intra_rater(overlaps(db), evaluations, weights=weights))

    def diagnoses(weights: np.ndarray | None = None) -> pd.DataFrame:
        return _diagnosis_share(agreement.repeated_diagnosis(evaluations, weights=weights))

    return {
        "intra_rater": report.tidy(place_and_presence(), *_interval(place_and_presence, evaluations, profile)),
        "repeated_diagnosis": report.tidy(diagnoses(), *_interval(diagnoses, evaluations, profile)),
    }


def _with_shares(table: pd.DataFrame) -> pd.DataFrame:
    """Append the Mean row; its shares compare mean disagreements (a mean of ratios would follow the rarest term)."""
    table = agreement.with_mean(table)
    mean = table.index.get_level_values(-1) == "Mean"
    for measure in ("f1", "cohens_kappa", "iou", "dice"):
        share = (1 - table[f"{measure}_intra"]) / (1 - table[f"{measure}_inter"])
        table.loc[mean, f"{measure}_share"] = share[mean]
    return table


def _diagnosis_share(table: pd.DataFrame) -> pd.DataFrame:
    """Put the same rater and two raters side by side in one row, with the share of the disagreement."""
    resampled = table.index.nlevels == 2
    intra, inter = (
        table["same_diagnosis"].xs(name, level=-1) if resampled else table.loc[[name], "same_diagnosis"]
        for name in ("intra", "inter")
    )
    values = {"same_diagnosis_intra": intra.to_numpy(), "same_diagnosis_inter": inter.to_numpy()}
    values["same_diagnosis_share"] = (1 - values["same_diagnosis_intra"]) / (1 - values["same_diagnosis_inter"])
    index = pd.MultiIndex.from_product([range(len(intra)), ["Diagnosis"]]) if resampled else ["Diagnosis"]
    return pd.DataFrame(values, index)


def _ceiling(db: DermXDB, profile: Profile) -> Record:
    """Score each rater like an explanation method: one rater's map against the others' (benchmark table 4).

    Evaluations that marked nothing are left out: with them the printed row does not come back, without them it does.
    """
    rows = []
    for image in db.images.index[db.images["benchmark"]]:
        counts = db.rater_counts(image)
        for rater, scores in localisation.leave_one_out(counts).items():
            if counts[rater].any():
                disease = db.images["reference"][image]
                rows.append({"image": image, "rater": rater, "disease": disease, **scores._asdict()})
    scored = pd.DataFrame(rows)
    metrics = list(localisation.FuzzyScores._fields)
    raters = scored.groupby("rater")[metrics].mean()
    overall = pd.concat([raters.mean(), raters.std(ddof=1).add_suffix("_std")]).to_frame("Dermatologists").T
    by_disease = (
        scored.groupby(["disease", "rater"])[metrics].mean().groupby("disease").agg(["mean", "min", "max"])["f1"]
    )
    evaluations = db.select("paper")

    def by_characteristic(weights: np.ndarray | None = None) -> pd.DataFrame:
        return agreement.with_mean(agreement.against_others(overlaps(db), evaluations, weights=weights))

    return {
        CEILING: report.tidy(overall),
        "ceiling_by_characteristic": report.tidy(
            by_characteristic(), *_interval(by_characteristic, evaluations, profile)
        ),
        "ceiling_by_disease": by_disease.set_axis(["value", "low", "high"], axis=1)
        .rename_axis("row")
        .reset_index()
        .assign(metric="f1")[report.TIDY],
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
)
