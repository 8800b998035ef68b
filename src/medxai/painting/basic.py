"""Painters of the seven basic terms: macule, patch, papule, plaque, nodule, pustule, scale.

What each looks like follows the glossary of the International League of Dermatological Societies (Nast et al., British
Journal of Dermatology 174:1351, 2016), in our words in the book's glossary; sizes, colours and textures are ours.
A term with a size limit (macule, papule, nodule, pustule) fills a small outline with one lesion, and scatters lesions
of its size inside an outline that is too large for one, since dermatologists outline groups as well.
"""

import copy
import functools
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy import ndimage

from medxai.painting import noise
from medxai.painting.canvas import TONES, Canvas, Context, Painter, from_srgb

PUS = from_srgb(240, 224, 160)
HORN = from_srgb(200, 181, 150)
"""Keratin of a wart or a callus."""

WHITE_SCALE, YELLOW_SCALE, BROWN_SCALE = from_srgb(233, 232, 229), from_srgb(228, 203, 136), from_srgb(188, 157, 110)

DEPIGMENTED = 0.94
"""Share of the melanin that vitiligo takes away: the rest and the blood below make it ivory, not paper."""


@dataclass(frozen=True)
class Look:
    """How a lesion differs from the skin around it; blood, melanin and gloss are added to the canvas's layers."""

    blood: float = 0.6
    melanin: float = 0.0
    fade: float = 0.0
    """Share of the skin's melanin that is lost, in [0, 1]."""
    rough: float = 0.0
    """Keratin on its surface, in [0, 1]."""
    edge: float = 0.08
    """Width of its border in centimetres."""
    lift: float = 1.0
    """Factor of its height."""
    gloss: float = 0.05


RAISED = {
    "Acne": Look(0.75, 0.08, edge=0.3, gloss=0.04),
    "Actinic keratosis": Look(0.5, 0.10, rough=0.5, edge=0.12, lift=0.7),
    "Psoriasis": Look(1.0, 0.08, rough=0.1, edge=0.04, gloss=0.02),
    "Seborrheic dermatitis": Look(0.5, 0.0, edge=0.2, lift=0.6, gloss=0.15),
    "Viral warts": Look(0.06, 0.05, rough=1.0, edge=0.05, lift=1.2, gloss=0.0),
    "Vitiligo": Look(0.4, 0.0, fade=0.5, lift=0.7),
}
"""Papules, plaques and nodules by disease; `Look()` elsewhere."""

FLAT = {
    "Acne": Look(0.5, 0.12, edge=0.12, gloss=0.0),
    "Actinic keratosis": Look(0.5, 0.10, rough=0.3, edge=0.2, gloss=0.0),
    "Psoriasis": Look(0.75, 0.05, edge=0.06, gloss=0.0),
    "Seborrheic dermatitis": Look(0.5, 0.0, edge=0.25, gloss=0.15),
    "Viral warts": Look(0.05, 0.35, edge=0.08, gloss=0.0),
    "Vitiligo": Look(-0.09, 0.0, fade=DEPIGMENTED, edge=0.07, gloss=0.0),
}
"""Macules and patches by disease; `Look()` elsewhere."""


def look(base: Look, attributes: frozenset[str]) -> Look:
    """Return `base` changed by the words that dermatologists added.

    Of two words that contradict each other (raters differ) neither counts. Other words leave the look as it is.
    """
    coloured = attributes & {"Red", "Salmon-pink", "Skin-coloured"}
    if coloured == {"Red"}:
        base = replace(base, blood=max(base.blood, 0.7))
    elif coloured == {"Salmon-pink"}:
        base = replace(base, blood=0.45)
    elif coloured == {"Skin-coloured"}:
        base = replace(base, blood=min(base.blood, 0.12), melanin=0.0)
    if attributes & {"Hyperpigmented", "Hyper-pigmented"}:
        blood = base.blood if "Red" in attributes else min(base.blood, 0.2)
        base = replace(base, blood=blood, melanin=base.melanin + 0.4, fade=0.0)
    elif attributes & {"Depigmented"}:
        base = replace(base, fade=DEPIGMENTED, blood=min(base.blood, 0.0))
    elif attributes & {"Hypopigmented", "Hypo-pigmented", "White"}:
        base = replace(base, fade=max(base.fade, 0.55))
    if attributes & {"Hyperkeratotic", "Rough", "Gritty", "Hard"}:
        base = replace(base, rough=min(base.rough + 0.35, 1.0))
    edges = attributes & {"Well-circumscribed", "Poorly-circumscribed"}
    if len(edges) == 1:
        base = replace(base, edge=0.04 if "Well-circumscribed" in edges else 0.3)
    thickness = 1.3 * bool(attributes & {"Thick", "Indurated"}) or 0.6 * bool(attributes & {"Thin", "Flat-surface"})
    return replace(base, lift=base.lift * (thickness or 1.0), gloss=base.gloss + 0.2 * ("Greasy" in attributes))


