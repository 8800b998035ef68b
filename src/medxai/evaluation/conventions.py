"""How the mean agreement on place depends on conventions that a paper may leave unsaid."""

import pandas as pd

from medxai.evaluation import agreement

CONVENTIONS = {
    "as published: right diagnosis (or everybody), all pairs of masks alike": {},
    "every evaluation with a diagnosis": {"use": "diagnosed"},
    "right diagnosis only, no exception": {"use": "correct"},
    "mean per image first": {"pool": "image"},
    "mean per pair of raters first": {"pool": "rater pair"},
    "a region that only one rater drew counts as no overlap": {"empty": "zero"},
}
"""One decision changed at a time: name and arguments of `agreement.localisation`."""


def means(overlaps: pd.DataFrame, evaluations: pd.DataFrame) -> pd.DataFrame:
    """Compute the mean over the characteristics under each convention, and with each rater left out.

    Parameters
    ----------
    overlaps, evaluations
        As of `agreement.localisation`.

    Returns
    -------
    pandas.DataFrame
        Index: conventions. Columns iou and dice (NaN where no pair of masks is left), pairs (of masks).
    """
    choices = {name: (evaluations, options) for name, options in CONVENTIONS.items()}
    for rater in sorted(evaluations["rater"].unique()):
        choices[f"without rater {rater}"] = (evaluations[evaluations["rater"] != rater], {})
    tables = {name: agreement.localisation(overlaps, chosen, **options) for name, (chosen, options) in choices.items()}
    rows = {name: [*table[["iou", "dice"]].mean(), table["pairs"].sum()] for name, table in tables.items()}
    return pd.DataFrame(rows, index=["iou", "dice", "pairs"]).T
