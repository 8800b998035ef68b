"""Painters of the additional terms: comedones, cysts, scars, vessels, hairs, skin lines, sun damage and keratin.

Each painter is called after its term and follows `medxai.painting.canvas.Painter`: it changes the layers of the canvas
inside the region, float32 (h, w) in [0, 1], and returns what it covered, likewise. A pixel belongs to the region from
one half on; an empty region stays unpainted. The definitions are those of the book's glossary (after the ILDS glossary,
Nast et al., Br J Dermatol 174:1351, 2016).
"""

from collections.abc import Iterable

import cv2
import numpy as np
from scipy import ndimage

from medxai.painting import noise
from medxai.painting.canvas import TONES, Canvas, Context, from_srgb

PLUG = from_srgb(24, 16, 12)
PLUG_BROWN = from_srgb(62, 40, 26)
CLOT = from_srgb(38, 6, 8)
IVORY = from_srgb(243, 226, 202)
SEBUM = from_srgb(232, 205, 140)
WHITE_HAIR = from_srgb(250, 249, 244)
SHADOW = from_srgb(45, 28, 22)
KERATIN_YELLOW = from_srgb(214, 190, 138)
KERATIN_GREY = from_srgb(168, 158, 142)
ELASTOSIS = from_srgb(222, 190, 120)
VESSEL = from_srgb(150, 22, 34)
TINT = {"light": 1.0, "medium": 0.7, "dark": 0.4}
"""How much of a pale material that shines through is seen, by tone of the skin."""

RIDGED_SITE = "palm"
"""The site whose skin has ridges; it stands for soles and finger pulps too."""

PERIOD = 0.06, 4.5
"""Of the ridges: centimetres, and least pixels."""

UPSAMPLING = 3
"""Lines are drawn this much larger and then reduced, for widths between pixels."""

Line = tuple[np.ndarray, float]
"""Points (n, 2) as x, y and width, in pixels."""


