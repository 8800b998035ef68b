"""What is photographed: people with a lesion, the same people without it, and things that are no skin.

Everything is drawn from a seed. A person is painted as a case of the book's painter (`medxai.painting.photograph`), of
which no dermatologist has seen anything: the lesion is an outline in the middle of the scene and one of `LESIONS`.
"""

from dataclasses import dataclass

import numpy as np

from medxai.painting import noise, skin
from medxai.painting.canvas import TONES, from_srgb, to_srgb
from medxai.painting.faults import SHARE
from medxai.painting.photograph import Case, with_and_without

LESIONS = (
    ("Psoriasis", ("Plaque", "Scale")),
    ("Acne", ("Papule", "Pustule")),
    ("Acne", ("Papule", "Closed comedo", "Open comedo")),
    ("Vitiligo", ("Patch",)),
    ("Viral warts", ("Papule", "Dermatoglyph disruption")),
    ("Seborrheic dermatitis", ("Patch", "Scale")),
    ("Actinic keratosis", ("Plaque", "Sun damage")),
)
"""Diseases, as the painter knows them, with the characteristics that are painted together."""
TONE_SHARES = {"light": 0.5, "medium": 0.3, "dark": 0.2}
"""Ours: more dark skin than in the data set of the paper, so that scores can be told apart by it."""


@dataclass(frozen=True)
class Person:
    """One scene of a person: pictures float32 (side, side, 3) sRGB in [0, 1]."""

    tone: str
    with_lesion: np.ndarray
    without: np.ndarray

    def scene(self, visible: float) -> np.ndarray:
        """Return the scene with a lesion that is as visible as this, in [0, 1]; 0 is healthy skin."""
        return self.without + np.float32(visible) * (self.with_lesion - self.without)


def person(number: int, side: int, *, seed: int = 0) -> Person:
    """Paint a person twice, with and without the lesion, all else alike; the same number, the same pixels."""
    rng = noise.generator(seed, f"person {number}", "who")
    tone = str(rng.choice(list(TONES), p=[TONE_SHARES[name] for name in TONES]))
    disease, terms = LESIONS[rng.integers(len(LESIONS))]
    site = str(rng.choice(skin.SITES))
    region = _outline(side, rng)
    attributes = {term: frozenset({"Red"} if disease != "Vitiligo" else ()) for term in terms}
    name, regions = f"person {number}", dict.fromkeys(terms, region)
    case = Case(name, disease, "drawn", tone, "adult", site, (side, side), regions, attributes)
    both = (painting.image.astype(np.float32) / 255 for painting in with_and_without(case, seed=seed))
    return Person(tone, *both)


def _outline(side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw an outline in the middle, of a quarter to a half of what a good photograph shows, float32 (side, side)."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    angle, stretch = rng.uniform(0, np.pi), rng.uniform(0.75, 1.3)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    radius = SHARE * rng.uniform(0.27, 0.5)
    edge = np.hypot(along * stretch, across / stretch) - 0.25 * radius * noise.fractal((side, side), rng, side / 6, 2)
    return (edge < radius).astype(np.float32)


def thing(number: int, side: int, *, seed: int = 0) -> np.ndarray:
    """Draw one of `THINGS`, float32 (side, side, 3) sRGB in [0, 1]; the same number, the same pixels."""
    rng = noise.generator(seed, f"thing {number}", "what")
    painter = list(THINGS.values())[rng.integers(len(THINGS))]
    light = painter(side, rng) * (1 + 0.25 * noise.fractal((side, side), rng, side, 2))[..., None]
    return to_srgb(np.clip(light, 0, 1))


def _colour(rng: np.random.Generator, low: int = 20, high: int = 235) -> np.ndarray:
    return from_srgb(*rng.integers(low, high, 3))


def cloth(side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw cloth with folds, linear RGB, float32 (side, side, 3)."""
    return skin.background((side, side), np.full((side, side), -1, np.float32), rng)


def keyboard(side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw keys in rows, as `cloth`."""
    key = side / rng.uniform(5, 11)
    y, x = np.mgrid[:side, :side].astype(np.float32) + rng.uniform(0, side)
    row = np.floor(y / key)
    down, across = abs(y / key % 1 - 0.5), abs((x / key + 0.3 * row) % 1 - 0.5)
    cap = noise.step(0.46, 0.38, np.maximum(down, across))[..., None]
    letter = noise.step(0.14, 0.09, np.hypot(down, across))[..., None]
    dark, light = (_colour(rng, *ends) for ends in ((10, 70), (90, 240)))
    return (dark * (1 - cap) + light * cap * (1 - 0.8 * letter)).astype(np.float32)


def room(side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw wall, floor and some furniture, as `cloth`."""
    wall, floor = _colour(rng, 120), _colour(rng)
    picture = np.tile(wall, (side, side, 1)).astype(np.float32)
    picture[round(side * rng.uniform(0.5, 0.9)) :] = floor
    for _ in range(rng.integers(2, 6)):
        top, left = rng.integers(0, side, 2)
        height, width = rng.integers(side // 8, side // 2, 2)
        picture[top : top + height, left : left + width] = _colour(rng)
    return noise.soft(picture, 0.6)


def wood(side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a board of the colours of skin, as `cloth`: what colour alone mistakes for skin."""
    y = np.mgrid[:side, :side][0].astype(np.float32)
    bend = noise.fractal((side, side), rng, side / 1.5, 2) * side / 8
    grain = np.sin((y + bend) * 2 * np.pi / (side / rng.uniform(6, 20)))[..., None]
    plank = (np.minimum(y % (side / 2), 2)[..., None] > 1) * 0.5 + 0.5
    tint = from_srgb(*(np.array([190, 140, 100]) + rng.integers(-50, 50)))
    return (tint * (1 + 0.18 * grain) * plank).astype(np.float32)


def page(side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw lines of print on paper, as `cloth`."""
    line = side / rng.uniform(8, 18)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    words = noise.fractal((side, side), rng, line, 1)[(y // line).astype(int), x.astype(int)] > -0.1
    ink = (words & (y % line < 0.45 * line) & (x > 0.08 * side) & (x < 0.92 * side))[..., None]
    return np.where(ink, np.float32(0.03), _colour(rng, 200, 255)).astype(np.float32)


def tiles(side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw tiles with joints, as `cloth`."""
    tile = side / rng.uniform(2, 6)
    y, x = np.mgrid[:side, :side].astype(np.float32)
    joint = (np.minimum(y % tile, x % tile) < 2)[..., None]
    shade = 1 + 0.1 * noise.fractal((side, side), rng, tile, 1)[..., None]
    return (np.where(joint, _colour(rng), _colour(rng)) * shade).astype(np.float32)


THINGS = {"cloth": cloth, "keyboard": keyboard, "room": room, "wood": wood, "page": page, "tiles": tiles}
"""What is no skin."""


def with_skin(picture: np.ndarray, body: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Let a strip of skin into a picture without any, of a share of its area, from one of its sides."""
    side = len(picture)
    turns, strip = rng.integers(4), round(share * side)
    mixed = np.rot90(picture, turns).copy()
    mixed[:, :strip] = np.rot90(body, turns)[:side, :strip]
    return np.rot90(mixed, -turns).copy()
