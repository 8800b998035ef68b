"""Healthy skin before any lesion, the body's outline, and what lies behind it."""

import cv2
import numpy as np

from medxai.painting import noise
from medxai.painting.canvas import Canvas, Context, from_srgb

SITES = ("face", "hand", "limb", "trunk")
"""Where a lesion may be if nobody said; "palm" comes from the raters only."""

CLOTHS = (
    from_srgb(92, 132, 158),  # blue drape
    from_srgb(70, 120, 104),  # green drape
    from_srgb(28, 28, 32),  # black velvet
    from_srgb(128, 128, 126),
    from_srgb(222, 221, 216),  # white sheet
    from_srgb(140, 100, 74),  # a table
)

HAIR = {"light": from_srgb(122, 88, 58), "medium": from_srgb(46, 34, 28), "dark": from_srgb(20, 16, 15)}


def prepare(canvas: Canvas, context: Context, rng: np.random.Generator) -> None:
    """Give the bare canvas what healthy skin has: uneven pigment and blood, fine lines, pores, moles."""
    shape, scale = canvas.size, canvas.scale
    canvas.melanin += rng.normal(0, 0.08) + 0.12 * (canvas.tone != "light") * rng.uniform(-1, 1)
    canvas.melanin += 0.05 * noise.fractal(shape, rng, 2.5 * scale) + 0.02 * noise.fractal(shape, rng, 0.2 * scale, 2)
    canvas.blood += rng.normal(0, 0.06) + 0.08 * noise.fractal(shape, rng, 1.6 * scale)
    canvas.height += 0.08 * scale * noise.fractal(shape, rng, 3 * scale, 2)
    _fine_lines(canvas, context, rng)
    if context.site in ("face", "trunk"):
        _pores(canvas, rng)
    _spots(canvas, context, rng)


def _fine_lines(canvas: Canvas, context: Context, rng: np.random.Generator) -> None:
    """Draw the polygons of the skin's surface: stretched across a limb or a hand, even elsewhere, deeper with age."""
    y, x = np.mgrid[: canvas.size[0], : canvas.size[1]].astype(np.float32)
    bend = noise.fractal(canvas.size, rng, 4 * canvas.scale, 2) * 0.4 * canvas.scale
    angle = rng.uniform(0, np.pi)
    along, across = x * np.cos(angle) + y * np.sin(angle) + bend, y * np.cos(angle) - x * np.sin(angle) + bend
    stretch = 1.8 if context.site in ("hand", "limb", "palm") else 1.25
    depth = {"young": 0.5, "elderly": 1.4}.get(context.age or "", 0.9)
    for centimetres, share in ((0.12, 1.0), (0.32, 0.7)):
        cell = canvas.px(centimetres, 3.5)
        _, border, _ = noise.cells(canvas.size, rng, cell, (across, along / stretch))
        line = 1 - noise.step(0.0, 0.45 * cell, border)
        canvas.height -= 0.028 * depth * share * cell * line
        canvas.melanin += 0.02 * share * line
    canvas.gloss += 0.06 * noise.fractal(canvas.size, rng, canvas.scale)


def _pores(canvas: Canvas, rng: np.random.Generator) -> None:
    where = noise.step(-0.4, 0.6, noise.fractal(canvas.size, rng, 3 * canvas.scale, 2))
    pores = noise.blobs(0.9 * where, rng, (canvas.px(0.02, 0.8), canvas.px(0.035, 1.3)), canvas.px(0.15, 5))
    pits = noise.dome(canvas.size, [(y, x) for y, x, _ in pores], [r + 0.7 for *_, r in pores])
    canvas.height -= 0.35 * pits
    canvas.melanin += 0.06 * pits


def _spots(canvas: Canvas, context: Context, rng: np.random.Generator) -> None:
    """Add freckles to some, and a mole or two."""
    many = canvas.tone == "light" and rng.uniform() < 0.3
    everywhere = np.ones(canvas.size, np.float32)
    freckles = noise.blobs(0.35 * everywhere, rng, (1.0, canvas.px(0.1, 1.8)), canvas.px(0.45, 6)) if many else []
    moles = noise.blobs(0.012 * everywhere, rng, (canvas.px(0.07, 1.6), canvas.px(0.16, 2.5)), canvas.px(1.0, 20))
    for spots, strength in ((freckles, 0.22), (moles if rng.uniform() < 0.5 else [], 0.8)):
        spot = noise.dome(canvas.size, [(y, x) for y, x, _ in spots], [1.3 * r for *_, r in spots], power=0.6)
        canvas.melanin += strength * noise.soft(spot, 0.5) * (0.7 + 0.3 * noise.fractal(canvas.size, rng, 4, 1))


