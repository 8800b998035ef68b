"""The parts of a frontal chest radiograph that `medxai.data.chest_phantom` draws: where they are, and how dense.

Lengths are in sides of the film; ``x`` runs to the right of the picture, which is the left of the patient, and ``y``
down. A patient is drawn upright around the `MIDLINE`; `Film` knows how the patient stood, and turns what is drawn.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from scipy.interpolate import CubicSpline

MIDLINE = 0.5
TOP = np.array([MIDLINE, 0])
"""The upper end of the midline."""
RIGHT, LEFT = -1, 1
"""Sides of the patient, and the directions from the midline in which they are in the picture."""
SHIFT = 4
"""Bits of a pixel's fraction in OpenCV's drawing."""

FROM_HILUM = 11
"""Vessels that leave a hilum."""
LEVELS = 15
"""Of depth that strokes are drawn in."""

Line = tuple[np.ndarray, float]
"""Points (k, 2), and the width of the stroke through them."""


@dataclass(frozen=True)
class Film:
    """A square of cells on which a patient's shadow falls, turned and moved."""

    cells: int
    angle: float = 0.0
    """In degrees."""
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)

    @cached_property
    def matrix(self) -> np.ndarray:
        """From the patient's coordinates to those of the film, both in sides, float64 (2, 3)."""
        matrix = cv2.getRotationMatrix2D((MIDLINE, MIDLINE), self.angle, self.scale)
        matrix[:, 2] += self.shift
        return matrix

    @cached_property
    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """The patient's x and y of each cell, float32 (cells, cells)."""
        back = cv2.invertAffineTransform(self.matrix)
        middles = (np.arange(self.cells, dtype=np.float32) + 0.5) / self.cells
        x, y = np.meshgrid(middles, middles)
        return tuple((row[0] * x + row[1] * y + row[2]).astype(np.float32) for row in back)

    def polygon(self, points: np.ndarray) -> np.ndarray:
        """Return how much of each cell an outline covers, float32 (cells, cells) in [0, 1]."""
        canvas = np.zeros((self.cells, self.cells), np.uint8)
        cv2.fillPoly(canvas, [self._on_canvas(points)], 255, cv2.LINE_AA, SHIFT)
        return canvas.astype(np.float32) / 255

    def strokes(self, lines: list[Line]) -> np.ndarray:
        """Return lines of round ends as deep as they are wide, in sides of the film: float32 (cells, cells).

        A line thinner than a cell is as faint as it would be in cells of its size.
        """
        canvas = np.zeros((self.cells, self.cells), np.uint8)
        if not lines:
            return canvas.astype(np.float32)
        widths = np.array([width for _, width in lines]) * self.cells
        thickness = np.maximum(np.rint(widths), 1).astype(int)
        values = np.rint(LEVELS * np.minimum(widths / thickness, 1) * widths / widths.max()).astype(int)
        ends = np.cumsum([len(points) for points, _ in lines])[:-1]
        parts = np.split(self._on_canvas(np.concatenate([points for points, _ in lines])), ends)
        for value, thick in sorted(set(zip(values.tolist(), thickness.tolist(), strict=True))):
            alike = [parts[i] for i in np.flatnonzero((values == value) & (thickness == thick))]
            cv2.polylines(canvas, alike, False, value * 255 // LEVELS, thick, cv2.LINE_AA, SHIFT)
        return canvas * np.float32(widths.max() / self.cells / 255)

    def blurred(self, values: np.ndarray, deviation: float) -> np.ndarray:
        """Blur by a Gaussian whose standard deviation is in sides of the film."""
        return cv2.GaussianBlur(values, (0, 0), deviation * self.cells, borderType=cv2.BORDER_REPLICATE)

    def domed(self, mask: np.ndarray, reach: float) -> np.ndarray:
        """Return how deep something is whose outline is a mask and that is round up to `reach` from its edge."""
        inside = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 3) / (reach * self.cells)
        return np.sqrt(1 - (1 - np.minimum(inside, 1)) ** 2) * mask

    def blob(self, x: float, y: float, width: float, height: float) -> np.ndarray:
        """Return a Gaussian with these standard deviations."""
        at_x, at_y = self.grid
        return np.exp(-0.5 * (((at_x - x) / width) ** 2 + ((at_y - y) / height) ** 2))

    def _on_canvas(self, points: np.ndarray) -> np.ndarray:
        pixels = (points @ self.matrix[:, :2].T + self.matrix[:, 2]) * self.cells - 0.5
        return np.rint(pixels * 2**SHIFT).astype(np.int32)


def curve(points: list[tuple[float, float]], number: int = 40) -> np.ndarray:
    """Return a smooth curve through points, (number, 2)."""
    corners = np.array(points, float)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
    return CubicSpline(along, corners)(np.linspace(0, along[-1], number))


