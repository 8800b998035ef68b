"""Names, printed scores and small multiples of the robustness chapter, beside what `medxai.report.plots` draws."""

import textwrap
from collections.abc import Callable

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medxai import paths
from medxai.experiment.robust_compared import CORRECTED
from medxai.report import plots
from medxai.report.findings import DataKind
from medxai.robustness.corruptions import KINDS
from medxai.robustness.saliency_shift import ANOTHER_IMAGE, BLOCKS, ORIGINAL, RANDOM_WEIGHTS

LAYERS = {name: f"{name[5]}.{int(name[7]) + 1}" for name in BLOCKS}
"""The thesis's names of the residual blocks (erratum R18), by torchvision's."""
CORRUPTIONS = {kind: kind.replace("_", " ").capitalize() for kind in KINDS}
VERSIONS = CORRUPTIONS | {
    ORIGINAL: "As it is",
    ANOTHER_IMAGE: "▸ Another image's map",
    RANDOM_WEIGHTS: "▸ Random weights",
    CORRECTED: CORRECTED.replace("_", " ").capitalize(),
}
"""What is compared; ``▸`` marks a control."""
PRINTED = {"breast": "BreastMNIST", "retina": "RetinaMNIST", "pneumonia": "PneumoniaMNIST", "ham10000_28": "DermaMNIST"}
"""The sets of the thesis, by those of the study that stand for them."""
Draw = Callable[[Axes, pd.DataFrame], None]
LOOKS = dict(zip(VERSIONS.values(), zip(plots.COLOURS, plots.DASHES, strict=True), strict=False))
"""Colour and dash of each."""


def printed_scores() -> pd.DataFrame:
    """Return what MedMNIST v2 prints for ResNet-18 at 28 pixels, as `medxai.results.published` returns a table."""
    names = ("robustness_table_2_2_resnet18_benchmark", "medmnist_table_3_breastmnist")
    table = pd.concat([pd.read_csv(paths.published(name), dtype=str) for name in names]).query("image_size == '28'")
    own = table.rename(columns={"dataset": "row", "acc": "accuracy"}).set_index("row").loc[list(PRINTED.values())]
    tidy = own.reset_index().melt("row", ["auc", "accuracy"], "metric", "printed")
    return tidy.assign(value=tidy["printed"].astype(float))


def by_layer(
    values: pd.DataFrame, panels: str, series: str, ylabel: str, kind: DataKind, note: str = "", same_y: bool = True
) -> Figure:
    """Draw numbers with bands against the layer: a panel for each name in one column, a curve for each in another."""
    looks = dict(zip(dict.fromkeys(values[series]), LOOKS.values(), strict=False)) | LOOKS

    def draw(axes: Axes, own: pd.DataFrame) -> None:
        for name, curve in own.groupby(series, sort=False):
            curve, (colour, dash) = curve.set_index("layer").reindex(LAYERS).rename(LAYERS), looks[name]
            axes.plot(curve["value"], color=colour, ls=dash, lw=1.8, label=name)
            axes.fill_between(curve.index, curve["low"], curve["high"], color=colour, alpha=0.13, lw=0)
        axes.set_xticks(list(LAYERS.values())[::2])

    return _multiples(values, panels, draw, "layer", ylabel, kind, note, same_y)


def points(values: pd.DataFrame, panels: str, kind: DataKind, note: str) -> Figure:
    """Draw each version by the RMSE of its maps and its Delta AUC, a panel for each name in a column."""

    def draw(axes: Axes, own: pd.DataFrame) -> None:
        for marker, (name, some) in zip(plots.MARKERS, own.groupby("corruption", sort=False), strict=False):
            look = {"color": LOOKS[name][0], "marker": marker, "edgecolor": "white", "lw": 0.5, "label": name}
            axes.scatter(some["rmse"], some["delta_auc"], 12 + 14 * some["severity"], **look)
        axes.axhline(0, color="#999999", lw=0.8, zorder=0)

    note = f"{note}; larger is more severe"
    return _multiples(values, panels, draw, "mean RMSE of the maps", "Delta AUC", kind, note, True)


def _multiples(
    values: pd.DataFrame, panels: str, draw: Draw, xlabel: str, ylabel: str, kind: DataKind, note: str, same_y: bool
) -> Figure:
    """Draw two panels a row under one legend."""
    names = list(dict.fromkeys(values[panels]))
    rows = -(-len(names) // 2)
    size = (plots.WIDTH, 2 + plots.fitted(2.0 * rows, rows, 2))
    figure, grid = plt.subplots(rows, min(2, len(names)), figsize=size, squeeze=False, sharex=True, sharey=same_y)
    for axes, name in zip(grid.flat, names, strict=False):
        draw(axes, values[values[panels] == name])
        axes.set_title(textwrap.fill(str(name), 26), fontsize=11)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    for axes in grid[-1]:
        axes.set_xlabel(xlabel)
    figure.supylabel(ylabel, fontsize=12)
    handles = {name: own for axes in grid.flat for own, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=2, frameon=False)
    return plots.mark_data(figure, kind, note)
