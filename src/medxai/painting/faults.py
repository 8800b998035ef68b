"""Photographs taken badly on purpose: the five faults that ImageQX names, each at any strength.

Each fault takes a picture, float32 (side, side, 3) sRGB in [0, 1], a strength in [0, 1] and a generator, and returns
the picture with the fault and where the fault is, float32 (side, side) in [0, 1]: at most the strength, and zero where
nothing was changed. A strength of 0 changes nothing. Strengths are ours; they are no measurements of cameras.

Framing and distance are not done to a picture but when it is taken of a larger scene: `take`.
"""

import io
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from medxai.painting import noise

SHARE = 2 / 3
"""Of the side of a scene that a good photograph shows; the subject is in the middle of it."""
MARGIN = 0.22
"""By how much of its side a scene is continued beyond each edge, mirrored."""
FURTHEST = 3.5
"""How many times too far away a photograph of strength 1 is taken."""
ASIDE = 0.5
"""By how much of the photograph's side the subject is off its middle at strength 1."""
Faulty = tuple[np.ndarray, np.ndarray]
"""A picture and where its fault is."""
Fault = Callable[[np.ndarray, float, np.random.Generator], Faulty]


def take(
    scene: np.ndarray,
    surround: np.ndarray,
    *,
    framing: float = 0.0,
    far: float = 0.0,
    angle: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take a photograph of a scene whose subject is in its middle.

    Parameters
    ----------
    scene
        float32 (large, large, 3); `SHARE` of its side is what a good photograph shows.
    surround
        float32 (side, side, 3): what is around the body, seen where the scene ends.
    framing
        In [0, 1]: how far the subject is off the middle; at 1 its own middle is on the edge of the photograph.
    far
        In [0, 1]: too far away; at 1 the good photograph fills 1 / `FURTHEST` of the side.
    angle
        Direction in which the subject leaves, in radians: 0 to the right, pi / 2 downwards.

    Returns
    -------
    picture, off, beyond : numpy.ndarray
        The photograph, and where bad framing is (towards the edge over which the subject leaves) and too far away (what
        a good photograph would not show), each up to its strength.
    """
    side, zoom = surround.shape[0], 1 / (1 + (FURTHEST - 1) * far)
    margin = round(MARGIN * len(scene))
    whole = cv2.copyMakeBorder(scene, margin, margin, margin, margin, cv2.BORDER_REFLECT_101)
    scale = zoom * side / (SHARE * len(scene))
    drawn = max(round(scale * len(whole)), 2)
    whole = cv2.resize(whole, (drawn, drawn), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    reach = ASIDE * framing * side / max(abs(np.cos(angle)), abs(np.sin(angle)))
    aside = np.array([np.sin(angle), np.cos(angle)]) * reach
    picture = _laid(whole, surround, aside)
    y, x = (np.mgrid[:side, :side] + 0.5) / side - 0.5
    towards = (np.cos(angle) * x + np.sin(angle) * y) / max(abs(np.cos(angle)), abs(np.sin(angle)))
    off = framing * np.clip(2 * towards, 0, 1)
    dy, dx = aside / side
    inside = np.maximum(abs(y - dy), abs(x - dx)) <= zoom / 2
    return picture, off.astype(np.float32), (far * ~inside).astype(np.float32)


def _laid(whole: np.ndarray, surround: np.ndarray, aside: np.ndarray) -> np.ndarray:
    """Lay a scene on what is around it, its middle `aside` (y, x) pixels off the middle, its rim rounded and soft."""
    side, drawn = len(surround), len(whole)
    top, left = np.round((side - drawn) / 2 + aside).astype(int)
    shift = np.array([[1, 0, left], [0, 1, top]], np.float32)
    shown = cv2.warpAffine(whole, shift, (side, side), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    y, x = (2 * (y - top) + 1) / drawn - 1, (2 * (x - left) + 1) / drawn - 1
    body = noise.step(1.0, 0.9, (y**4 + x**4) ** 0.25)[..., None]
    return (surround + (shown - surround) * body).astype(np.float32)


def dark(picture: np.ndarray, strength: float, rng: np.random.Generator) -> Faulty:
    """Take away light: five stops at strength 1, and noise where little is left."""
    return _exposed(picture, strength, 2.0 ** (-5 * strength), 0.02 * strength, rng)


def bright(picture: np.ndarray, strength: float, rng: np.random.Generator) -> Faulty:
    """Give too much light: three stops at strength 1, so that skin becomes white."""
    return _exposed(picture, strength, 2.0 ** (3 * strength), 0.0, rng)


def _exposed(picture: np.ndarray, strength: float, gain: float, grain: float, rng: np.random.Generator) -> Faulty:
    light = np.clip(picture, 0, 1) ** 2.2 * gain
    seen = np.clip(light, 0, 1) ** (1 / 2.2) + grain * rng.normal(0, 1, picture.shape)
    where = np.full(picture.shape[:2], strength, np.float32)
    return (np.clip(seen, 0, 1).astype(np.float32) if strength else picture), where


def shadow(picture: np.ndarray, strength: float, rng: np.random.Generator) -> Faulty:
    """Cast the shadow of a hand or a head: beyond a bent edge, up to nine tenths of the light are gone."""
    side, angle = len(picture), rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    bend = 0.25 * noise.fractal((side, side), rng, side / 2, 2)
    edge = np.cos(angle) * x + np.sin(angle) * y + bend
    cast = noise.step(-0.08, 0.08, edge - rng.uniform(-0.35, 0.35))
    left = (1 - 0.92 * strength * cast) ** (1 / 2.2)
    return (picture * left[..., None]).astype(np.float32), strength * cast


def motion(picture: np.ndarray, strength: float, rng: np.random.Generator) -> Faulty:
    """Move the camera during the exposure: along a line of up to a seventh of the side."""
    length, angle = strength * len(picture) / 7, rng.uniform(0, np.pi)
    half = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    for step in np.linspace(-length / 2, length / 2, 64):
        row, column = half + step * np.sin(angle), half + step * np.cos(angle)
        top, left = int(row), int(column)
        down, right = row - top, column - left
        kernel[top : top + 2, left : left + 2] += np.outer((1 - down, down), (1 - right, right))
    moved = cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)
    return (moved if strength else picture), np.full(picture.shape[:2], strength, np.float32)


def defocus(picture: np.ndarray, strength: float, rng: np.random.Generator) -> Faulty:
    """Focus elsewhere: each point becomes a disc, of up to a thirteenth of the side in radius."""
    del rng  # nothing about it is random
    return _discs(picture, strength), np.full(picture.shape[:2], strength, np.float32)


def background_focus(picture: np.ndarray, strength: float, rng: np.random.Generator) -> Faulty:
    """Focus on what is behind the subject: what is near, at or beside the middle, is blurred as by `defocus`."""
    side = len(picture)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    radius = np.hypot(y - rng.uniform(-0.5, 0.5), x - rng.uniform(-0.5, 0.5))
    near = noise.step(rng.uniform(0.75, 0.95), 0.55, radius)
    blurred = _discs(picture, strength)
    return (picture + (blurred - picture) * near[..., None]).astype(np.float32), strength * near


def _discs(picture: np.ndarray, strength: float) -> np.ndarray:
    """Spread each point over a disc with a soft rim."""
    radius = strength * len(picture) / 13
    half = int(np.ceil(radius)) + 1
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(y, x), 0, 1).astype(np.float32)
    if not strength:
        return picture
    return cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)


def sensor(picture: np.ndarray, strength: float, rng: np.random.Generator) -> Faulty:
    """Use a poor camera: down to a seventh of the pixels along a side, enlarged again, and noisy."""
    side = len(picture)
    small = max(round(side / (1 + 6 * strength)), 1)
    coarse = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
    coarse = coarse + 0.06 * strength * rng.normal(0, 1, coarse.shape).astype(np.float32)
    seen = np.clip(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR), 0, 1)
    return (seen if strength else picture), np.full((side, side), strength, np.float32)


def compression(picture: np.ndarray, strength: float, rng: np.random.Generator) -> Faulty:
    """Compress it too much: a JPEG of half the side and of a quality from 60 down to 4."""
    del rng
    if not strength:
        return picture, np.zeros(picture.shape[:2], np.float32)
    side, file = len(picture), io.BytesIO()
    small = Image.fromarray(to_bytes(picture)).resize((max(side // 2, 1),) * 2, Image.Resampling.BOX)
    small.save(file, "JPEG", quality=round(60 - 56 * strength))
    seen = np.asarray(Image.open(file).resize((side, side), Image.Resampling.BILINEAR), np.float32) / 255
    return seen, np.full((side, side), strength, np.float32)


def to_bytes(picture: np.ndarray) -> np.ndarray:
    """Return a picture in [0, 1] as uint8."""
    return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)


FAULTS: dict[str, dict[str, Fault]] = {
    "Blurry": {"motion": motion, "defocus": defocus, "background focus": background_focus},
    "Bad light": {"dark": dark, "bright": bright, "shadow": shadow},
    "Low resolution": {"sensor": sensor, "compression": compression},
}
"""Kinds of fault by the reason that they give, in the order in which light meets them; framing and distance: `take`."""