@dataclass(frozen=True)
class Patient:
    """What differs between patients and does not depend on disease."""

    chest: float
    """From the midline to the inner chest wall at the diaphragm."""
    apex: float
    """Height of the lungs' upper ends."""
    dome: float
    """Height of the right diaphragm: lower after a deep breath."""
    left_dome: float
    """How much lower the left one is."""
    heart: float
    """Cardiothoracic ratio without disease."""
    habitus: float
    """Depth of the soft tissue."""
    breasts: float
    aorta: float
    arms: float
    ribs: float
    """How dense the bones are."""
    stomach: float
    """Size of the air in it."""

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Patient":
        """Draw one."""
        return cls(
            chest=rng.uniform(0.355, 0.415),
            apex=rng.uniform(0.09, 0.15),
            dome=rng.uniform(0.66, 0.79),
            left_dome=rng.uniform(0.0, 0.035),
            heart=rng.normal(0.45, 0.025),
            habitus=rng.uniform(0.75, 1.3),
            breasts=max(0.0, rng.uniform(-0.1, 0.16)),
            aorta=rng.uniform(0.015, 0.05),
            arms=rng.uniform(0.0, 0.12),
            ribs=rng.uniform(0.7, 1.25),
            stomach=rng.uniform(0.0, 0.06),
        )

    @cached_property
    def walls(self) -> dict[int, np.ndarray]:
        """The outer contours of the lungs by side, from the midline over the apex to the costophrenic angle."""
        return {side: _on_side(self._contour(side), side) for side in (RIGHT, LEFT)}

    def _contour(self, side: int) -> np.ndarray:
        """Return distances from the midline and heights of a lung's outer contour."""
        low = self.floor(side) + 0.105
        return curve(
            [
                (0.05, self.apex + 0.12),
                (0.075, self.apex + 0.03),
                (0.125, self.apex),
                (0.185, self.apex + 0.018),
                (0.255, self.apex + 0.085),
                (0.79 * self.chest, self.apex + 0.2),
                (0.94 * self.chest, self.apex + 0.38),
                (self.chest, low - 0.12),
                (0.99 * self.chest, low),
            ],
            60,
        )

    def floor(self, side: int) -> float:
        """Return the height of a diaphragm's dome."""
        return self.dome + self.left_dome * (side == LEFT)

    def diaphragm(self, side: int) -> np.ndarray:
        """Return the contour of a diaphragm from the costophrenic angle to the midline."""
        away = np.linspace(0.99 * self.chest, 0.03, 30)
        top = 0.45 * self.chest
        rise = (
            0.105 * (np.maximum(away - top, 0) / (0.99 * self.chest - top)) ** 2.4
            + 0.03 * np.maximum(1 - away / top, 0) ** 2
        )
        return _on_side(np.stack([away, self.floor(side) + rise], axis=1), side)

    def lung(self, side: int) -> np.ndarray:
        """Return the outline of a lung, the part behind the heart included."""
        return np.concatenate([self.walls[side], self.diaphragm(side)])

    def cage(self) -> np.ndarray:
        """Return the outline of the chest above the diaphragm."""
        right, left = self.lung(RIGHT), self.lung(LEFT)
        return np.concatenate([right, left[::-1]])

    def reach(self, side: int, y: np.ndarray | float) -> np.ndarray:
        """Return how far from the midline the chest wall is at heights `y` below the apex."""
        outer = self.walls[side][20:]
        return np.interp(y, outer[:, 1], np.abs(outer[:, 0] - MIDLINE))

    def body(self) -> list[np.ndarray]:
        """Return the outlines of the trunk with the neck, and of both arms."""
        flank, down = self.chest + 0.04 + 0.04 * self.habitus, 1.2
        trunk = [
            (0.10, -0.2),
            (0.10, 0.0),
            (0.125, 0.03),
            (0.24, 0.065),
            (0.38, 0.09),
            (0.46, 0.16),
            (flank + 0.02, 0.36),
        ]
        half = curve([*trunk, (flank, 0.6), (flank + 0.01, 0.85), (flank + 0.02, down)])
        arm = [(0.3, 0.08), (0.43, 0.1), (0.54, 0.17), (0.59, 0.4)]
        outer = curve([*arm, (0.58 + self.arms, down)], 20) + np.array([self.arms / 2, 0])
        inner = [(0.46 + 1.5 * self.arms, down), (0.45 + self.arms, 0.5), (0.40, 0.3)]
        trunk = np.concatenate([_on_side(half, RIGHT), _on_side(half, LEFT)[::-1]])
        return [trunk, *(_on_side(np.concatenate([outer, inner]), side) for side in (RIGHT, LEFT))]

    def heart_outline(self, ratio: float) -> np.ndarray:
        """Return the outline of the heart at a cardiothoracic ratio, two thirds of it to the left."""
        width = 2 * self.chest * ratio
        floor = self.floor(LEFT) + 0.035
        top = floor - 0.30 - 0.25 * (ratio - 0.45)
        right, left = 0.36 * width, 0.64 * width
        outline = [
            (-0.04, top - 0.02),
            (-0.06, top + 0.06),
            (-0.82 * right, top + 0.14),
            (-right, floor - 0.1),
            (-0.86 * right, floor),
            (-0.03, floor + 0.03),
            (0.62 * left, floor + 0.03),
            (0.97 * left, floor - 0.02),
            (0.93 * left, floor - 0.09),
            (0.66 * left, floor - 0.18),
            (0.38 * left, top + 0.06),
            (0.05, top - 0.02),
        ]
        return curve([*outline, outline[0]], 80) + TOP

    def mediastinum(self) -> list[np.ndarray]:
        """Return the outlines of the upper mediastinum, and of the aortic knob and the pulmonary trunk below it."""
        low = self.floor(RIGHT)
        edge = [(-0.052, -0.1), (-0.05, self.apex), (-0.056, self.apex + 0.2), (-0.05, low), (0.05, low)]
        edge += [(0.055, self.apex + 0.22), (0.045, self.apex), (0.05, -0.1)]
        left = curve([(0.0, self.apex + 0.1), (0.05, self.apex + 0.125), (0.05 + self.aorta, self.apex + 0.18)], 12)
        left = np.concatenate(
            [left, curve([left[-1], (0.055, self.apex + 0.25), (0.075, self.apex + 0.31), (0.0, low)], 20)]
        )
        return [np.array(edge) + TOP, left + TOP]

    def hilum(self, side: int) -> tuple[float, float]:
        """Return the place where the vessels enter a lung."""
        return MIDLINE + side * 0.095, self.apex + 0.31 - 0.015 * (side == LEFT)


