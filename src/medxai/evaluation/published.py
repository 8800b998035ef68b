"""The dermatologists' tables of the DermX paper, computed anew in the shape of ``data/published``."""

import pandas as pd

from medxai.data.dermxdb import DermXDB
from medxai.data.ontology import MODELLED
from medxai.evaluation import agreement, localisation

A08 = "dermx_table_a08_dermatologist_diagnosis"
A09 = "dermx_table_a09_interrater_presence_full"
A10 = "dermx_table_a10_interrater_localization_full"
A11 = "dermx_table_a11_characteristic_prevalence"
T02 = "dermx_table_02_interrater_presence"
T03 = "dermx_table_03_interrater_localization"
T05 = "dermx_table_05_identification_f1"
CEILING = "benchmark_table_04_image_level"

WITHOUT_PATCH = [term for term in MODELLED if term != "Patch"]


def dermatologist_tables(db: DermXDB, overlaps: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Compute every dermatologist table of the paper with the conventions that give its printed numbers.

    Parameters
    ----------
    db
        The data set; its 554 paper images and first round are used.
    overlaps
        What `agreement.overlaps` gives for them.

    Returns
    -------
    dict
        By the name of the file in ``data/published``: the table with that file's index, rows (Mean included) and
        number columns. Of table 5 only the columns expert and samples, of which the dermatologists are the source.
    """
    evaluations = db.select("paper")
    presence = agreement.presence(evaluations)
    modelled = presence.loc[list(MODELLED), ["f1", "f1_std", "average_selection", "average_selection_std"]]
    place = agreement.localisation(overlaps, evaluations)
    place = place.drop(columns=["dice", "dice_std", "pairs"]).rename(columns={"iou": "f1", "iou_std": "f1_std"})
    expert = agreement.presence(evaluations, use="correct_described", terms=MODELLED)[["f1", "f1_std"]]
    expert.columns = ["expert", "expert_std"]
    table_2 = agreement.with_mean(modelled)
    # The paper's own inconsistency: this Mean leaves Patch out in the selection, but not in F1.
    selection = ["average_selection", "average_selection_std"]
    table_2.loc["Mean", selection] = agreement.with_mean(modelled, WITHOUT_PATCH).loc["Mean", selection]
    prevalence = agreement.prevalence(evaluations)
    prevalence.columns = [disease.lower().replace(" ", "_") for disease in prevalence.columns]
    tables = {
        A08: agreement.with_mean(agreement.diagnosis(evaluations), decimals=2),
        A09: agreement.with_mean(presence),
        A10: agreement.with_mean(place),
        T02: table_2,
        T03: agreement.with_mean(place.loc[list(MODELLED)], WITHOUT_PATCH),
        T05: agreement.with_mean(expert.join(agreement.samples(evaluations))),
    }
    tables = {name: table.rename(columns=_published_name) for name, table in tables.items()}
    return {**tables, A11: prevalence}


def _published_name(column: str) -> str:
    if column == "samples":
        return column
    column = column.replace("f1", "f1_score")
    return column if column.endswith("_std") else f"{column}_mean"


def scored_raters(db: DermXDB) -> pd.DataFrame:
    """Score each rater like an explanation method: one rater's map against the others' (benchmark paper, table 4).

    Evaluations that marked nothing are left out: with them the printed row does not come back, without them it does.

    Returns
    -------
    pandas.DataFrame
        One line per image of the benchmark and rater: columns image, disease, rater, and the fuzzy scores.
    """
    rows = []
    for image, disease in db.images.loc[db.images["benchmark"], "reference"].items():
        counts = db.rater_counts(image)
        for rater, scores in localisation.leave_one_out(counts).items():
            if counts[rater].any():
                rows.append({"image": image, "disease": disease, "rater": rater, **scores._asdict()})
    return pd.DataFrame(rows)
