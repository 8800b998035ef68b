"""How much of the disagreement between raters is disagreement with oneself, a round later."""

import pandas as pd

from medxai.evaluation.agreement import with_mean

MEASURES = ("f1", "cohens_kappa", "iou", "dice")


def shares_with_mean(table: pd.DataFrame) -> pd.DataFrame:
    """Append the Mean row to a table of `agreement.intra_rater`, plain or resampled.

    Its shares compare mean disagreements: a mean of ratios would follow the rarest term.
    """
    table = with_mean(table)
    mean = table.index.get_level_values(-1) == "Mean"
    for measure in MEASURES:
        share = (1 - table[f"{measure}_intra"]) / (1 - table[f"{measure}_inter"])
        table.loc[mean, f"{measure}_share"] = share[mean]
    return table


def diagnosis_share(table: pd.DataFrame) -> pd.DataFrame:
    """Put the two rows of `agreement.repeated_diagnosis`, plain or resampled, side by side with the share."""
    resampled = table.index.nlevels == 2
    intra, inter = (
        table["same_diagnosis"].xs(name, level=-1) if resampled else table.loc[[name], "same_diagnosis"]
        for name in ("intra", "inter")
    )
    values = {"same_diagnosis_intra": intra.to_numpy(), "same_diagnosis_inter": inter.to_numpy()}
    values["same_diagnosis_share"] = (1 - values["same_diagnosis_intra"]) / (1 - values["same_diagnosis_inter"])
    index = pd.MultiIndex.from_product([range(len(intra)), ["Diagnosis"]]) if resampled else ["Diagnosis"]
    return pd.DataFrame(values, index)
