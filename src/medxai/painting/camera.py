"""From light to photograph: lamps, and a camera with its colour cast, exposure, blur, noise and JPEG; a poor camera."""

from collections.abc import Sequence

import cv2
import numpy as np

from medxai.painting import noise
from medxai.painting.canvas import Light, to_srgb

HIGHLIGHT = 0.78
"""Exposure never lifts the brightest parts of a picture above this, linear, 1 is white."""


def lamp(shape: tuple[int, int], inside: np.ndarray, rng: np.random.Generator) -> Light:
    """Return a lamp at the upper side, uneven over the picture, that falls off where the body turns away."""
    angle = rng.uniform(-np.pi, 0) * 0.8 - 0.1 * np.pi
    tilt = rng.uniform(0.5, 0.95)
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j].astype(np.float32)
    field = 1 + rng.uniform(0, 0.22) * (x * np.cos(angle) + y * np.sin(angle))
    field += 0.06 * noise.fractal(shape, rng, min(shape) / 2, 2)
    field *= 0.5 + 0.5 * noise.step(-0.02, rng.uniform(0.1, 0.25), inside)
    direction = (float(np.cos(angle) * tilt), float(np.sin(angle) * tilt), 0.75)
    return Light(direction, float(rng.uniform(0.35, 0.55)), field.astype(np.float32))


def expose(radiance: np.ndarray, rng: np.random.Generator, metered: np.ndarray | None = None) -> np.ndarray:
    """Return what the sensor makes of the light, linear RGB float32 (h, w, 3) before noise.

    White balance, exposure, vignette and focus are drawn at random, the same way for every disease. As in a camera
    that guards the highlights, all but 2 per cent of the pixels stay below white. `metered` is the light that sets the
    exposure, if it is another one.
    """
    height, width = radiance.shape[:2]
    metered = radiance if metered is None else metered
    target = rng.uniform(0.2, 0.42) / max(float(np.median(metered[..., 1])), 0.02)
    exposure = np.clip(target**0.35, 0.75, 1.5) * np.exp(rng.normal(0, 0.1))
    warmth, tint = rng.normal(0, 0.09), rng.normal(0, 0.05)
    gains = exposure * np.exp(np.array([warmth, tint, -1.3 * warmth]))
    gains *= min(1.0, HIGHLIGHT / float(np.percentile((metered[::3, ::3] * gains).max(axis=2), 98)))
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    vignette = 1 - rng.uniform(0, 0.18) * (x**2 + y**2)
    focus = rng.uniform(0.3, 0.75) * max(min(height, width) / 400, 0.6)
    light = radiance * gains.astype(np.float32) * vignette[..., None]
    return cv2.GaussianBlur(light, (0, 0), focus)


def develop(light: np.ndarray, rng: np.random.Generator, before: np.ndarray | None = None) -> np.ndarray:
    """Return the photograph: sensor noise, sRGB with soft highlights, JPEG; uint8 (h, w, 3).

    JPEG would spread a change in the light over blocks of 16 pixels. With `before`, the light before such a change,
    pixels that the sensor saw move by at most 1 are those of the photograph of that light.
    """
    grain = rng.normal(0, 1, light.shape).astype(np.float32)
    amount, quality = rng.uniform(0.004, 0.012), int(rng.integers(78, 96))
    seen = _seen(light, amount, grain)
    if before is None:
        return _compressed(seen, quality)
    earlier = _seen(before, amount, grain)
    moved = cv2.absdiff(seen, earlier).max(axis=2, keepdims=True) > 1
    return np.where(moved, _compressed(seen, quality), _compressed(earlier, quality))


def clinic(
    pictures: np.ndarray,
    names: Sequence[str],
    *,
    seed: int = 0,
    pixels: int = 56,
    cast: float = 0.075,
    grain: float = 0.1,
) -> np.ndarray:
    """Return pictures as a poor camera takes them in a clinic: blurred, of a wrong colour, noisy.

    What is random about an image depends on its name and the seed, whatever the other images are. To a network that
    sees the range as -1 to 1, deviations are twice as large as the shares that are given here.

    Parameters
    ----------
    pictures
        uint8 (n, h, w, 3), RGB.
    names
        Of the n images.
    pixels
        Of the shorter side of the sensor: pictures are shrunk to it, by averaging over areas, and enlarged again.
    cast
        Standard deviation of what is added to each channel of an image, as a share of the range, 255.
    grain
        Standard deviation of the noise on each value, likewise.

    Raises
    ------
    ValueError
        If pictures and names are not as above, there is no pixel, or a deviation is negative.
    """
    if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] != 3 or len(names) != len(pictures):
        told = f"pictures are {pictures.dtype} {pictures.shape} with {len(names)} names"
        raise ValueError(f"{told}: expected uint8 (n, h, w, 3) with n names")
    if pixels < 1 or cast < 0 or grain < 0:
        raise ValueError(f"pixels, cast and grain are {pixels}, {cast} and {grain}: expected at least 1, 0 and 0")
    height, width = pictures.shape[1:3]
    share = min(pixels / min(height, width), 1)
    small = round(share * width), round(share * height)
    taken = np.empty_like(pictures)
    for row, name in enumerate(names):
        rng = noise.generator(seed, name, "clinic")
        coarse = cv2.resize(pictures[row].astype(np.float32), small, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        picture = picture + rng.normal(0, 255 * cast, 3) + rng.normal(0, 255 * grain, picture.shape)
        taken[row] = np.clip(np.round(picture), 0, 255)
    return taken


def _seen(light: np.ndarray, amount: float, grain: np.ndarray) -> np.ndarray:
    """Return light as the sensor delivers it, uint8 sRGB, with an amount of noise."""
    light = light + amount * np.sqrt(np.maximum(light, 0) + 0.01) * grain
    bright = np.maximum(light - 0.7, 0)
    light = np.minimum(light, 0.7) + 0.3 * (1 - np.exp(-bright / 0.3))
    return np.round(255 * to_srgb(light)).astype(np.uint8)


def _compressed(picture: np.ndarray, quality: int) -> np.ndarray:
    """Return a picture as it is after JPEG."""
    _, code = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1])
