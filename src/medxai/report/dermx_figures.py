"""Figures and tables of the DermX chapter that need more than one call of `medxai.report.plots`."""

from collections.abc import Sequence

import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from medxai import paths
from medxai.report import plots

LOCALISATION = {"DermX": "dermx_table_06_dermx_localization", "DermX+": "dermx_table_07_dermx_plus_localization"}
"""Tables of the paper by network."""
BASELINES = {
    "logistic regression": "logistic regression",
    "decision tree": "decision tree",
    "5-nearest neighbour": "k-nearest neighbours (5)",
    "5-nearest neighbour, ties by order": None,
    "5-nearest neighbour, all ties": None,
    "categorical naive Bayes": "categorical naive Bayes",
}
"""The paper's names of the models that see characteristics alone, by ours; ``None`` where it has none."""
TITLES = {"attention": "its own attention", "integrated_gradients": "integrated gradients", "occlusion": "occlusion"}


def text_results() -> pd.DataFrame:
    """Return what the paper prints in its text, as printed: index fact, columns value, std and others."""
    return pd.read_csv(paths.published("dermx_text_results"), dtype=str, index_col="fact")


def printed_baselines() -> pd.DataFrame:
    """Return the printed macro F1 of these models, as `medxai.results.published` returns a table."""
    facts, parts = text_results(), []
    for row, name in BASELINES.items():
        fact = facts.loc[f"interpretable: {name} macro F1"] if name else {"value": None, "std": None}
        parts += [(row, "f1", fact["value"]), (row, "f1_std", fact["std"])]
    table = pd.DataFrame(parts, columns=["row", "metric", "printed"])
    return table.assign(value=table["printed"].astype(float))


def training(history: pd.DataFrame, metrics: Sequence[str]) -> Figure:
    """Draw how training went: a panel for each metric, a curve for each network, held-out images."""
    lines = history[history["metric"].isin(metrics) & (history["split"] == "held out")]
    lines = lines.replace({"metric": {"characteristic f1": "characteristics F1"}})
    names = {"xlabel": "epoch", "ylabel": "held-out images"}
    return plots.curves(lines, x="epoch", series="recipe", panels="metric", kind="rendered", markers=True, **names)


def covered(table: pd.DataFrame) -> HTML:
    """Return the table of drops when attention, or as many pixels elsewhere, are covered."""
    lines = table.pivot_table(index=["recipe", "fill", "threshold"], columns="place", values="drop", sort=False)
    lines.index = pd.Index([f"{of}, {fill}, from {level:g}" for of, fill, level in lines.index], name="covered")
    return plots.table(lines, "Drop of the probability of the predicted disease", form=".2f")


def judged(table: pd.DataFrame) -> HTML:
    """Return the table of what explainers say of where characteristics are."""
    lines = table.pivot_table(index=["recipe", "method"], values=["pixel_auc", "mass"], sort=False)
    lines.index = pd.Index([f"{recipe}, {TITLES[method]}" for recipe, method in lines.index], name="map")
    lines = lines.rename(columns={"pixel_auc": "pixel AUC", "mass": "mass inside"})
    return plots.table(lines, "Maps of characteristics against the dermatologists", form=".2f")
