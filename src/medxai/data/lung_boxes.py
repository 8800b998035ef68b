"""Where the lungs are on a frontal chest film, roughly, without a network: two boxes fitted by correlation.

The outline of typical lungs (`medxai.data.chest_anatomy`) is stretched and moved over a film until what lies inside of
it is darkest against what lies around it.
"""

from itertools import product

import cv2
import numpy as np

from medxai.data.chest_anatomy import LEFT, MIDLINE, RIGHT, Film, Patient

CELLS = 64
"""Side of the films on which boxes are fitted, in pixels."""
STRETCHES = np.linspace(0.62, 1.16, 10)
"""Of the typical lungs, across and down; the two differ by at most `DISTORTION`."""
DISTORTION = 0.25
BEYOND = CELLS // 5
"""How far the lungs may reach beyond the film, in pixels."""
SHRUNK = np.array([0.945, 0.89])
"""Of the width and height of both lungs, what the best outline has: their edges are thin. Found on phantoms."""
MEDIASTINUM = 0.052
"""Half its width, where the lungs begin."""
OFF_CENTRE = 0.15
"""Farthest that the midline may be from the middle of the film, in its sides."""
MARGIN = 0.06
"""Around the lungs in the outline, in sides of the film."""
DEPTH = 0.11
"""From the edge of a lung to where it is deepest, in sides of the film."""
TYPICAL = Patient(0.385, 0.12, 0.725, 0.015, 0.45, habitus=1, breasts=0, aorta=0.03, arms=0.06, ribs=1, stomach=0)

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in sides of the film."""


def fit(grey: np.ndarray) -> tuple[Box, Box]:
    """Return the boxes of the right lung, which is on the left of the picture, and of the left one.

    The film is (h, w), of any type of numbers, light where it is dense.
    """
    small = cv2.resize(grey.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    small = cv2.copyMakeBorder(small, BEYOND, BEYOND, BEYOND, BEYOND, cv2.BORDER_REPLICATE)
    outline, boxes = _typical()
    best, found = -np.inf, None
    for across, down in product(STRETCHES, STRETCHES):
        if abs(np.log(across / down)) > DISTORTION:
            continue
        width, height = round(outline.shape[1] * across), round(outline.shape[0] * down)
        if width > small.shape[1] or height > small.shape[0]:
            continue
        template = cv2.resize(outline, (width, height), interpolation=cv2.INTER_AREA)
        scores = cv2.matchTemplate(small, template, cv2.TM_CCOEFF_NORMED)
        midlines = (np.arange(scores.shape[1]) + width / 2 - BEYOND) / CELLS
        scores[:, np.abs(midlines - MIDLINE) > OFF_CENTRE] = -1
        _, score, _, place = cv2.minMaxLoc(scores)
        if score > best:
            best, found = score, (*place, width, height)
    left, top, width, height = found
    place, extent = (np.tile(pair, 2) for pair in ((left - BEYOND, top - BEYOND), (width, height)))
    return tuple(tuple(np.clip((place + extent * box) / CELLS, 0, 1)) for box in boxes)


def _typical() -> tuple[np.ndarray, list[np.ndarray]]:
    """Return typical lungs beside the heart, -1 where deepest, 0 around, and their boxes in shares of this picture."""
    film = Film(2 * CELLS)
    heart = film.polygon(TYPICAL.heart_outline(TYPICAL.heart))
    lungs = [TYPICAL.lung(side) for side in (RIGHT, LEFT)]
    inside = np.max([film.domed(film.polygon(lung), DEPTH) for lung in lungs], axis=0) * (1 - heart)
    points = np.concatenate(lungs)
    low, high = points.min(axis=0) - MARGIN, points.max(axis=0) + MARGIN
    (left, top), (right, bottom) = (np.rint(corner * film.cells).astype(int) for corner in (low, high))
    outline = cv2.resize(-inside[top:bottom, left:right], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    corners = [_beside_the_midline(lung, side) for lung, side in zip(lungs, (RIGHT, LEFT), strict=True)]
    corners = [np.concatenate((corner - middle) / SHRUNK + middle) for corner in corners]
    return outline, [(corner - np.tile(low, 2)) / np.tile(high - low, 2) for corner in corners]


def _beside_the_midline(lung: np.ndarray, side: int) -> np.ndarray:
    """Return the left upper and the right lower corner of what is seen of a lung, (2, 2)."""
    corners = np.stack([lung.min(axis=0), lung.max(axis=0)])
    corners[(1, 0)[side == LEFT], 0] = MIDLINE + side * MEDIASTINUM
    return corners
