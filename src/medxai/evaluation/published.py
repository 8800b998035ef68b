"""The dermatologists' tables of the DermX paper, computed anew in the shape of ``data/published``."""

import pandas as pd

from medxai.data.dermxdb import DermXDB
from medxai.data.ontology import MODELLED
from medxai.evaluation import agreement

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
        "dermx_table_a08_dermatologist_diagnosis": agreement.with_mean(agreement.diagnosis(evaluations), decimals=2),
        "dermx_table_a09_interrater_presence_full": agreement.with_mean(presence),
        "dermx_table_a10_interrater_localization_full": agreement.with_mean(place),
        "dermx_table_02_interrater_presence": table_2,
        "dermx_table_03_interrater_localization": agreement.with_mean(place.loc[list(MODELLED)], WITHOUT_PATCH),
        "dermx_table_05_identification_f1": agreement.with_mean(expert.join(agreement.samples(evaluations))),
    }
    tables = {name: table.rename(columns=_published_name) for name, table in tables.items()}
    return {**tables, "dermx_table_a11_characteristic_prevalence": prevalence}


def _published_name(column: str) -> str:
    if column == "samples":
        return column
    column = column.replace("f1", "f1_score")
    return column if column.endswith("_std") else f"{column}_mean"