def closed_comedo(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> np.ndarray:
    """Paint closed comedones: skin-coloured to whitish bumps of one to two millimetres under intact skin."""
    small, large = canvas.px(0.07, 2.0), canvas.px(0.14, 3.4)
    spots = _spots(region, rng, (small, large), 3.2 * large)
    bump = _warped(_domes(canvas.size, spots), rng, 0.12 * large)
    canvas.height += 0.45 * large * bump
    canvas.blood -= 0.1 * bump
    canvas.melanin -= 0.2 * TONES[canvas.tone] * bump
    canvas.overlay(IVORY, 0.25 * TINT[canvas.tone] * bump**2)
    return np.clip(3 * bump, 0, 1)


def open_comedo(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> np.ndarray:
    """Paint open comedones: dark brown to black plugs in dilated pores, each with a slightly raised rim."""
    small, large = canvas.px(0.05, 1.9), canvas.px(0.12, 3.0)
    spots = _spots(region, rng, (small, large), 4.2 * large, alone=1.2)
    plug = _warped(_discs(canvas.size, [(y, x, 0.62 * r) for y, x, r in spots]), rng, 0.25 * large)
    seen = _discs(canvas.size, spots)
    canvas.height += 0.3 * large * (_domes(canvas.size, spots) - 1.2 * plug)
    canvas.melanin += 0.3 * seen
    grain = 0.5 + 0.5 * noise.fractal(canvas.size, rng, 4 * large, octaves=3)[..., None]
    canvas.overlay(PLUG * (1 - grain) + PLUG_BROWN * grain, 0.92 * plug)
    return seen


def cyst(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> np.ndarray:
    """Paint cysts: large smooth domes, yellowish as if something shone through, some with a punctum."""
    small, large = canvas.px(0.4, 5), canvas.px(0.9, 7)
    spots = _spots(region, rng, (small, large), 3.2 * large, alone=2.2)
    bend = 0.16 * max((r for *_, r in spots), default=1)
    dome = _warped(_domes(canvas.size, spots, power=0.8), rng, bend)
    raised = np.zeros(canvas.size, np.float32)
    for y, x, r in spots:
        raised = np.maximum(raised, 0.34 * r * _domes(canvas.size, [(y, x, r)], power=0.8))
    seen = np.clip(4 * dome, 0, 1)
    canvas.height += 0.85 * seen * (noise.soft(canvas.height, canvas.px(0.12, 2)) - canvas.height)
    canvas.height += _warped(raised, rng, bend)
    canvas.gloss += 0.15 * dome
    canvas.melanin -= 0.25 * TONES[canvas.tone] * dome
    canvas.blood += 0.35 * seen * (1 - dome)
    canvas.overlay(SEBUM, 0.34 * TINT[canvas.tone] * noise.step(0.15, 1, dome))
    tops = [(y, x, r) for y, x, r in spots if r > 5 and rng.random() < 0.4]
    puncta = [(y + 0.25 * r, x - 0.2 * r, min(0.1 * r, canvas.px(0.04, 1.2))) for y, x, r in tops]
    punctum = _domes(canvas.size, puncta)
    canvas.height -= canvas.px(0.04, 0.8) * punctum
    canvas.overlay(PLUG, 0.8 * punctum)
    return seen


def scar(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> np.ndarray:
    """Paint scars: ice-pick and boxcar pits, and a few raised (hypertrophic) ones; all paler than the skin around."""
    narrowest, widest = canvas.px(0.05, 1.7), canvas.px(0.22, 4.2)
    spots = _mostly_small(_spots(region, rng, (narrowest, widest), 2.6 * widest), narrowest, widest)
    narrow = [s for s in spots if s[2] < 0.5 * widest]
    wide = [s for s in spots if s[2] >= 0.5 * widest]
    raised = wide[::5]
    pits = [s for number, s in enumerate(wide) if number % 5]
    bend = 0.45 * widest
    ice_pick = _warped(_domes(canvas.size, narrow, power=0.7), rng, 0.5 * bend)
    boxcar = _warped(_domes(canvas.size, pits, power=0.5), rng, bend)
    bulge = _warped(_domes(canvas.size, raised, power=0.8), rng, 0.7 * bend)
    canvas.height += widest * (0.24 * bulge - 0.34 * ice_pick - 0.26 * boxcar)
    seen = np.clip(np.maximum.reduce([ice_pick, boxcar, bulge]) * 3, 0, 1)
    canvas.melanin -= 0.2 * TONES[canvas.tone] * seen
    canvas.blood += 0.12 * bulge - 0.08 * seen
    canvas.melanin += 0.25 * ice_pick**2
    canvas.gloss += 0.08 * bulge
    return seen


def telangiectasia(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> np.ndarray:
    """Paint telangiectasia: fine, branching, permanently widened vessels, seen as red lines."""
    vessels = _vessels(canvas, region, rng, spacing=canvas.px(0.65, 17), length=canvas.px(0.8, 22))
    canvas.blood += 0.5 * noise.soft(vessels, canvas.px(0.08, 2)) + 0.9 * vessels
    canvas.overlay(VESSEL, (0.35 + 0.25 * TINT[canvas.tone]) * vessels)
    return vessels


def thrombosed_capillaries(
    canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator
) -> np.ndarray:
    """Paint thrombosed capillaries: pinpoint dots, red-black, of clotted vessels in a wart."""
    small, large = canvas.px(0.016, 1.1), canvas.px(0.04, 1.8)
    spots = _spots(region, rng, (small, large), canvas.px(0.16, 10), alone=1.2)
    dots = _warped(_discs(canvas.size, spots), rng, 0.4 * large)
    around = noise.soft(_discs(canvas.size, [(y, x, 2.2 * r) for y, x, r in spots]), 0.8 * large) * _inside(region)
    canvas.blood += 0.4 * around
    canvas.overlay(KERATIN_YELLOW, 0.3 * TINT[canvas.tone] * around)
    canvas.overlay(CLOT, 0.95 * dots)
    return dots


def leukotrichia(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> np.ndarray:
    """Paint leukotrichia: white hairs that grow in the region, all roughly the same way."""
    if not region.any():
        return np.zeros(canvas.size, np.float32)
    length, width = min(canvas.px(0.9, 16), 1.2 * np.sqrt(region.sum())), canvas.px(0.014, 0.7)
    way = rng.uniform(0, 2 * np.pi) + 0.9 * noise.fractal(canvas.size, rng, canvas.px(3, 60), octaves=2)
    lines = [
        _curve(rng, (x - 0.5 * r * np.cos(a), y - 0.5 * r * np.sin(a)), a, r, 0.22, 0.5, width)
        for y, x, r in noise.blobs(region, rng, (0.6 * length, length), 0.45 * length)
        for a in [way[int(y), int(x)] + rng.normal(0, 0.13)]
    ]
    thick_part = [(points[: 1 + 2 * len(points) // 3], width) for points, width in lines]
    hair = _drawn(canvas.size, [(points, 0.6 * width) for points, width in lines] + thick_part) * _inside(region)
    shift = np.array([[1, 0, max(1.4 * width, 1.2)], [0, 1, max(1.4 * width, 1.2)]], np.float32)
    shadow = noise.soft(cv2.warpAffine(hair, shift, canvas.size[::-1]), max(0.7 * width, 0.6))
    roots = _discs(canvas.size, [(y, x, canvas.px(0.02, 1.0)) for (x, y), *_ in (points for points, _ in lines)])
    roots = roots * _inside(region)
    canvas.blood += 0.5 * roots
    canvas.height -= canvas.px(0.02, 0.5) * roots
    canvas.overlay(SHADOW, np.maximum(0.75 * shadow, 0.25 * roots))
    canvas.height += 0.8 * width * hair
    canvas.overlay(WHITE_HAIR, hair)
    return hair


def dermatoglyph_disruption(
    canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator
) -> np.ndarray:
    """Paint skin lines that stop at the region: the ridges of a palm, sole or finger, which run around it, or
    the fine lines of skin elsewhere. Those outside the region belong to the skin and not to what is covered."""
    if not region.any():
        return np.zeros(canvas.size, np.float32)
    period = canvas.px(*PERIOD)
    inside = noise.soft(region, 0.25 * period)
    distance = cv2.distanceTransform((region < 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    canvas.height -= 0.8 * inside * (canvas.height - noise.soft(canvas.height, canvas.px(0.08, 2)))
    outside = _skin_lines(canvas, region, distance, context, rng) * (1 - inside)
    rim = np.exp(-(((distance - 0.5 * period) / (0.8 * period)) ** 2)) * (region < 0.5)
    rough = noise.fractal(canvas.size, rng, 2 * period, octaves=3)
    canvas.height += period * (0.2 * outside + 0.35 * (rim + 0.6 * inside * rough))
    canvas.melanin -= 0.08 * outside + 0.15 * TONES[canvas.tone] * inside * (1 + rough)
    canvas.overlay(KERATIN_YELLOW, 0.2 * TINT[canvas.tone] * inside * (1 + 0.6 * rough))
    return inside


def dermatoglyphs(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> None:
    """Draw the lines that `dermatoglyph_disruption` draws outside the region, and let them run on inside.

    Ridges, which flow around the region, form whorls inside.
    """
    inside = (region >= 0.5).astype(np.uint8)
    outside, depth = (cv2.distanceTransform(part, cv2.DIST_L2, 5) for part in (1 - inside, inside))
    lines = _skin_lines(canvas, region, outside - np.minimum(depth, max(region.shape)), context, rng)
    canvas.height += 0.2 * canvas.px(*PERIOD) * lines
    canvas.melanin -= 0.08 * lines


def sun_damage(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> np.ndarray:
    """Paint sun damage: mottled pigment, lentigines, fine wrinkles, yellow elastosis and a few widened vessels."""
    inside = _faded(region, canvas.px(0.5, 6))
    mottled = noise.fractal(canvas.size, rng, canvas.px(0.9, 10))
    flush = noise.fractal(canvas.size, rng, canvas.px(1.8, 16), octaves=3)
    canvas.melanin += inside * (0.36 * mottled + 0.06)
    canvas.blood += inside * (0.3 * np.maximum(flush, 0) + 0.05)
    canvas.overlay(ELASTOSIS, 0.15 * TINT[canvas.tone] ** 2 * inside * (1 - 0.5 * flush))
    small, large = canvas.px(0.04, 1.3), canvas.px(0.24, 5)
    spots = _mostly_small(_spots(region, rng, (small, large), canvas.px(0.42, 9)), small, large)
    lentigines = _warped(_domes(canvas.size, spots, power=0.4), rng, canvas.px(0.14, 2.4)) * inside
    faint = 0.5 + 0.5 * noise.fractal(canvas.size, rng, canvas.px(0.5, 7), 2)  # each spot has its own strength
    canvas.melanin += (0.12 + 0.6 * faint**2) * lentigines
    pale = _spots(region, rng, (canvas.px(0.05, 1.3), canvas.px(0.12, 2.2)), canvas.px(1.2, 18))
    canvas.melanin -= 0.35 * TONES[canvas.tone] * _domes(canvas.size, pale, power=0.4) * inside
    canvas.height -= canvas.px(0.014, 0.6) * _wrinkles(canvas, rng) * inside
    canvas.blood += 0.5 * _vessels(canvas, region, rng, canvas.px(1.4, 30), canvas.px(0.5, 12)) * inside
    return inside


def hyperkeratosis(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> np.ndarray:
    """Paint hyperkeratosis: thick, rough, fissured horn, yellow to grey."""
    inside = noise.soft(region, canvas.px(0.03, 0.8))
    lump = canvas.px(0.2, 6)
    crust = noise.fractal(canvas.size, rng, 2.5 * lump)
    grain = noise.fractal(canvas.size, rng, 0.6 * lump, octaves=3)
    y, x = np.mgrid[: canvas.size[0], : canvas.size[1]].astype(np.float32)
    where = y + 0.8 * lump * crust, x + 0.8 * lump * noise.fractal(canvas.size, rng, 2.5 * lump)
    _, plate, _ = noise.cells(canvas.size, rng, 1.3 * lump, where)
    fissure = noise.step(0.3 * lump, 0, plate) * np.clip(0.3 + 1.5 * crust, 0.05, 1)
    thick = _faded(region, 0.8 * lump)
    canvas.height += inside * lump * (0.35 * thick + 0.3 * crust - 0.14 * fissure + 0.2 * grain)
    grey = np.clip(0.4 - 0.4 * crust - 0.5 * grain, 0, 1)[..., None]
    colour = (KERATIN_YELLOW * (1 - grey) + KERATIN_GREY * grey) * (1 - 0.4 * fissure[..., None])
    canvas.overlay(colour, inside * np.clip(0.85 + 0.2 * grain, 0, 1))
    canvas.gloss -= 0.1 * inside
    return inside


def _spots(
    region: np.ndarray, rng: np.random.Generator, radius: tuple[float, float], spacing: float, alone: float = 1.8
) -> list[noise.Blob]:
    """Scatter lesions in the region, at least one in every part of it; a narrow part outlines a single one.

    A part is narrow where it is less than `alone` of the largest lesions wide; its lesion fills it.
    """
    inside = (region >= 0.5).astype(np.uint8)
    if not inside.any():
        return []
    depth = cv2.distanceTransform(cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 5)
    depth = depth[1:-1, 1:-1]
    count, part = cv2.connectedComponents(inside)
    numbers = np.arange(1, count)
    deepest = np.array(ndimage.maximum(depth, part, numbers))
    single = deepest < alone * radius[1]
    shared = np.isin(part, numbers[~single]) & (depth > 0.8 * radius[1])
    crowded = 0.3 + 0.7 * noise.step(-0.5, 0.3, noise.fractal(region.shape, rng, 6 * spacing, octaves=2))
    spots = noise.blobs(shared * crowded, rng, radius, spacing)
    missed = np.setdiff1d(numbers, [part[int(y), int(x)] for y, x, _ in spots])
    middles = ndimage.maximum_position(depth, part, missed)
    filling = np.where(single, deepest, radius[1])[missed - 1]
    return spots + [(float(y), float(x), float(r)) for (y, x), r in zip(middles, filling, strict=True)]


def _mostly_small(spots: list[noise.Blob], small: float, large: float) -> list[noise.Blob]:
    """Shrink lesions between two radii so that few are large."""
    return [(y, x, small + (r - small) ** 2 / (large - small) if small < r < large else r) for y, x, r in spots]


def _domes(shape: tuple[int, int], spots: Iterable[noise.Blob], power: float = 1.0) -> np.ndarray:
    spots = list(spots)
    return noise.dome(shape, [(y, x) for y, x, _ in spots], [max(r, 1.0) for *_, r in spots], power)


def _discs(shape: tuple[int, int], spots: Iterable[noise.Blob]) -> np.ndarray:
    return np.clip(2.5 * _domes(shape, spots, power=0.7), 0, 1)


def _warped(image: np.ndarray, rng: np.random.Generator, px: float) -> np.ndarray:
    """Bend an image by up to `px` pixels, so that round things become irregular."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    y += px * noise.fractal(image.shape, rng, 6 * px, octaves=2)
    x += px * noise.fractal(image.shape, rng, 6 * px, octaves=2)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR)


def _faded(region: np.ndarray, px: float) -> np.ndarray:
    """Return the region with an edge that rises over `px` pixels inwards, less where the region is narrow."""
    inside = cv2.copyMakeBorder((region >= 0.5).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
    return noise.step(0, max(min(px, float(depth.max())), 1), depth)


def _inside(region: np.ndarray) -> np.ndarray:
    return noise.soft((region >= 0.5).astype(np.float32), 0.7)


def _curve(
    rng: np.random.Generator,
    start: tuple[float, float],
    heading: float,
    length: float,
    bend: float,
    waves: float,
    width: float,
) -> Line:
    """Walk from `start` (x, y) for `length` pixels; the heading swings by about `bend` radians, `waves` times."""
    along = np.linspace(0, 1, max(int(length / 2), 5))
    phase = rng.uniform(0, 2 * np.pi)
    turn = heading + bend * (rng.normal() * along + np.sin(2 * np.pi * waves * along + phase) - np.sin(phase))
    stride = length / along.size * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.concatenate([np.zeros((1, 2)), np.cumsum(stride, axis=0)]) + start, width


def _drawn(shape: tuple[int, int], lines: Iterable[Line]) -> np.ndarray:
    """Return antialiased lines, float32 (h, w) in [0, 1]."""
    large = np.zeros((shape[0] * UPSAMPLING, shape[1] * UPSAMPLING), np.uint8)
    for points, width in lines:
        corners = np.round((points + 0.5) * UPSAMPLING * 16).astype(np.int32)
        cv2.polylines(large, [corners], False, 255, max(round(width * UPSAMPLING), 1), cv2.LINE_AA, shift=4)
    return cv2.resize(large, shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _vessels(canvas: Canvas, region: np.ndarray, rng: np.random.Generator, spacing: float, length: float) -> np.ndarray:
    """Draw vessels that branch once or twice, `spacing` pixels apart, clipped to the region."""
    if not region.any():
        return np.zeros(canvas.size, np.float32)
    length, width = min(length, 1.2 * np.sqrt(region.sum())), canvas.px(0.022, 0.75)
    lines = []
    for y, x, reach in noise.blobs(region, rng, (0.6 * length, 1.4 * length), spacing):
        heading = rng.uniform(0, 2 * np.pi)
        root = x - 0.5 * reach * np.cos(heading), y - 0.5 * reach * np.sin(heading)
        stem, _ = _curve(rng, root, heading, reach, 0.5, rng.uniform(0.7, 1.6), width)
        lines.append((stem, width))
        for fork in rng.integers(1, len(stem) - 1, rng.integers(1, 3)):
            away = heading + rng.choice([-1, 1]) * rng.uniform(0.5, 1.1)
            lines.append(_curve(rng, stem[fork], away, rng.uniform(0.25, 0.5) * reach, 0.5, 1, 0.6 * width))
    flow = 0.8 + 0.2 * noise.fractal(canvas.size, rng, 0.4 * length, octaves=2)
    return _drawn(canvas.size, lines) * _inside(region) * flow


def _skin_lines(
    canvas: Canvas, region: np.ndarray, distance: np.ndarray, context: Context, rng: np.random.Generator
) -> np.ndarray:
    """Return the lines of the skin around a region, in [-1, 1], by the pixels' distance from it: 0, or less, inside."""
    lines = _ridges if context.site == RIDGED_SITE else _creases
    return lines(canvas, region, distance, rng)


def _ridges(canvas: Canvas, region: np.ndarray, distance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return parallel ridges in [-1, 1] that flow around the region and fade away from it."""
    across = _deflected(region, rng, canvas.scale) - np.minimum(distance, 0)
    near = noise.step(canvas.px(2.5, 60), canvas.px(0.5, 12), distance)
    near = near * noise.step(2.4, 1.5, np.hypot(*np.gradient(across)))
    return near * np.sin(2 * np.pi * across / canvas.px(*PERIOD))


def _creases(canvas: Canvas, region: np.ndarray, distance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the polygons of fine lines around the region, below 0 in a line, fading away from it."""
    cell = canvas.px(0.16, 5.5)
    y, x = np.mgrid[: canvas.size[0], : canvas.size[1]].astype(np.float32)
    bend = 0.5 * cell * noise.fractal(canvas.size, rng, 3 * cell, 2)
    _, border, _ = noise.cells(canvas.size, rng, cell, (y + bend, x - bend))
    near = 0.5 * noise.step(canvas.px(1.8, 36), canvas.px(0.1, 3), distance)
    return -near * noise.step(0.4 * cell, 0, border)


def _deflected(region: np.ndarray, rng: np.random.Generator, scale: float) -> np.ndarray:
    """Return a coordinate across the skin lines, in pixels, whose level lines flow around every part of the region."""
    h, w = region.shape
    y, x = np.mgrid[:h, :w].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    across = y * np.cos(angle) - x * np.sin(angle) + 0.35 * scale * noise.fractal(region.shape, rng, 3 * scale, 2)
    _, part, stats, _ = cv2.connectedComponentsWithStats((region >= 0.5).astype(np.uint8))
    result = across.copy()
    for number in 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA])[:12]:
        outside = cv2.distanceTransform((part != number).astype(np.uint8), cv2.DIST_L2, 5)
        reach = 0.9 * np.sqrt(stats[number, cv2.CC_STAT_AREA] / np.pi)
        middle = float(across[part == number].mean())
        result -= (across - middle) * np.exp(-outside / reach)
    return result


def _wrinkles(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Return fine creases that run two ways and cross, 1 in a crease and 0 beside it."""
    height, width = canvas.size
    reach, middle = int(np.hypot(height, width)) + 2, (width / 2, height / 2)
    angle, creases = rng.uniform(0, 180), np.zeros(canvas.size, np.float32)
    for turn, weight in ((0, 1.0), (rng.uniform(35, 70), 0.6)):
        waves = cv2.resize(noise.fractal((reach, reach // 7 + 1), rng, canvas.px(0.13, 6), 2), (reach, reach))
        rotation = cv2.getRotationMatrix2D((reach / 2, reach / 2), angle + turn, 1)
        rotation[:, 2] += np.array(middle) - reach / 2
        waves = cv2.warpAffine(waves, rotation, (width, height), borderMode=cv2.BORDER_REFLECT)
        creases = np.maximum(creases, weight * noise.step(0.16, 0, np.abs(waves)))
    return creases
