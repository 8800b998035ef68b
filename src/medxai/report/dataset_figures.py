"""Figures of chapter 01, drawn from its tidy tables, and the sentences of its findings."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from medxai.report import plots
from medxai.report.findings import DataKind
from medxai.results import published

Tables = dict[str, pd.DataFrame]

REFERENCE = "reference run"
"""Note on the figures of the findings: they show our full-size run, whatever this build shows."""


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """Turn a tidy table into one row per term, with the columns ``<metric>``, ``<metric>_low``, ``<metric>_high``."""
    parts = [table.pivot(index="row", columns="metric", values=name) for name in ("value", "low", "high")]
    parts[1:] = [part.add_suffix(suffix) for part, suffix in zip(parts[1:], ("_low", "_high"), strict=True)]
    return (
        pd.concat(parts, axis=1)
        .loc[table["row"].drop_duplicates()]
        .dropna(axis=1, how="all")
        .rename_axis(index=None, columns=None)
    )


def images(cohort: pd.DataFrame, kind: DataKind) -> Figure:
    """Draw the number of images per diagnosis, by skin tone and by age."""
    figure, panels = plt.subplots(2, 1, figsize=(5.6, 6.2), sharex=True)
    tones, ages = ["light", "medium", "dark", "not recorded"], ["young", "adult", "elderly", "not recorded"]
    for axes, column, order in zip(panels, ("skin_tone", "age"), (tones, ages), strict=True):
        counts = pd.crosstab(cohort["reference"], cohort[column].fillna("not recorded"))
        plots.bars(axes, counts.reindex(columns=order, fill_value=0), xlabel="images")
        axes.set_title(column.replace("_", " "), loc="left", pad=26)
    return plots.mark_data(figure, kind)


def presence(tables: Tables, kind: DataKind) -> Figure:
    """Draw the F1 of presence of each characteristic with its interval, and the printed value as a cross."""
    table = wide(tables["dermx_table_a09_interrater_presence_full"]).drop(index="Mean")
    table["printed"] = _printed("dermx_table_a09_interrater_presence_full")
    labels = ["this build, 95 % interval", "printed"]
    return plots.intervals(
        table, ["f1", "printed"], labels=labels, xlabel="F1 of presence (0 to 1)", kind=kind, order="f1"
    )


def overlap(reference: Tables) -> Figure:
    """Draw both overlap indices of the reference run beside the printed "F1", one line per characteristic."""
    table = wide(reference["localisation_indices"]).drop(index="Mean")
    table["printed"] = _printed("dermx_table_a10_interrater_localization_full")
    labels = ["intersection over union", "Dice coefficient", "printed as F1 (Dice)"]
    xlabel = "overlap of two raters' regions (0 to 1)"
    series = ["iou", "dice", "printed"]
    return plots.intervals(table, series, labels=labels, xlabel=xlabel, kind="real", order="iou", note=REFERENCE)


def overlap_finding(reference: Tables, equal: int, cells: int) -> tuple[str, Figure, str]:
    """Say that the printed F1 is the IoU: sentence, figure, figure in words."""
    table = wide(reference["localisation_indices"])
    iou, dice = table.loc["Mean", ["iou", "dice"]]
    sentence = (
        f"{equal} of the {cells} printed numbers on the dermatologists come back from the public annotations to the "
        "printed digit, but the column printed as F1 (Dice) of two raters' regions is their intersection over union: "
        f"as Dice, the mean is {dice:.2f} and not {iou:.2f}."
    )
    alt = (
        "Dot plot of sixteen characteristics. In every row the printed value lies on the intersection over union, and "
        f"the Dice coefficient lies to its right, by {dice - iou:.2f} on average."
    )
    return sentence, overlap(reference), alt


def repeated(reference: Tables) -> Figure:
    """Draw the overlap of a rater's two drawings and that of two raters, on the images labelled twice."""
    table = wide(reference["intra_rater"])
    mean = table.loc[["Mean"]]
    table = pd.concat([mean, table.drop(index="Mean").sort_values("iou_intra")]).iloc[::-1]
    labels = ["same rater, twice", "two raters"]
    xlabel = "intersection over union of two drawings (0 to 1)"
    return plots.intervals(table, ["iou_intra", "iou_inter"], labels=labels, xlabel=xlabel, kind="real", note=REFERENCE)


def repeated_finding(reference: Tables) -> tuple[str, Figure, str]:
    """Say how much of the disagreement between raters is disagreement with oneself."""
    table, diagnosis = wide(reference["intra_rater"]).loc["Mean"], wide(reference["repeated_diagnosis"]).iloc[0]

    def share(line: pd.Series, name: str) -> str:
        return f"{line[name]:.0%} [{line[f'{name}_low']:.0%}, {line[f'{name}_high']:.0%}]"

    sentence = (
        "Much of the disagreement between dermatologists is disagreement with oneself: "
        f"{share(table, 'iou_share')} of it on the place of a characteristic, "
        f"{share(diagnosis, 'same_diagnosis_share')} on the diagnosis and {share(table, 'f1_share')} on the presence "
        "of a characteristic is there already when the same dermatologist sees the same image again."
    )
    alt = (
        "Dot plot of ten characteristics and their mean. The overlap of two drawings by the same rater is only a "
        f"little higher than that of two raters: {table['iou_intra']:.2f} against {table['iou_inter']:.2f} on average."
    )
    return sentence, repeated(reference), alt


