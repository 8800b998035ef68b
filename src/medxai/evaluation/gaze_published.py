"""What gaze-supervised networks are printed to reach on EGD-CXR, and what p-values its numbers allow.

Karargyris et al. 2021 (logs of their public code) and Watanabe et al. 2022 (tables 1 to 4).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from medxai import paths
from medxai.evaluation import auc_tests

CLASSES = ("normal", "chf", "pneumonia")
SIZES = (30, 42, 36)
"""Images of each class among the 108 test images of Karargyris et al., as areas tell (`auc_tests.class_sizes`)."""
DROPPED = (18, 42, 36)
"""The same for the 96 of the temporal model's baseline."""
THIRDS = (34, 34, 34)
"""An assumption, for Watanabe et al.: a tenth of their 1,017 images, as many of each class. No counts are printed."""
TABLES = {
    "heatmaps_table_1_baselines_auc": "",
    "heatmaps_table_2_set1_auc": "Set 1: ",
    "heatmaps_table_3_set2_auc": "Set 2: ",
    "heatmaps_table_4_set3_auc": "Set 3: ",
}
"""Tables 1 to 4 of Watanabe et al., and what goes before the names of their models."""
NO_SEGMENTATION = "No segmentation"
NAMES = {"Guided back-propagation": "GBP", "Model without the segmentation component": NO_SEGMENTATION}
"""What we call some of their models, shorter."""
BASELINE = "U-Net (baseline)"
RESAMPLES = 30
CORRELATIONS = (0.0, 0.5, 0.8)
"""Of the areas of two models on the same images: not printed, so several are assumed. The higher, the smaller is p."""


class Printed(NamedTuple):
    """A model's areas by class and on average, as printed, and how many test images each class has."""

    areas: tuple[float, ...]
    average: float
    sizes: tuple[int, ...]


def watanabe() -> pd.DataFrame:
    """Return tables 1 to 4 in one, indexed by model and class, with the baseline, which all four print, once."""
    parts = [pd.read_csv(paths.published(name)).assign(before=before) for name, before in TABLES.items()]
    whole = pd.concat(parts, ignore_index=True)
    whole["model"] = whole["before"].where(whole["model"] != BASELINE, "") + whole["model"].replace(NAMES)
    return whole.drop_duplicates(["model", "class"]).drop(columns="before").set_index(["model", "class"])


def training_log() -> pd.DataFrame:
    """Return validation loss and test areas of each epoch of the temporal model and of its baseline."""
    return pd.read_csv(paths.published("gaze_training_log"))


def models() -> dict[str, Printed]:
    """Return what is printed, by model; of each of the authors' runs the epoch that they chose."""
    static, log, found = pd.read_csv(paths.published("gaze_static_log")), training_log(), {}
    chosen = log.loc[log.groupby("run", sort=False)["average"].idxmax()]
    for kind, lines in (("Static", static), ("Temporal", chosen)):
        for _, line in lines.iterrows():
            sizes = DROPPED if line.get("test_images") == sum(DROPPED) else SIZES
            found[f"{kind}: {line['run']}"] = Printed(tuple(line[list(CLASSES)]), line["average"], sizes)
    medians = watanabe()["auc_median"].unstack("class", sort=False)
    for model, line in medians.iterrows():
        found[model] = Printed(tuple(line[["Normal", "CHF", "Pneumonia"]]), line["Average"], THIRDS)
    return found


def p_values(errors: Mapping[str, float]) -> pd.DataFrame:
    """Set each printed p-value beside two that the printed numbers allow.

    Parameters
    ----------
    errors
        Standard error of the average area, by model.

    Returns
    -------
    pandas.DataFrame
        ``model``, ``class``, ``gain`` over the baseline, ``printed``; ``resamples``, by Welch's t-test as if 30
        resamples were 30 observations, with the deviation that the printed interval implies; ``images``, by the
        standard errors of areas of `THIRDS` (Hanley and McNeil's for a class) that correlate by ``correlation``; and
        ``adjusted``, the same by `auc_tests.holm`.
    """
    table = watanabe()
    deviation = (table["ci95_high"] - table["ci95_low"]) / (2 * stats.norm.ppf(0.975))
    lines = []
    for (model, area), line in table[table["p_value"].notna()].iterrows():
        pair = [(model, area), (BASELINE, area)]
        medians, spreads = table.loc[pair, "auc_median"].to_numpy(), deviation[pair].to_numpy()
        welch = stats.ttest_ind_from_stats(medians[0], spreads[0], RESAMPLES, medians[1], spreads[1], RESAMPLES, False)
        each = auc_tests.hanley_mcneil(medians, THIRDS[0], sum(THIRDS[1:]))
        if area == "Average":
            each = np.array([errors[name] for name, _ in pair])
        lines.append(
            (model, area, medians[0] - medians[1], line["p_value"], welch.pvalue, (each**2).sum(), each.prod())
        )
    found = pd.DataFrame(lines, columns=["model", "class", "gain", "printed", "resamples", "squares", "product"])
    return pd.concat([_by_images(found, correlation) for correlation in CORRELATIONS], ignore_index=True)


def _by_images(found: pd.DataFrame, correlation: float) -> pd.DataFrame:
    """Add the p-values of differences whose two errors correlate."""
    error = np.sqrt(found["squares"] - 2 * correlation * found["product"])
    images = 2 * stats.norm.sf(found["gain"].abs() / error)
    own = found.drop(columns=["squares", "product"])
    return own.assign(correlation=correlation, images=images, adjusted=auc_tests.holm(images))