def _cropped(painter: Painter) -> Painter:
    """Let `painter` work on the box around the region only, through views of the canvas, which is faster.

    Nothing is painted where the region is empty.
    """

    @functools.wraps(painter)
    def paint(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> np.ndarray:
        covered = np.zeros(region.shape, np.float32)
        rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
        if rows.size:
            margin = int(0.1 * canvas.scale) + 4
            box = tuple(slice(max(line[0] - margin, 0), line[-1] + margin + 1) for line in (rows, columns))
            part = copy.copy(canvas)
            for name, value in vars(canvas).items():
                if isinstance(value, np.ndarray):
                    setattr(part, name, value[box])
            covered[box] = painter(part, region[box], context, rng)
        return covered

    return paint


def _inside(canvas: Canvas, region: np.ndarray) -> np.ndarray:
    """Return the region as uint8 (h, w), without slits between the strokes of those who filled it in by hand, and
    widened to three pixels where it is thinner."""
    inside = (region >= 0.5 * max(float(region.max()), 1e-6)).astype(np.uint8)
    square = np.ones((3, 3), np.uint8)
    slit = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (1 + 2 * int(canvas.px(0.05, 1)),) * 2)
    inside = cv2.morphologyEx(inside, cv2.MORPH_CLOSE, slit)
    thin = inside & ~cv2.morphologyEx(inside, cv2.MORPH_OPEN, square, borderType=cv2.BORDER_REPLICATE)
    return inside | cv2.dilate(thin, square)