def ceiling(reference: Tables) -> Figure:
    """Draw the fuzzy F1 of a rater against the other seven, by disease: mean, and range over the raters."""
    table = wide(reference["ceiling_by_disease"]).sort_values("f1")
    overall = wide(reference["benchmark_table_04_image_level"]).loc["Dermatologists", "f1"]
    figure, axes = plt.subplots(figsize=(5.6, 3.4))
    y = np.arange(len(table))
    axes.hlines(
        y, table["f1_low"], table["f1_high"], color=plots.BLUE, lw=5, alpha=0.3, label="range over the 8 raters"
    )
    axes.plot(table["f1"], y, "o", color=plots.BLUE, ms=7, label="mean")
    axes.axvline(overall, color=plots.RED, ls="--", label=f"all images: {overall:.2f}")
    axes.set(yticks=y, yticklabels=table.index, xlim=(0, 1), xlabel="fuzzy F1 against the other seven (0 to 1)")
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, handlelength=1.4, columnspacing=1)
    return plots.mark_data(figure, "real", REFERENCE)


def ceiling_finding(reference: Tables) -> tuple[str, Figure, str]:
    """Say how high a dermatologist scores as an explanation method."""
    table = wide(reference["ceiling_by_disease"]).sort_values("f1")
    overall = wide(reference["benchmark_table_04_image_level"]).loc["Dermatologists"]
    low, high = table.iloc[0], table.iloc[-1]
    sentence = (
        "Scored like an explanation method, against the map of seven colleagues, a dermatologist reaches a fuzzy F1 of "
        f"{overall['f1']:.2f} on average, {low['f1']:.2f} for {low.name.lower()} and {high['f1']:.2f} for "
        f"{high.name.lower()}: that, and not 1, is the mark to read a network's explanation against."
    )
    alt = (
        f"Dot plot of six diseases, from {low.name.lower()} at {low['f1']:.2f} to {high.name.lower()} at "
        f"{high['f1']:.2f}, each with its range over eight raters; a dashed line marks the mean of all images, "
        f"{overall['f1']:.2f}."
    )
    return sentence, ceiling(reference), alt


def bar(reference: Tables) -> Figure:
    """Draw the F1 of a rater, scored as the DermX paper scores its networks, beside the printed F1 of the networks."""
    table = wide(reference["ceiling_by_characteristic"]).drop(index="Mean")
    table["dermx"] = _printed("dermx_table_06_dermx_localization")
    table["dermx_plus"] = _printed("dermx_table_07_dermx_plus_localization")
    labels = ["a dermatologist", "DermX, printed", "DermX+, printed"]
    xlabel = "fuzzy F1 of place (0 to 1)"
    series = ["f1", "dermx", "dermx_plus"]
    return plots.intervals(table, series, labels=labels, xlabel=xlabel, kind="real", order="f1", note=REFERENCE)


def bar_finding(reference: Tables) -> tuple[str, Figure, str]:
    """Say how dermatologists score when they are scored like the networks of the DermX paper."""
    rater = wide(reference["ceiling_by_characteristic"])
    dermx, plus = (
        _printed(name) for name in ("dermx_table_06_dermx_localization", "dermx_table_07_dermx_plus_localization")
    )
    above = sum(rater.loc[term, "f1_high"] < dermx[term] for term in dermx.index.drop("Mean"))
    sentence = (
        "Scored as the DermX paper scores its networks, a dermatologist's region against the fuzzy map of the others "
        f"reaches a mean F1 of {rater.loc['Mean', 'f1']:.2f} [{rater.loc['Mean', 'f1_low']:.2f}, "
        f"{rater.loc['Mean', 'f1_high']:.2f}] over ten characteristics, beside the {dermx['Mean']:.2f} printed for "
        f"DermX and {plus['Mean']:.2f} for DermX+; for {above} of the ten, DermX lies above the dermatologists' "
        "interval."
    )
    alt = (
        "Dot plot of ten characteristics. The dermatologists' F1 and the printed F1 of the two networks lie in the "
        f"same range, with means of {rater.loc['Mean', 'f1']:.2f}, {dermx['Mean']:.2f} and {plus['Mean']:.2f}."
    )
    return sentence, bar(reference), alt


def _printed(name: str) -> pd.Series:
    """Return the printed F1 of each row of a published table."""
    return published(name).query("metric == 'f1'").set_index("row")["value"]
