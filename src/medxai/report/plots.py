"""One style for all figures: colour-blind safe, legible on a phone, marked with the kind of data they show."""

import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from medxai.report.findings import KINDS, DataKind

BLUE, ORANGE, GREEN, RED, PURPLE, YELLOW, SKY, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#F0E442",
    "#56B4E9",
    "#000000",
)
"""The palette of Okabe and Ito (2008), safe for the common colour vision deficiencies."""

MARKERS = "osD^vPX*"


def use_style() -> None:
    """Set the book's figure style: 5.6 inches wide, 12 point, so that text stays legible at 390 pixels."""
    plt.rcParams.update(
        {
            "figure.figsize": (5.6, 3.6),
            "figure.dpi": 110,
            "savefig.dpi": 150,
            "figure.constrained_layout.use": True,
            "font.size": 12,
            "axes.titlesize": 12,
            "legend.fontsize": 10.5,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#dddddd",
            "axes.axisbelow": True,
            "image.cmap": "viridis",
            "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, RED, PURPLE, SKY, BLACK]),
        }
    )


def mark_data(figure: Figure, kind: DataKind, note: str = "") -> Figure:
    """Write under a finished figure which kind of data it shows, and a `note` on them.

    The figure is closed in pyplot, so that a notebook shows it once: where it is the value of a cell.
    """
    sign, name = KINDS[kind]
    text = textwrap.fill(f"{sign} {name}{', ' * bool(note)}{note}", 70)
    figure.supxlabel(text, fontsize=9, color="#555555", x=0.99, ha="right")
    plt.close(figure)
    return figure


def intervals(
    table: pd.DataFrame,
    series: Sequence[str],
    *,
    labels: Sequence[str],
    xlabel: str,
    kind: DataKind,
    order: str | None = None,
    note: str = "",
) -> Figure:
    """Draw estimates with their intervals, one line per row, one colour and marker per series.

    Parameters
    ----------
    table
        Indexed by row; columns ``<series>``, and where there is an interval ``<series>_low``, ``<series>_high``.
    series, labels
        Columns to draw and their names in the legend.
    xlabel
        Quantity with its unit or range.
    kind
        Kind of data, marked on the figure.
    order
        Column to sort the rows by (largest on top); the table's order if ``None``.
    note
        Added to the kind of data.
    """
    table = table.sort_values(order) if order else table.iloc[::-1]
    lines = max(str(name).count("\n") + 1 for name in table.index)
    figure, axes = plt.subplots(figsize=(5.6, 1.4 + (0.1 + 0.22 * lines) * len(table)))
    offsets = np.linspace(0.18, -0.18, len(series)) if len(series) > 1 else [0.0]
    colours = [BLUE, ORANGE, GREEN, RED]
    y = np.arange(len(table))
    for name, label, offset, colour, marker in zip(series, labels, offsets, colours, MARKERS, strict=False):
        if f"{name}_low" in table:
            axes.hlines(y + offset, table[f"{name}_low"], table[f"{name}_high"], color=colour, lw=1.6, alpha=0.8)
        if name == "printed":  # a cross on the line of the first series, where it can be compared
            axes.plot(table[name], y + offsets[0], "x", color=BLACK, label=label, ms=7, mew=1.6)
        else:
            axes.plot(table[name], y + offset, marker, color=colour, label=label, ms=6, mec="white", mew=0.6)
    axes.set(yticks=y, yticklabels=table.index, xlabel=xlabel, ylim=(-0.6, len(table) - 0.4))
    axes.grid(axis="y", visible=False)
    if len(series) > 1:
        columns = 1 if max(map(len, labels)) > 30 else 2  # two long names are wider than the figure
        figure.legend(loc="outside upper center", ncols=columns, frameon=False)
    return mark_data(figure, kind, note)


def heatmap(table: pd.DataFrame, *, xlabel: str, ylabel: str, kind: DataKind) -> Figure:
    """Draw a table of percentages, 0 to 100, with the numbers written in, dark on light and light on dark."""
    figure, axes = plt.subplots(figsize=(5.6, 2.4 + 0.4 * len(table)))
    axes.imshow(table.to_numpy(float), cmap="viridis", vmin=0, vmax=100, aspect="auto")
    for (i, j), value in np.ndenumerate(table.to_numpy(float)):
        colour = "black" if value > 60 else "white"
        axes.text(j, i, "–" if np.isnan(value) else f"{value:.0f}", ha="center", va="center", color=colour, fontsize=11)
    axes.set_xticks(range(table.shape[1]), table.columns, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(table.shape[0]), table.index)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.grid(visible=False)
    return mark_data(figure, kind)


def bars(axes: Axes, counts: pd.DataFrame, *, xlabel: str) -> None:
    """Draw stacked horizontal bars of counts (rows by columns), each with its own hatch: colour is not alone."""
    left = np.zeros(len(counts))
    for column, colour, hatch in zip(
        counts.columns, [BLUE, ORANGE, GREEN, PURPLE], ["", "//", "..", "xx"], strict=False
    ):
        axes.barh(counts.index, counts[column], left=left, color=colour, hatch=hatch, edgecolor="white", label=column)
        left += counts[column].to_numpy()
    axes.invert_yaxis()
    axes.set_xlabel(xlabel)
    options = {"fontsize": 10, "frameon": False, "handlelength": 1.2, "columnspacing": 1, "handletextpad": 0.4}
    axes.legend(loc="lower right", bbox_to_anchor=(1.02, 0.99), ncols=counts.shape[1], **options)
    axes.grid(axis="y", visible=False)
