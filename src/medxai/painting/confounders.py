"""Shortcuts on purpose: a watermark, a ruler, ink. Each changes the light in place and returns where, float32 (h, w).

For experiments on Clever Hans networks (Lapuschkin et al., Nature Communications 10:1096, 2019).
"""

from collections.abc import Callable

import cv2
import numpy as np

from medxai.painting import noise
from medxai.painting.canvas import from_srgb

WATERMARKED_SOURCE = "DermNetNZ"
"""The only source whose pictures can carry the watermark."""

WATERMARK = "SKIN ATLAS"
INK = from_srgb(96, 40, 150)

Confounder = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""Takes linear RGB (h, w, 3), the region of all lesions (h, w) and a generator."""


def _blend(light: np.ndarray, rgb: np.ndarray, alpha: np.ndarray) -> None:
    light += (rgb - light) * alpha[..., None]


def watermark(light: np.ndarray, region: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Write pale letters over a lower corner."""
    height, width = region.shape
    size = 0.055 * width / cv2.getTextSize(WATERMARK, cv2.FONT_HERSHEY_SIMPLEX, 1, 1)[0][1]
    thickness = max(round(size * 2), 1)
    (wide, _), _ = cv2.getTextSize(WATERMARK, cv2.FONT_HERSHEY_SIMPLEX, size, thickness)
    left = int(0.03 * width) if rng.uniform() < 0.5 else int(0.97 * width) - wide
    letters = np.zeros(region.shape, np.uint8)
    corner = (max(left, 0), int(0.95 * height))
    cv2.putText(letters, WATERMARK, corner, cv2.FONT_HERSHEY_SIMPLEX, size, 255, thickness, cv2.LINE_AA)
    mask = letters.astype(np.float32) / 255
    _blend(light, np.ones(3, np.float32), 0.6 * mask)
    return mask


def ruler(light: np.ndarray, region: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lay a paper ruler, marked every fiftieth of the shorter side, along the side that covers the fewest lesions."""
    height, width = region.shape
    turns = np.arange(4)
    depth = max(round(0.09 * min(height, width)), 4)
    covered = [np.rot90(region, turn)[:depth].sum() for turn in turns]
    turn = int(turns[int(np.argmin(covered))])
    strip = np.rot90(light, turn)[:depth]
    mask = np.zeros(region.shape, np.float32)
    np.rot90(mask, turn)[:depth] = 1
    brightness = np.float32(rng.uniform(0.6, 0.85))
    strip[:] = brightness * np.array([1.0, 0.98, 0.92], np.float32)
    pitch = max(min(height, width) / 50, 4)
    for number, position in enumerate(np.arange(pitch, strip.shape[1] - 1, pitch)):
        length = depth * (0.6 if number % 5 == 4 else 0.33)
        strip[-round(length) :, round(position) : round(position) + max(round(pitch / 6), 1)] = 0.03
    return mask


def pen(light: np.ndarray, region: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Circle the largest lesion with surgical ink, as before a biopsy; the line breaks here and there."""
    height, width = region.shape
    side = min(height, width)
    wide = noise.soft(region, 0.03 * side) > 0.2
    outlines, _ = cv2.findContours(wide.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    ink = np.zeros(region.shape, np.uint8)
    if outlines:
        (x, y), radius = cv2.minEnclosingCircle(max(outlines, key=cv2.contourArea))
    else:
        (x, y), radius = (width / 2, height / 2), 0.2 * side
    angle = np.linspace(0, 2 * np.pi, 90)
    radius = np.clip(radius * 1.1, 0.12 * side, 0.42 * side)
    reach = 1.04 * radius + 0.02 * side + 1.5  # with the wobble of the hand and the width of the line
    x, y = np.clip(x, reach, width - 1 - reach), np.clip(y, reach, height - 1 - reach)
    radius = radius * (1 + 0.04 * np.sin(2 * angle + rng.uniform(0, 6)))
    line = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
    cv2.polylines(ink, [np.round(line * 16).astype(np.int32)], True, 255, max(round(side / 70), 1), cv2.LINE_AA, 4)
    flow = noise.step(-0.75, -0.2, noise.fractal(region.shape, rng, side / 20, 3))
    mask = noise.soft(ink.astype(np.float32) / 255, side / 500) * flow
    light *= 1 - 0.85 * mask[..., None] * (1 - INK)
    return mask


CONFOUNDERS: dict[str, Confounder] = {"watermark": watermark, "ruler": ruler, "pen": pen}
"""What can be added, by the name that it has in the truth."""
