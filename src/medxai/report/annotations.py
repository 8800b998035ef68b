"""Drawings of annotations: one panel a rater, outlines coloured by characteristic, fuzzy maps."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from medxai.data.dermxdb import CHARACTERISTICS, DermXDB
from medxai.report.plots import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, YELLOW, mark_data

_COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, BLACK)
_HATCHES = ("", "///", "...", "xxx")


def _paint(characteristic: str) -> tuple[str, str]:
    """Return the colour and hatch of a characteristic, the same in every figure."""
    order = ("Plaque", "Scale", "Papule", "Patch", "Pustule", "Open comedo", "Closed comedo", "Scar")
    names = [*order, *(name for name in CHARACTERISTICS if name not in order)]
    position = names.index(characteristic)
    return _COLOURS[position % len(_COLOURS)], _HATCHES[position // len(_COLOURS)]


def draw_outlines(axes: Axes, db: DermXDB, image: str, rater: int) -> list[str]:
    """Draw all outlines of one rater on one image and return the characteristics drawn.

    The photograph is drawn under them where the user has it, else an empty frame of its shape.
    """
    size = db.images.loc[image]
    axes.set(xlim=(0, size["width"]), ylim=(size["height"], 0), aspect="equal", xticks=[], yticks=[])
    axes.set_facecolor("#f4efe9")
    for side in axes.spines.values():
        side.set_visible(True)
        side.set_color("#999999")
    if size["photograph"]:
        axes.imshow(plt.imread(size["photograph"]), extent=(0, size["width"], size["height"], 0))
    mine = db.instances.query(
        "image == @image and rater == @rater and round == 1 and characteristic in @CHARACTERISTICS"
    )
    for index, instance in mine.sort_values("width", ascending=False).iterrows():
        colour, hatch = _paint(instance["characteristic"])
        for path in db.polygons(index):
            axes.fill(
                *path.T, facecolor=(*plt.matplotlib.colors.to_rgb(colour), 0.22), edgecolor=colour, lw=1.3, hatch=hatch
            )
    return list(mine["characteristic"].unique())


def _legend(figure: Figure, characteristics: Sequence[str]) -> None:
    """Put the key of all characteristics drawn below the panels."""
    handles = []
    for name in (name for name in CHARACTERISTICS if name in characteristics):
        colour, hatch = _paint(name)
        handles.append(
            Patch(facecolor=(*plt.matplotlib.colors.to_rgb(colour), 0.3), edgecolor=colour, hatch=hatch, label=name)
        )
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, handlelength=1.4)


def raters_side_by_side(db: DermXDB, image: str) -> Figure:
    """Draw one image as each rater explained it: diagnosis as title, outlines of every characteristic."""
    ratio = db.images.loc[image, "height"] / db.images.loc[image, "width"]
    figure, grid = plt.subplots(4, 2, figsize=(5.6, 1.2 + 4 * (2.7 * ratio + 0.35)))
    evaluations = db.evaluations.query("image == @image and round == 1").set_index("rater")
    drawn: set[str] = set()
    for rater, axes in enumerate(grid.flat, start=1):
        drawn |= set(draw_outlines(axes, db, image, rater))
        axes.set_title(f"{rater}: {evaluations.loc[rater, 'diagnosis'] or 'no diagnosis'}", fontsize=11)
    _legend(figure, sorted(drawn))
    return mark_data(figure, db.kind)


def three_raters_by_disease(db: DermXDB, images: Sequence[str], raters: Sequence[int] = (1, 4, 7)) -> Figure:
    """Draw one image a disease (rows) as three raters outlined it (columns), after figure 6 of the DermX paper."""
    figure, grid = plt.subplots(len(images), len(raters), figsize=(5.6, 1.2 + 1.5 * len(images)))
    drawn: set[str] = set()
    for row, image in zip(grid, images, strict=True):
        for rater, axes in zip(raters, row, strict=True):
            drawn |= set(draw_outlines(axes, db, image, rater))
        row[0].set_ylabel(db.images.loc[image, "reference"].replace(" ", "\n"), fontsize=10)
    for rater, axes in zip(raters, grid[0], strict=True):
        axes.set_title(f"rater {rater}", fontsize=11)
    _legend(figure, sorted(drawn))
    return mark_data(figure, db.kind)


def fuzzy_maps(db: DermXDB, image: str, characteristics: Sequence[str], size: int = 128) -> Figure:
    """Draw the fuzzy map of each characteristic: the share of raters, in [0, 1], whose outline covers each pixel."""
    width, height = db.images.loc[image, ["width", "height"]]
    shape = (round(size * height / max(width, height)), round(size * width / max(width, height)))
    rows = -(-len(characteristics) // 2)
    figure, grid = plt.subplots(rows, 2, figsize=(5.6, 0.7 + rows * (2.4 * height / width + 0.35)), squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for name, axes in zip(characteristics, grid.flat, strict=False):
        drawn = axes.imshow(db.fuzzy_map(image, name, shape), vmin=0, vmax=1, extent=(0, width, height, 0))
        axes.set_title(name, fontsize=11)
    figure.colorbar(drawn, ax=grid, label="share of raters", shrink=0.8, ticks=np.linspace(0, 1, 5))
    return mark_data(figure, db.kind)
