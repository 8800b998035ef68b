"""Figures and tables of the DermX chapter that compare networks, trained and tested in different ways."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from medxai.report import plots
from medxai.report.findings import DataKind

LOSSES = {
    "dice": "Dice",
    "sensitivity_specificity": "sensitivity-specificity",
    "energy": "energy",
    "l1": "L1",
    "pixel_cross_entropy": "cross entropy",
    "outside_squared": "outside squared",
}
"""Titles of the losses of attention, by their keys in `medxai.training.guidance.GUIDANCE`."""
NONE = "none (DermX)"
MAPS = {
    "another image": "another image's maps",
    "mean of disease": "mean of the disease",
    "gaussian": "Gaussian",
    "coarse": "experts', 3 × 3 cells",
}
"""Titles of the maps that guide in place of the experts', by their keys in `medxai.experiment.trained_dermx.Recipe`."""


def fronts(means: pd.DataFrame, recipes: Sequence[str], against: str, kind: DataKind, note: str) -> Figure:
    """Draw what each loss of attention buys and costs, a curve over its weights, in two panels.

    Parameters
    ----------
    means
        As of `medxai.experiment.dermx_compared.means`.
    recipes
        Networks of the sweep, named ``LOSS WEIGHT``, in the order of the weights.
    against
        The network without guidance, drawn as a point.
    """
    parts = []
    for panel in ("diagnosis F1", "characteristics F1"):
        lines = pd.DataFrame({"x": means["localisation F1"], "value": means[panel], "panel": panel})
        lines["loss"] = [NONE if name == against else LOSSES.get(name.rsplit(" ", 1)[0]) for name in lines.index]
        parts.append(lines.loc[[against, *(name for name in recipes if name in lines.index)]])
    return plots.curves(
        pd.concat(parts),
        x="x",
        series="loss",
        panels="panel",
        xlabel="localisation F1",
        ylabel="macro F1 over classes",
        markers=True,
        height=5.2,
        kind=kind,
        note=note,
    )


def guides(names: Sequence[str]) -> list[str]:
    """Return for networks named ``LOSS WEIGHT`` or ``LOSS WEIGHT, MAPS`` by what their attention was guided."""
    smoothed = "experts', $s$ = 1"
    return [
        smoothed if name.startswith("dice_smoothed") else MAPS.get(name.partition(", ")[2], "experts' maps")
        for name in names
    ]


def gaps(table: pd.DataFrame, caption: str) -> HTML:
    """Return the table of differences of `medxai.experiment.dermx_compared.differences`, a column for each quantity.

    A sentence in its place, where no trial of these networks is there.
    """
    if table.empty:
        return HTML("<p><em>No trials of these networks yet: <code>medxai run dermx --profile full</code>.</em></p>")
    texts = table.assign(
        pair=(table["model"] + " − " + table["against"]).str.replace("_", "-"),
        text=[ranged(row.value, row.low, row.high) for row in table.itertuples()],
    )
    lines = texts.pivot(index="pair", columns="quantity", values="text")
    lines = lines.loc[list(dict.fromkeys(texts["pair"])), list(dict.fromkeys(table["quantity"]))].fillna("–")
    return plots.table(lines.rename_axis(index="networks", columns=None), caption)


def ranged(value: float, low: float, high: float, form: str = "+z.2f") -> str:
    """Return ``+0.03 (−0.01 to +0.08)``; a dash for each that is not defined."""
    value, low, high = ("–" if np.isnan(one) else f"{one:{form}}".replace("-", "−") for one in (value, low, high))
    return f"{value} ({low} to {high})"


def skill(table: pd.DataFrame) -> HTML:
    """Return the table of `medxai.experiment.dermx_compared.skills`."""
    lines = table[["score", "control", "ceiling"]].map("{:.2f}".format)
    lines["skill"] = [ranged(row.skill, row.low, row.high, "z.0%") for row in table.itertuples()]
    lines = lines.rename(columns={"score": "fuzzy F1", "control": "blind map", "ceiling": "best on its grid"})
    return plots.table(lines.rename_axis("network"), "Skill, with 95 % interval over images: all cases")


def paired(table: pd.DataFrame, condition: str, caption: str) -> HTML:
    """Return the table of `medxai.experiment.dermx_compared.paired`: means, and differences with their intervals."""
    lines = pd.DataFrame(
        {"network": table["recipe"], condition: table[condition], "mean": table["value"].map("{:z.2f}".format)}
    )
    lines["difference (95 %)"] = [
        "" if np.isnan(row.difference) else ranged(row.difference, row.low, row.high) for row in table.itertuples()
    ]
    return plots.table(lines.set_index("network"), caption)


def precision(table: pd.DataFrame, printed: pd.DataFrame) -> HTML:
    """Return the table of explanation precision: printed, ours, and what chance would give.

    Parameters
    ----------
    table
        As of `medxai.experiment.dermx_compared.precision`.
    printed
        Results of the paper's text, as of `medxai.report.dermx_figures.text_results`.
    """
    lines = []
    for row in table.itertuples():
        kind = "correct" if row.diagnosis == "right" else "wrong"
        fact = f"explanation precision, {kind} diagnosis, {row.recipe.split(' (')[0]}"
        share = "" if np.isnan(row.cutoff) else f", expected from {row.cutoff:.0%}"
        told = printed["value"].get(fact, "–")
        lines.append((row.recipe, f"{row.diagnosis}{share}", told, row.precision, row.chance, str(row.images)))
    columns = ["network", "diagnosis", "printed", "precision", "by chance", "images"]
    return plots.table(pd.DataFrame(lines, columns=columns).set_index("network"), "Explanation precision", form=".2f")