def _depth(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how deep each pixel lies inside, how deep its connected part is, both in pixels, and the part's number."""
    depth = np.minimum(cv2.distanceTransform(inside, cv2.DIST_L2, 5), np.float32(max(inside.shape)))
    count, parts = cv2.connectedComponents(inside)
    return depth, np.maximum(_highest(depth, parts, count), 1), parts


def _highest(field: np.ndarray, parts: np.ndarray, count: int) -> np.ndarray:
    """Return at each pixel the maximum of `field` over its part."""
    return np.asarray(ndimage.maximum(field, parts, np.arange(count)), dtype=np.float32)[parts]


def _spread(
    canvas: Canvas, region: np.ndarray, rng: np.random.Generator, edge: float, ragged: float, scallops: bool = False
) -> np.ndarray:
    """Return the coverage of one lesion that fills the region; `edge` and depth of its ragged border in centimetres.

    Scallops are convex bows, as if the lesion had grown together from round ones.
    """
    depth, deepest, _ = _depth(_inside(canvas, region))
    if scallops:
        cell = canvas.px(0.9)
        nearest, _, _ = noise.cells(region.shape, rng, cell, _warped(region.shape, rng, 0.6 * cell))
        bays = np.minimum(nearest / cell, 1) ** 2
        bays += 0.15 * np.maximum(noise.fractal(region.shape, rng, canvas.px(0.16), 2), 0)
    else:
        bays = noise.step(-0.3, 0.8, noise.fractal(region.shape, rng, canvas.px(0.8), 3))
    smooth = noise.soft(depth, canvas.px(0.02, 0.8)) * (depth > 0)
    width = np.clip(0.8 * deepest, 1, canvas.px(edge, 1.5))
    return noise.step(0, 1, (smooth - np.minimum(ragged * canvas.scale, 0.25 * deepest) * bays) / width)


def _lumps(
    canvas: Canvas,
    region: np.ndarray,
    rng: np.random.Generator,
    largest: float,
    radius: tuple[float, float],
    spacing: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return how central each pixel is in its lesion, 0 at the rim and 1 in the middle, and the lesion's radius (px).

    A part of the region that is at most `largest` deep, and not much longer than wide, is one lesion; any other part
    has lesions of `radius` scattered `spacing` apart, all in centimetres.
    """
    inside = _inside(canvas, region)
    depth, deepest, parts = _depth(inside)
    long = np.bincount(parts.ravel())[parts] > 2.2 * np.pi * deepest**2 + 9
    single = (depth > 0) & (deepest <= canvas.px(largest)) & ~long
    central = _middles(np.where(single, deepest, 0), parts)
    wide = (depth > 0) & ~single
    if wide.any():
        low, high = canvas.px(radius[0]), canvas.px(radius[1])
        fits = wide & (depth >= np.minimum(high, 0.45 * deepest))
        found = noise.blobs(fits.astype(np.float32), rng, (low, high), canvas.px(spacing, 6))
        gap = np.minimum(1.2 * canvas.px(spacing, 6), 3 * deepest)
        _fill(found, np.where(fits, parts, 0), depth, gap, high)
        radii = [min(blob[2], float(depth[int(blob[0]), int(blob[1])]) + 1) for blob in found]
        bumps = noise.dome(region.shape, [blob[:2] for blob in found], radii, power=2 / 3)
        central = np.maximum(central, np.where(wide, bumps * noise.step(0, 2, depth), 0))
        deepest = np.where(wide, np.minimum(deepest, np.float32(0.5 * (low + high))), deepest)
    rim = noise.step(0, np.maximum(0.1 * deepest, 1.5), depth)
    return _bent(central, rng, np.minimum(deepest, canvas.px(0.35))) * rim, deepest


def _fill(found: list[noise.Blob], parts: np.ndarray, depth: np.ndarray, gap: np.ndarray, radius: float) -> None:
    """Add lesions to `found` in the middle of parts, until no pixel is further than `gap` from a lesion.

    `parts` is 0 where no lesion is wanted. This fills strokes that a wide scatter has missed.
    """
    empty = np.ones(parts.shape, np.uint8)
    added = found
    while True:
        for y, x, _ in added:
            empty[int(y), int(x)] = 0
        bare = np.where(cv2.distanceTransform(empty, cv2.DIST_L2, 3) > gap, parts, 0)
        names = np.unique(bare[bare > 0])
        if not names.size:
            return
        added = [(float(y), float(x), radius) for y, x in ndimage.maximum_position(depth, bare, names)]
        found += added


def _middles(deepest: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Return 0 at the rim and 1 in the middle of each part, smooth as a blurred mask and hence without creases.

    Parts of like depth (half an octave) are blurred together; `deepest` is 0 where nothing is wanted.
    """
    central = np.zeros(deepest.shape, np.float32)
    half_octave = np.ceil(2 * np.log2(np.maximum(deepest, 1)))
    for level in np.unique(half_octave[deepest > 0]):
        chosen = ((deepest > 0) & (half_octave == level)).astype(np.float32)
        blurred = cv2.GaussianBlur(chosen, (0, 0), 0.5 * 2 ** (level / 2), borderType=cv2.BORDER_CONSTANT) * chosen
        highest = np.maximum(_highest(blurred, parts, int(parts.max()) + 1), 1e-6)
        central += chosen * np.clip((blurred / highest - 0.54) / 0.46, 0, 1)
    return central


def _bent(field: np.ndarray, rng: np.random.Generator, px: float | np.ndarray) -> np.ndarray:
    """Return `field` with its outlines bent by up to a fifth of `px`, so that no lesion is a perfect circle."""
    y, x = np.mgrid[: field.shape[0], : field.shape[1]].astype(np.float32)
    amount, cell = np.asarray(0.2 * px, np.float32), 1.5 * float(np.max(px))
    y, x = (way + amount * noise.fractal(field.shape, rng, cell, 2) for way in (y, x))
    return np.clip(cv2.remap(field, x, y, cv2.INTER_LINEAR), 0, 1)


def _colour(canvas: Canvas, cover: np.ndarray, wanted: Look, rng: np.random.Generator) -> None:
    """Change chromophores and gloss where `cover` says, a little unevenly."""
    uneven = 1 + 0.4 * noise.fractal(cover.shape, rng, canvas.px(0.4), 5)
    canvas.blood += wanted.blood * cover * (uneven if wanted.blood > 0 else 1)
    canvas.melanin += (wanted.melanin + 0.12 * TONES[canvas.tone] * max(wanted.blood, 0)) * cover * uneven
    lost = wanted.fade * (1 + (1 - wanted.fade) * (uneven - 1))  # what is left of the pigment is mottled
    canvas.melanin -= lost * cover * (TONES[canvas.tone] + canvas.melanin)
    canvas.gloss += wanted.gloss * cover


def _warped(shape: tuple[int, int], rng: np.random.Generator, px: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels' y and x, displaced by up to half of `px`, to make cells irregular."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return tuple(way + 0.5 * px * noise.fractal(shape, rng, px, 3) for way in (y, x))


def _warty(canvas: Canvas, cover: np.ndarray, rough: float, rng: np.random.Generator) -> None:
    """Raise crowded horny papillae with darker furrows between them."""
    cell = canvas.px(0.1)
    nearest, _, number = noise.cells(cover.shape, rng, cell, _warped(cover.shape, rng, cell))
    tall = rng.uniform(0.3, 1, int(number.max()) + 1).astype(np.float32)[number]
    papilla = tall * np.clip(1 - (nearest / (0.75 * cell)) ** 2, 0, 1)
    papilla = noise.soft(papilla, 0.6) + 0.2 * noise.fractal(cover.shape, rng, cell, 2)
    canvas.height += 0.045 * canvas.scale * rough * cover * papilla
    canvas.melanin += 0.3 * rough * cover * noise.step(0.4, 0.0, papilla)
    grey = 0.6 + 0.4 * noise.fractal(cover.shape, rng, canvas.px(0.5))
    canvas.overlay(HORN, rough * cover * np.clip(0.1 + 0.5 * papilla, 0, 1) * grey)


def _horny(canvas: Canvas, cover: np.ndarray, rough: float, rng: np.random.Generator, raised: bool = True) -> None:
    """Put gritty adherent keratin on parts of the surface."""
    grit = noise.fractal(cover.shape, rng, canvas.px(0.08), 2)
    crust = noise.step(0.0, 0.8, 0.6 * grit + 0.8 * noise.fractal(cover.shape, rng, canvas.px(0.6)))
    pale = (0.5 + 0.5 * noise.fractal(cover.shape, rng, canvas.px(0.4), 2))[..., None]
    canvas.overlay(BROWN_SCALE + pale * (WHITE_SCALE - BROWN_SCALE), 0.6 * rough * cover * crust)
    if raised:
        canvas.height += 0.04 * canvas.scale * rough * cover * crust * (0.6 + 0.6 * grit)


def _surface(canvas: Canvas, cover: np.ndarray, wanted: Look, context: Context, rng: np.random.Generator) -> None:
    if wanted.rough > 0:
        (_warty if context.disease == "Viral warts" else _horny)(canvas, cover, wanted.rough, rng)


@_cropped
def papule(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> np.ndarray:
    """Small raised lesion: a shaded dome, red in acne, warty in viral warts, flat-topped and red in psoriasis."""
    wanted = look(RAISED.get(context.disease, Look()), context.attributes)
    largest = 1.0 if context.disease == "Viral warts" else 0.6
    central, radius = _lumps(canvas, region, rng, largest, (0.15, 0.32), 0.62)
    cover = noise.step(0, 0.2 + 2 * min(wanted.edge, 0.3), central)
    dome = central * noise.step(0.05, 0.8, central) if context.disease == "Acne" else 0.8 * noise.step(0, 0.8, central)
    canvas.height += 0.3 * radius * wanted.lift * dome
    _colour(canvas, cover * (0.5 + 0.5 * central), wanted, rng)
    _surface(canvas, cover, wanted, context, rng)
    return cover


@_cropped
def nodule(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> np.ndarray:
    """Large solid lump: one broad dome that fades into the skin, deep red and tense in acne."""
    wanted = look(RAISED.get(context.disease, Look()), context.attributes)
    central, radius = _lumps(canvas, region, rng, 2.0, (0.7, 1.1), 2.4)
    cover = noise.step(0, 0.3 + min(wanted.edge, 0.5), central)
    canvas.height += 0.5 * radius * min(wanted.lift, 1.0) * noise.step(0, 1.05, central)
    _colour(canvas, cover * (0.6 + 0.4 * central), wanted, rng)
    _surface(canvas, cover, wanted, context, rng)
    return cover


@_cropped
def pustule(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> np.ndarray:
    """Small dome with a pale centre of pus, whiter or yellower as described, inside a red halo."""
    central, radius = _lumps(canvas, region, rng, 0.45, (0.16, 0.28), 0.62)
    cover = noise.step(0, 0.4, central)
    pus = noise.step(0.6, 0.95, central)
    canvas.height += radius * (0.26 * noise.step(0, 1, central) + 0.12 * pus)
    canvas.blood += 0.9 * cover
    canvas.melanin -= 0.25 * TONES[canvas.tone] * cover
    canvas.gloss += 0.2 * pus
    said = context.attributes & {"White", "Yellow"}
    colour = PUS + 0.6 * (WHITE_SCALE - PUS) if said == {"White"} else PUS
    canvas.overlay(colour, 0.85 * pus)
    return cover


@_cropped
def plaque(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> np.ndarray:
    """Raised, flat-topped area with a defined edge: red in psoriasis, thin and greasy in seborrheic dermatitis,
    rough in actinic keratosis, warty in viral warts."""
    wanted = look(RAISED.get(context.disease, Look()), context.attributes)
    cover = _spread(canvas, region, rng, wanted.edge, 0.15)
    plateau = noise.soft(cover, canvas.px(0.05, 0.7)) * (1 + 0.15 * noise.fractal(region.shape, rng, canvas.px(0.6)))
    canvas.height += 0.085 * canvas.scale * wanted.lift * plateau
    canvas.height += 0.012 * canvas.scale * cover * noise.fractal(region.shape, rng, canvas.px(0.12), 2)
    _colour(canvas, cover, wanted, rng)
    _surface(canvas, cover, wanted, context, rng)
    return cover


@_cropped
def patch(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> np.ndarray:
    """Flat, differently coloured area: chalk-white with a scalloped border in vitiligo, else red with a faint one."""
    wanted = look(FLAT.get(context.disease, Look()), context.attributes)
    cover = _spread(canvas, region, rng, wanted.edge, 0.5, scallops=wanted.fade > 0)
    if "Normal-pigmentation-island" in context.attributes:
        cover = cover * (1 - _islands(canvas, cover, rng))
    _colour(canvas, cover, wanted, rng)
    _horny(canvas, cover, wanted.rough, rng, raised=False)
    return cover


def _islands(canvas: Canvas, cover: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return where pigment has come back around the hairs of a patch: crowds of small soft dots, 0 near the border."""
    margin = int(canvas.px(0.2))
    room = cv2.erode(cover, np.ones((2 * margin + 1, 2 * margin + 1), np.uint8))
    crowd = noise.step(0.0, 0.5, noise.fractal(cover.shape, rng, canvas.px(1.6), 2))
    small, large = canvas.px(0.03, 0.9), canvas.px(0.07, 1.6)
    found = noise.blobs(room * (0.06 + 0.8 * crowd), rng, (small, large), canvas.px(0.2, 4))
    dots = noise.dome(cover.shape, [blob[:2] for blob in found], [1.5 * blob[2] for blob in found])
    dots = _bent(dots, rng, canvas.px(0.25)) * (0.75 + 0.25 * noise.fractal(cover.shape, rng, canvas.px(0.3), 2))
    return noise.step(0.1, 0.9, dots)


@_cropped
def macule(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> np.ndarray:
    """Flat, differently coloured spot: depigmented in vitiligo, red or brown elsewhere."""
    wanted = look(FLAT.get(context.disease, Look()), context.attributes)
    central, _ = _lumps(canvas, region, rng, 0.6, (0.12, 0.38), 0.7)
    cover = noise.step(0, 0.2 + 2 * min(wanted.edge, 0.3), central)
    _colour(canvas, cover, wanted, rng)
    return cover


@dataclass(frozen=True)
class Flakes:
    """How scale looks; size and thickness are of a flake, in centimetres, and gloss is added to the canvas's."""

    colour: np.ndarray
    """Linear RGB (3,)."""
    size: float
    thick: float
    alpha: float
    """How much it hides, in [0, 1]."""
    gloss: float
    share: float
    """How much of the area has flakes, in [0, 1]."""
    grit: float
    """From 0, smooth lamellae with gaps between them, to 1, one gritty adherent crust."""


FINE = Flakes(WHITE_SCALE, 0.12, 0.008, 0.5, 0.05, 0.45, 0.3)
SCALES = {
    "Psoriasis": Flakes(WHITE_SCALE, 0.3, 0.017, 0.85, 0.2, 0.54, 0.2),
    "Seborrheic dermatitis": Flakes(0.8 * YELLOW_SCALE + 0.2 * WHITE_SCALE, 0.16, 0.012, 0.75, 0.3, 0.46, 0.3),
    "Actinic keratosis": Flakes(BROWN_SCALE, 0.16, 0.026, 0.68, 0.0, 0.5, 0.9),
}
"""Scale by disease; `FINE` elsewhere."""


def flakes(context: Context) -> Flakes:
    """Return how scale looks by disease, changed by the words that dermatologists added."""
    kind = SCALES.get(context.disease, FINE)
    words = context.attributes
    colours = words & {"White", "Yellow"}
    if len(colours) == 1:
        wanted = WHITE_SCALE if "White" in colours else YELLOW_SCALE
        kind = replace(kind, colour=kind.colour + 0.4 * (wanted - kind.colour))
    coarse, fine = bool(words & {"Thick", "Hyperkeratotic", "Hard"}), bool(words & {"Fine", "Thin"})
    if coarse != fine:
        factor = 1.25 if coarse else 0.65
        kind = replace(kind, size=kind.size * factor, thick=kind.thick * factor, alpha=min(kind.alpha * factor, 0.9))
    return replace(kind, gloss=kind.gloss + 0.2 * ("Greasy" in words))


@_cropped
def scale(canvas: Canvas, region: np.ndarray, context: Context, rng: np.random.Generator) -> np.ndarray:
    """Flakes of horny skin: silvery lamellae in psoriasis, greasy yellow ones in seborrheic dermatitis, a rough
    adherent yellow-brown crust in actinic keratosis, fine white flakes elsewhere."""
    kind = flakes(context)
    inside = _spread(canvas, region, rng, 0.12, 0.5)
    crowd = noise.fractal(region.shape, rng, canvas.px(max(3 * kind.size, 0.5)), 3)
    canvas.blood += 0.2 * inside
    cover = np.zeros(region.shape, np.float32)
    for part, share in ((1.0, kind.share), (0.55, 0.85 * kind.share)):
        layer = replace(kind, size=part * kind.size, thick=part * kind.thick, share=share)
        cover = np.maximum(cover, _lamellae(canvas, inside, layer, crowd, rng))
    return cover


def _lamellae(
    canvas: Canvas, inside: np.ndarray, kind: Flakes, crowd: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Paint one layer of flakes, most where `crowd` is high; each is tilted, and thick or thin, by chance."""
    size = canvas.px(kind.size, 3.5)
    y, x = _warped(inside.shape, rng, 1.4 * size)
    _, border, number = noise.cells(inside.shape, rng, size, (y, x))
    lot = rng.uniform(-1, 1, (4, int(number.max()) + 1)).astype(np.float32)[:, number]
    grit = noise.fractal(inside.shape, rng, canvas.px(0.08), 2)
    loose = 1 - kind.grit
    there = noise.step(-0.25, 0.25, 2 * kind.share - 1 + 0.7 * crowd + 0.6 * loose * lot[0] + 0.3 * grit)
    curl = 0.3 * size * np.maximum(lot[3] + 0.5 * grit, 0)  # some flakes curl away from their neighbours
    lying = noise.step(0, 1, (border - curl) / (0.3 * size))
    powder = (0.45 + 0.3 * grit) * loose
    flake = inside * there * np.maximum(kind.grit + loose * lying, powder)
    tilt = _tilt(number, y, x, lot[1], lot[2]) / size * loose
    canvas.height += kind.thick * canvas.scale * flake * (1 + 0.9 * tilt + (0.3 + 0.6 * kind.grit) * grit)
    canvas.gloss += kind.gloss * flake * (0.6 + 0.4 * lot[1])
    pale = kind.grit * (0.5 + 0.5 * noise.fractal(inside.shape, rng, canvas.px(0.3), 2))
    colour = kind.colour + 0.35 * pale[..., None] * (WHITE_SCALE - kind.colour)
    colour = colour * (0.84 + 0.12 * lot[2] + 0.08 * grit)[..., None]
    canvas.overlay(colour, kind.alpha * flake * (0.72 + 0.28 * (loose * lot[0] + kind.grit * grit)))
    return flake


def _tilt(number: np.ndarray, y: np.ndarray, x: np.ndarray, along_y: np.ndarray, along_x: np.ndarray) -> np.ndarray:
    """Return planes that slope by `along_y` and `along_x` within each cell, 0 in its middle."""
    flat = number.ravel()
    count = np.maximum(np.bincount(flat), 1)
    middle_y, middle_x = (np.bincount(flat, way.ravel()) / count for way in (y, x))
    tilt = along_y * (y - middle_y[number]) + along_x * (x - middle_x[number])
    return tilt.astype(np.float32)