def hairs(canvas: Canvas, context: Context, rng: np.random.Generator) -> None:
    """Grow fine body hair on a limb, on some trunks and hands; each hair bends a little and thins out."""
    if rng.uniform() > {"limb": 0.6, "trunk": 0.3, "hand": 0.25, "face": 0.1}.get(context.site or "", 0):
        return
    ink = np.zeros(canvas.size, np.uint8)
    roots = noise.blobs(np.full(canvas.size, 0.7, np.float32), rng, 1, canvas.px(rng.uniform(0.7, 1.6), 14))
    angle, step = rng.uniform(0, 2 * np.pi), np.linspace(0, 1, 9)
    for y, x, _ in roots:
        turn = angle + rng.normal(0, 0.35) + step * rng.normal(0, 0.7)
        length = canvas.px(rng.uniform(0.35, 1.0), 8) / len(step)
        points = np.stack([x + np.cumsum(np.cos(turn)) * length, y + np.cumsum(np.sin(turn)) * length], axis=1)
        cv2.polylines(ink, [np.round(points * 16).astype(np.int32)], False, 255, 1, cv2.LINE_AA, shift=4)
    thickness = min(canvas.scale * 0.012, 1.0)
    canvas.overlay(HAIR[canvas.tone], (0.35 + 0.5 * thickness) * ink.astype(np.float32) / 255)


def silhouette(region: np.ndarray, site: str | None, rng: np.random.Generator) -> np.ndarray:
    """Return how far inside the body each pixel is, float32 in units of the shorter side; negative is background.

    Many hands show the gaps between their fingers. An outline that would cut off a tenth of a per cent of the `region`
    is drawn again; after some tries the skin fills the picture.
    """
    height, width = region.shape
    y, x = np.mgrid[:height, :width].astype(np.float32) / min(height, width)
    y, x = y - y.max() / 2, x - x.max() / 2
    wobble = 0.02 * noise.fractal(region.shape, rng, min(height, width) / 2, 2)
    two_sided = {"limb": 0.8, "hand": 0.6, "palm": 0.6}.get(site or "", 0.15)
    if rng.uniform() > {"limb": 0.8, "hand": 0.9, "palm": 0.9, "face": 0.45}.get(site or "", 0.3):
        return np.ones(region.shape, np.float32)
    for _ in range(12):
        angle, curve = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.5)
        across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        inside = rng.uniform(0.22, 0.5) - across - curve * along**2 + wobble
        if rng.uniform() < two_sided:
            inside = np.minimum(inside, rng.uniform(0.25, 0.5) + across + rng.uniform(-0.15, 0.3) * along**2 + wobble)
        if site in ("hand", "palm") and rng.uniform() < 0.7:
            inside = np.minimum(inside, _finger_gaps(along, across + wobble, rng))
        if (region * (inside < 0.02)).sum() < 0.001 * region.sum() + 1e-6 and (inside > 0).mean() > 0.45:
            return inside.astype(np.float32)
    return np.ones(region.shape, np.float32)


def _finger_gaps(along: np.ndarray, across: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the distance from the nearest of three gaps that open towards the fingers' tips, outside the picture."""
    finger, root = rng.uniform(0.17, 0.23), rng.uniform(0.1, 0.3)
    gaps = [finger * (number + rng.uniform(-0.08, 0.08)) for number in (-1, 0, 1)]
    depth = along - root  # how far towards the tips
    spread = 0.006 + 0.1 * np.maximum(depth, 0)
    to_gap = [np.hypot(across - gap, np.minimum(depth + 0.4 * abs(gap), 0)) - spread for gap in gaps]
    return np.minimum.reduce(to_gap)


def background(shape: tuple[int, int], inside: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return cloth with folds and weave, the body's shadow on it: linear RGB float32 (h, w, 3)."""
    side = min(shape)
    folds = 1 + 0.3 * noise.fractal(shape, rng, side / 2.5, 3)
    weave = 1 + 0.06 * noise.fractal(shape, rng, 3, 1)
    shadow = 0.45 + 0.55 * noise.step(0.0, rng.uniform(0.08, 0.2), -inside)
    colour = CLOTHS[rng.integers(len(CLOTHS))] * rng.uniform(0.8, 1.2, 3).astype(np.float32)
    return np.clip(colour * (folds * weave * shadow)[..., None], 0, 1).astype(np.float32)