def _on_side(points: np.ndarray, side: int) -> np.ndarray:
    """Turn distances from the midline into places."""
    return np.stack([MIDLINE + side * points[:, 0], points[:, 1]], axis=1)


def ribs(patient: Patient) -> tuple[list[Line], list[Line]]:
    """Return the posterior ribs and the anterior ones, which are broader and fainter."""
    posterior, anterior = [], []
    share = np.linspace(0, 1, 16)
    for side in (RIGHT, LEFT):
        for number in range(10):
            start = patient.apex - 0.03 + 0.066 * number
            drop = 0.03 + 0.011 * number
            wall = float(patient.reach(side, start + drop)) + 0.012
            away = 0.03 + (wall - 0.03) * share
            y = start - 0.022 * np.sin(np.pi * share) + drop * share**2.2
            posterior.append((_on_side(np.stack([away, y], axis=1), side), 0.021))
            if number < 7:
                inward = wall - (wall - 0.11) * share
                y = start + drop + (0.13 - 0.006 * number) * share**0.9
                anterior.append((_on_side(np.stack([inward, y], axis=1), side), 0.026))
    return posterior, anterior


def collar_bones(patient: Patient) -> list[Line]:
    """Return the collar bones."""
    places = [(0.04, 0.085), (0.13, 0.055), (0.25, 0.02), (0.34, -0.02), (0.43, -0.03)]
    shape = curve([(away, patient.apex + y) for away, y in places], 16)
    return [(_on_side(shape, side), 0.022) for side in (RIGHT, LEFT)]


def shoulders(patient: Patient) -> list[Line]:
    """Return the edges of the shoulder blades, and the upper arms."""
    top = patient.apex
    blade = curve([(0.42, top), (0.395, top + 0.1), (0.375, top + 0.22), (0.345, top + 0.34)], 12)
    arm = curve([(0.47, top + 0.035), (0.5 + 0.3 * patient.arms, top + 0.2), (0.53 + patient.arms, 1.1)], 12)
    lines = [(blade, 0.02), (arm, 0.05), (arm[:2], 0.065)]
    return [(_on_side(points, side), width) for side in (RIGHT, LEFT) for points, width in lines]


def vessels(patient: Patient, rng: np.random.Generator) -> list[tuple[bool, Line]]:
    """Return the pieces of the vessels of both lungs, each with whether it leads up.

    Vessels leave the hila in all directions, branch twice, and get thinner; angles are from the horizontal, down.
    """
    side = np.repeat((RIGHT, LEFT), FROM_HILUM)
    start = np.repeat([patient.hilum(RIGHT), patient.hilum(LEFT)], FROM_HILUM, axis=0)
    angle = np.deg2rad(np.tile(np.linspace(-82, 88, FROM_HILUM), 2) + rng.uniform(-6, 6, len(side)))
    width, up = rng.uniform(0.007, 0.012, len(side)), angle < -0.1
    found = []
    for pieces, length in ((5, 1), (3, 0.7), (3, 0.7)):
        angles = angle[:, None] + np.cumsum(rng.normal(0, 0.16, (len(side), pieces)), axis=1)
        steps = length * rng.uniform(0.025, 0.05, angles.shape)
        away = np.stack([steps * side[:, None] * np.cos(angles), steps * np.sin(angles)], axis=2)
        points = start[:, None] + np.cumsum(np.pad(away, ((0, 0), (1, 0), (0, 0))), axis=1)
        widths = width[:, None] * 0.8 ** np.arange(pieces)
        found += [(up[i], (points[i, j : j + 2], widths[i, j])) for i, j in np.ndindex(angles.shape)]
        turned = angles + rng.choice((-1, 1), angles.shape) * rng.uniform(0.35, 0.8, angles.shape)
        parent, piece = np.nonzero(rng.random(angles.shape) < 0.6)
        side, up, start = side[parent], up[parent], points[parent, piece + 1]
        angle, width = turned[parent, piece], 0.62 * widths[parent, piece]
    return found
