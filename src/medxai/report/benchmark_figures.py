"""Figures and tables of the benchmark chapter that `medxai.report.plots` has no primitive for."""

import html
import re
from collections.abc import Mapping, Sequence

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from medxai.models.benchmark_networks import BENCHMARK
from medxai.report.comparison_figures import TITLES
from medxai.report.findings import DataKind
from medxai.report.plots import COLOURS, WIDTH, mark_data, table

PARAMETERS = {one.paper_name: one.published_parameters for one in BENCHMARK.values()}
"""Millions of weights, by the name in the tables."""
VERSIONS = ("as taught", "moved", "removed", "swapped")
TAUGHT = {"plain": "without letters", "tied": "letters on vitiligo", "scattered": "letters anywhere"}


def method_title(name: str) -> str:
    """Return what a method or control is called; ``▸`` marks what is no method."""
    return TITLES.get(name, name.replace("_", " ").capitalize())


def bubbles(diagnosis: Mapping[str, pd.DataFrame], place: Mapping[str, pd.DataFrame], kind: DataKind) -> Figure:
    """Draw the F1 of the maps against that of the diagnosis (figure 4 of the paper), a panel for each source.

    Tables are tidy, as `medxai.experiment.benchmark_compared` gives them; a bubble's area is the network's size.
    """
    figure, panels = plt.subplots(len(place), figsize=(WIDTH, 3.6 * len(place)), squeeze=False, layout="constrained")
    for axes, (source, maps) in zip(panels[:, 0], place.items(), strict=True):
        scores = diagnosis[source][~diagnosis[source]["metric"].str.endswith("_std")]
        f1 = maps[maps["metric"] == "f1"].set_index("row")["value"]
        both = pd.DataFrame({"x": scores.groupby("row")["value"].mean(), "y": f1}).reindex(PARAMETERS).dropna()
        colours = [COLOURS[number % len(COLOURS)] for number in range(len(both))]
        axes.scatter(
            both["x"], both["y"], [14 * PARAMETERS[name] ** 0.75 for name in both.index], colours, alpha=0.6, lw=0
        )
        axes.set(title=source, xlabel="macro F1 of the diagnosis", ylabel="fuzzy F1 of the maps")
        axes.margins(0.15)
        _label(axes, both)
    return mark_data(figure, kind, "area: number of weights")


def witnesses(points: pd.DataFrame, kind: DataKind) -> Figure:
    """Draw how much more of a map is on the letters, ``y``, against what the letters do, ``x``, by network."""
    figure, axes = plt.subplots(figsize=(WIDTH, 4.0), layout="constrained")
    axes.scatter(points["x"], points["y"], 50, COLOURS[0], alpha=0.7, lw=0)
    axes.axhline(1, color="#888888", lw=1)
    axes.set(xlabel="share of pictures that letters turn into vitiligo")
    axes.set(ylabel="Grad-CAM on the letters, in times\nthat of a network taught without")
    axes.margins(0.15)
    _label(axes, points)
    return mark_data(figure, kind)


def _label(axes: Axes, points: pd.DataFrame) -> None:
    """Write names beside points, each as near as there is room among those written."""
    axes.figure.draw_without_rendering()
    written: list[Bbox] = []
    for name, point in points.iterrows():
        for up in (7, -15, 19, -27, 31, -39):
            text = axes.annotate(
                name, (point["x"], point["y"]), (0, up), textcoords="offset points", ha="center", fontsize=8
            )
            box = text.get_window_extent()
            if not any(box.overlaps(other) for other in written) or up == -39:
                written.append(box)
                break
            text.remove()


def maps(shown: pd.DataFrame, images: Sequence[str], side: int) -> dict[str, list[np.ndarray]]:
    """Return by network the maps of some images, of cells made pixels (side, side) in [0, 1]."""
    found: dict[str, list[np.ndarray]] = {}
    for (network, image), cells in shown.groupby(["network", "image"], sort=False):
        if image in images:
            coarse = cells.pivot(index="y", columns="x", values="value").to_numpy(dtype=np.float32)
            fine = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR)
            found.setdefault(network, []).append(fine)
    return found


def flow(counts: Mapping[str, int]) -> Figure:
    """Draw the PRISMA flow as far as its counts are printed: what each box holds, by its words."""
    figure, axes = plt.subplots(figsize=(WIDTH, 0.9 * len(counts)))
    axes.set(xlim=(0, 1), ylim=(-len(counts) + 0.5, 0.5))
    axes.axis("off")
    box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": "#555555"}
    for place, (words, number) in enumerate(counts.items()):
        axes.text(0.5, -place, f"{words}\n{number:,}", ha="center", va="center", fontsize=10, bbox=box)
        if place:
            arrow = {"arrowstyle": "->", "color": "#555555"}
            axes.annotate("", (0.5, 0.32 - place), (0.5, 0.68 - place), arrowprops=arrow)
    return mark_data(figure, "real", "counts of the paper")


def searchable(lines: pd.DataFrame, caption: str, name: str) -> HTML:
    """Return a table under a field that hides the rows without the words typed (``filter.js``)."""
    label = html.escape(f"Search: {caption}", quote=True)
    form = (
        f'<form class="table-filter" data-table="table-{name}" role="search" aria-label="{label}" hidden>'
        '<label>Search <input type="search" autocomplete="off"></label><button type="reset">Show all</button>'
        '<p role="status" aria-live="polite"></p></form>'
    )
    whole = table(lines, caption).data.replace("overflow-x: auto", "overflow: auto; max-height: 32rem", 1)
    return HTML(form + re.sub("<table ", f'<table id="table-{name}" ', whole, count=1))


def published_years(publications: Sequence[str]) -> pd.Series:
    """Count publications by year, from names such as ``Aggarwal [2019]``; years without any count 0."""
    years = pd.Series([int(re.search(r"\[(\d{4})", name)[1]) for name in publications])
    return years.value_counts().reindex(range(years.min(), years.max() + 1), fill_value=0)
