"""What tells the body site beside the outline: an eye or lips, a navel, the creases of a palm.

Landmarks belong to the healthy body: they are drawn before the lesions, where no lesion is outlined (the creases of a
palm run on below lesions), and are not part of the truth.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from medxai.painting import noise
from medxai.painting.canvas import Canvas, from_srgb
from medxai.painting.skin import HAIR

SHARE = {"face": 0.8, "trunk": 0.5, "palm": 0.9}
"""How many pictures of a site get a landmark, if there is room for one."""

SHADOW = from_srgb(52, 28, 22)


@dataclass(frozen=True)
class Frame:
    """Where a landmark is drawn: `middle` (x, y) in pixels, `pixels` from there to its end, `turn` in radians."""

    middle: tuple[float, float]
    pixels: float
    turn: float

    def coordinates(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return x and y of each pixel, float32 (h, w), 0 in the middle of the landmark and 1 at its end."""
        y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        y, x = (y - self.middle[1]) / self.pixels, (x - self.middle[0]) / self.pixels
        cos, sin = np.float32(np.cos(self.turn)), np.float32(np.sin(self.turn))
        return x * cos + y * sin, y * cos - x * sin

    def places(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the pixels (n, 2) of n such coordinates."""
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        return np.stack([x * cos - y * sin, x * sin + y * cos], axis=-1) * self.pixels + np.array(self.middle)


Landmark = Callable[[Canvas, Frame, np.random.Generator], None]


def add(canvas: Canvas, site: str | None, region: np.ndarray, inside: np.ndarray, rng: np.random.Generator) -> None:
    """Draw one landmark of the site where neither the region of the lesions nor the outline of the body is near.

    `region` is the union of the lesions' outlines, float32 (h, w) in [0, 1]; `inside` says how far inside the body each
    pixel is, as `medxai.painting.skin.silhouette` returns it.
    """
    kinds = LANDMARKS.get(site or "", ())
    if not kinds or rng.uniform() > SHARE[site or ""]:
        return
    draw = kinds[rng.integers(len(kinds))]
    side = min(canvas.size)
    pixels = side * rng.uniform(0.15, 0.22)
    free = ((region < 0.02) & (inside > 0.05)).astype(np.uint8)
    room = cv2.distanceTransform(cv2.copyMakeBorder(free, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_C, 3)[1:-1, 1:-1]
    places = np.argwhere(room > 1.02 * pixels)
    if not len(places):
        return
    y, x = places[rng.integers(len(places))]
    draw(canvas, Frame((float(x), float(y)), pixels, rng.uniform(-0.25, 0.25)), rng)


def _bow(x: np.ndarray, y: np.ndarray, height: float, half_width: float, thick: float) -> np.ndarray:
    """Return a bowed stroke, `height` high, thinner at its ends."""
    along = np.clip(1 - (x / half_width) ** 2, 0, 1)
    return np.exp(-(((y + height * along) / thick) ** 2)) * noise.step(0, 0.5, along)


def _eye(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    """Draw a closed eye: bulging lid with its crease, lashes, eyebrow."""
    x, y = frame.coordinates(canvas.size)
    bulge = np.exp(-((x / 0.5) ** 2) - ((y - 0.12) / 0.3) ** 2)
    slit, crease = _bow(x, y - 0.2, -0.16, 0.72, 0.035), _bow(x, y - 0.12, 0.22, 0.8, 0.04)
    canvas.height += frame.pixels * (0.22 * bulge - 0.03 * crease - 0.04 * slit)
    canvas.blood += 0.15 * bulge + 0.3 * slit
    canvas.melanin += 0.2 * crease + 0.15 * bulge
    root = np.sort(rng.uniform(-0.68, 0.68, 34))
    lash = _strokes(canvas, frame, root, 0.2 + 0.16 * (1 - (root / 0.72) ** 2), np.pi / 2 - 0.9 * root, 0.12, rng)
    root = rng.uniform(-0.85, 0.9, 150)
    up = -0.5 - 0.2 * (1 - (root / 0.95) ** 2) + rng.uniform(-0.09, 0.09, 150) * (1.1 - np.abs(root))
    brow = _strokes(canvas, frame, root, up, -0.9 + 0.9 * (root + 0.85) / 1.75, 0.2, rng)
    canvas.overlay(HAIR[canvas.tone], np.maximum.reduce([0.75 * slit, 0.8 * lash, 0.7 * brow]))


def _strokes(
    canvas: Canvas, frame: Frame, x: np.ndarray, y: np.ndarray, way: np.ndarray, length: float, rng: np.random.Generator
) -> np.ndarray:
    """Return short hairs from the roots (x, y), (n,), `way` in radians, as coverage, float32 (h, w) in [0, 1]."""
    ink = np.zeros(canvas.size, np.uint8)
    way, length = way + rng.normal(0, 0.15, x.shape), length * rng.uniform(0.6, 1.1, x.shape)
    ends = np.stack([frame.places(x, y), frame.places(x + length * np.cos(way), y + length * np.sin(way))], axis=1)
    thick = max(round(frame.pixels / 150), 1)
    cv2.polylines(ink, list(np.round(16 * ends).astype(np.int32)), False, 255, thick, cv2.LINE_AA, 4)
    return ink.astype(np.float32) / 255


def _lips(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    """Draw a closed mouth: cupid's bow above, a fuller lip below, vertical lines."""
    (x, y), pixels = frame.coordinates(canvas.size), frame.pixels
    taper = np.clip(1 - x**2, 0, 1)
    upper = 0.3 * taper * (1 - 0.25 * np.exp(-((x / 0.14) ** 2)))
    lower = 0.38 * taper
    cover = noise.step(0, 0.07, np.where(y < 0, upper + y, lower - y)) * (taper > 0)
    full = np.clip(1 - (y / np.where(y < 0, upper + 1e-3, lower + 1e-3)) ** 2, 0, 1) * cover
    slit = np.exp(-(((y + 0.06 * np.exp(-((x / 0.3) ** 2))) / 0.03) ** 2)) * noise.step(0, 0.3, taper)
    lines = noise.fractal(x.shape, rng, 0.06 * pixels + 2, 2)
    canvas.height += pixels * (0.14 * noise.step(0, 1.2, full) - 0.03 * slit + 0.004 * lines * cover)
    canvas.blood += cover * (0.5 + 0.06 * lines)
    canvas.melanin += 0.12 * cover
    canvas.gloss += 0.08 * cover
    canvas.overlay(SHADOW, 0.6 * slit)


def _navel(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    """Draw a navel: a hollow under a hood of skin."""
    (x, y), pixels = frame.coordinates(canvas.size), frame.pixels
    reach = np.hypot(x / 0.38, y / 0.32)
    hollow = np.clip(1 - reach**2, 0, 1)
    hood = np.exp(-(((reach - 1) / 0.25) ** 2)) * noise.step(0.4, -0.4, y)
    canvas.height += pixels * (0.12 * hood - 0.3 * hollow)
    canvas.melanin += 0.25 * hollow
    canvas.gloss *= 1 - noise.step(0, 0.3, hollow)
    canvas.overlay(SHADOW, 0.7 * noise.step(0.45, 1, hollow * (1 - 0.6 * y)))


def _palm_creases(canvas: Canvas, frame: Frame, rng: np.random.Generator) -> None:
    """Draw the long creases of a palm, through the whole picture."""
    (x, y), pixels = frame.coordinates(canvas.size), frame.pixels
    bent = 0.12 * noise.fractal(x.shape, rng, 1.5 * pixels, 3)
    # heart line, head line, and the line around the ball of the thumb, each where it ends
    heart = y + 0.75 - 0.15 * x**2 + bent, x + 1.6
    head = y + 0.1 + 0.12 * (x - 0.5) ** 2 + bent, 1.4 - x
    thumb = np.hypot(x - 1.9, y - 1.9) - 2.0 + bent, 1.2 - x
    lines = [np.abs(line) + 0.15 * noise.step(0.5, 0.0, end) for line, end in (heart, head, thumb)]
    crease = np.maximum.reduce([np.exp(-((line / 0.028) ** 2)) for line in lines])
    canvas.height -= 0.035 * pixels * crease
    canvas.blood += 0.2 * crease
    canvas.melanin += 0.12 * crease


LANDMARKS: dict[str, tuple[Landmark, ...]] = {
    "face": (_eye, _lips),
    "trunk": (_navel,),
    "palm": (_palm_creases,),
}
"""What can be drawn at each site; hands and limbs show themselves by their outlines."""
