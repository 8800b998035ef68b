"""What dermatologists outlined, drawn: a panel for each image and rater, coloured by characteristic."""

from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from medxai.data import pictures
from medxai.data.dermxdb import CHARACTERISTICS, DermXDB
from medxai.report.plots import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, SKY, YELLOW, picture_sheet

SIDE = 400
"""Longer side of a panel, in pixels."""
PAPER = (244, 239, 233)
"""Colour of a panel without a photograph."""
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, BLACK)
HATCHES = ("", "///", "...", "xxx")
FIRST = ("Plaque", "Scale", "Papule", "Patch", "Pustule", "Open comedo", "Closed comedo", "Scar")
"""Characteristics that get a colour each; the others get the same colours, with other hatches."""
DARKER = 0.6
"""Of lines: yellow on skin would hardly be seen."""


def look(characteristic: str) -> dict[str, object]:
    """Return colour and hatch of a characteristic, the same in every figure; no two have both alike."""
    place = [*FIRST, *(name for name in CHARACTERISTICS if name not in FIRST)].index(characteristic)
    colour = to_rgb(COLOURS[place % len(COLOURS)])
    line, hatch = tuple(DARKER * part for part in colour), HATCHES[(place + place // len(COLOURS)) % len(HATCHES)]
    return {"facecolor": (*colour, 0.25), "edgecolor": line, "hatch": hatch}


def outlined(
    db: DermXDB, panels: Sequence[tuple[str, int]], titles: Sequence[str], columns: int, rows: Sequence[str] = ()
) -> Figure:
    """Draw images as raters outlined them, on the photograph where the user has it, else on paper of its shape.

    Parameters
    ----------
    panels
        Image and rater (from 1) of each.
    titles, columns, rows
        As of `medxai.report.plots.picture_sheet`.
    """
    grounds = [_ground(db, image) for image, _ in panels]
    figure = picture_sheet(grounds, titles, kind=db.kind, columns=columns, rows=rows)
    drawn = [_outline(axes, db, *panel) for axes, panel in zip(figure.axes, panels, strict=True)]
    known = [name for name in CHARACTERISTICS if any(name in names for names in drawn)]
    handles = [Patch(label=name, **look(name)) for name in known]
    figure.set_figheight(figure.get_figheight() + 0.3 * -(-len(handles) // 2))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, handlelength=1.4)
    return figure


def _ground(db: DermXDB, image: str) -> np.ndarray:
    width, height, photograph = db.images.loc[image, ["width", "height", "photograph"]]
    scale = SIDE / max(width, height)
    size = (round(width * scale), round(height * scale))
    if photograph:
        return cv2.resize(pictures.read(photograph), size, interpolation=cv2.INTER_AREA)
    return np.full((*size[::-1], 3), PAPER, np.uint8)


def _outline(axes: Axes, db: DermXDB, image: str, rater: int) -> set[str]:
    """Draw all outlines of one rater on one image, the widest first; return the characteristics drawn."""
    scale = SIDE / db.images.loc[image, ["width", "height"]].max()
    mine = db.instances.query(
        "image == @image and rater == @rater and round == 1 and characteristic in @CHARACTERISTICS"
    )
    axes.autoscale(False)  # raters brush over the edge
    for index, instance in mine.sort_values("width", ascending=False).iterrows():
        for path in db.polygons(index):
            axes.fill(*(scale * path).T, lw=1.3, **look(instance["characteristic"]))
    return set(mine["characteristic"])
