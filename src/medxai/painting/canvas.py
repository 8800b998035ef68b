"""The canvas that the painters paint on: chromophores, relief and opaque material of a patch of skin."""

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from medxai.painting import noise

TONES = {"light": 0.22, "medium": 0.7, "dark": 1.7}
"""Melanin of healthy skin by tone, in the units of `skin_colour`."""

HEALTHY_BLOOD = 0.25
"""Blood of healthy skin, in the units of `skin_colour`."""

BLOODLESS = np.array([0.88, 0.78, 0.68], dtype=np.float32)
"""Linear RGB of skin without melanin and blood: collagen."""

MELANIN_ABSORPTION = np.array([0.80, 1.22, 1.62], dtype=np.float32)
BLOOD_ABSORPTION = np.array([0.16, 1.05, 0.85], dtype=np.float32)

FIELD_CM = 10.0
"""What the shorter side of a photograph shows, in centimetres, unless told otherwise."""


@dataclass(frozen=True)
class Context:
    """What a painter may know beside the region: who the patient is, and how the lesion was described."""

    disease: str
    """Reference diagnosis, as in `medxai.data.ontology.DISEASES`."""
    tone: str = "light"
    """Or "medium" or "dark"."""
    age: str | None = None
    """Or "young", "adult" or "elderly"."""
    site: str | None = None
    """Or "face", "hand" (its back), "palm", "limb" or "trunk"."""
    attributes: frozenset[str] = frozenset()
    """Words that dermatologists added to this characteristic, such as "Red" or "Well-circumscribed"."""


@dataclass(frozen=True)
class Light:
    """One lamp: `direction` towards it (x right, y down, z to the camera), `ambient` share, `field` of its strength."""

    direction: tuple[float, float, float] = (-0.45, -0.55, 0.7)
    ambient: float = 0.4
    field: np.ndarray | float = 1.0


Painter = Callable[["Canvas", np.ndarray, Context, np.random.Generator], np.ndarray]
"""Paints one characteristic inside a region, float32 (h, w) in [0, 1], and returns what it covered, likewise."""


def skin_colour(melanin: np.ndarray, blood: np.ndarray) -> np.ndarray:
    """Return linear RGB of skin, float32 (h, w, 3) in [0, 1], by its melanin and blood (Beer-Lambert), float (h, w).

    Melanin is 0 in vitiligo, 0.22 in light, 0.7 in medium, 1.7 in dark skin; blood 0.25 in healthy skin, 1 in erythema,
    2 in a port-wine red. Negative counts as 0.
    """
    absorbed = np.maximum(melanin, 0)[..., None] * MELANIN_ABSORPTION
    absorbed = absorbed + np.maximum(blood, 0)[..., None] * BLOOD_ABSORPTION
    return (BLOODLESS * np.exp(-absorbed)).astype(np.float32)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Encode linear RGB, float in [0, 1], as sRGB, float32 in [0, 1] (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)


def from_srgb(*rgb: int) -> np.ndarray:
    """Decode one sRGB colour of three bytes to linear RGB, float32 (3,)."""
    value = np.array(rgb, dtype=np.float32) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


@dataclass
class Canvas:
    """Layers of a patch of skin; painters change them in place, `finish` makes the picture.

    Attributes
    ----------
    melanin, blood
        float32 (h, w): what is added to healthy skin of that tone (erythema: +0.3 faint, +1 vivid; depigmented:
        melanin far below 0; brown: +0.5).
    height
        float32 (h, w): relief in pixels, seen by its shading.
    gloss
        float32 (h, w) in [0, 1]: how much of the lamp it mirrors.
    """

    size: tuple[int, int]
    """(height, width) in pixels."""
    tone: str = "light"
    """Or "medium" or "dark"."""
    scale: float = 0.0
    """Pixels per centimetre; by default the shorter side shows 10 cm."""
    truth: dict[str, np.ndarray] = field(default_factory=dict)
    """What each characteristic covered, float32 (h, w) in [0, 1]."""

    def __post_init__(self) -> None:
        if self.tone not in TONES:
            raise ValueError(f"tone is {self.tone!r}: expected one of {', '.join(TONES)}")
        self.scale = self.scale or min(self.size) / FIELD_CM
        self.melanin, self.blood, self.height = (np.zeros(self.size, np.float32) for _ in range(3))
        self.gloss = np.full(self.size, 0.12, np.float32)
        self._opaque = np.zeros((*self.size, 3), np.float32)
        self._clear = np.ones(self.size, np.float32)

    def px(self, centimetres: float, least: float = 3.0) -> float:
        """Return a length in pixels, never less than `least`, so that small lesions stay visible."""
        return max(centimetres * self.scale, least)

    def overlay(self, rgb: np.ndarray, alpha: np.ndarray) -> None:
        """Put opaque material on the skin: linear RGB (3,) or (h, w, 3), alpha float (h, w) in [0, 1]."""
        alpha = np.clip(alpha, 0, 1).astype(np.float32)
        self._opaque += (np.asarray(rgb, np.float32) - self._opaque) * alpha[..., None]
        self._clear *= 1 - alpha

    def paint(
        self, term: str, painter: Painter, region: np.ndarray, context: Context, rng: np.random.Generator
    ) -> None:
        """Let `painter` paint `term` inside `region`, and keep what it covered in `truth`."""
        self.truth[term] = np.clip(painter(self, region.astype(np.float32), context, rng), 0, 1).astype(np.float32)

    def albedo(self) -> np.ndarray:
        """Return the colour of the surface before light, linear RGB float32 (h, w, 3) in [0, 1]."""
        skin = skin_colour(TONES[self.tone] + self.melanin, HEALTHY_BLOOD + self.blood)
        return skin * self._clear[..., None] + self._opaque

    def radiance(self, light: Light) -> np.ndarray:
        """Return what reaches the camera, linear RGB float32 (h, w, 3), 1 is white in full light."""
        direction = np.array(light.direction, np.float32) / np.linalg.norm(light.direction)
        slope_x, slope_y = cv2.Sobel(self.height, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(self.height, cv2.CV_32F, 0, 1) / 8
        length = np.sqrt(slope_x**2 + slope_y**2 + 1)
        facing = (direction[2] - slope_x * direction[0] - slope_y * direction[1]) / length
        lambert = np.maximum(facing, 0) / direction[2]
        hollow = noise.soft(self.height, 0.08 * self.scale) - self.height
        shade = (light.ambient + (1 - light.ambient) * lambert) * np.clip(1 - 0.12 * hollow, 0.55, 1.15)
        half = direction + np.array([0, 0, 1], np.float32)
        half /= np.linalg.norm(half)
        mirrored = np.maximum(half[2] - slope_x * half[0] - slope_y * half[1], 0) / length
        specular = 0.9 * self.gloss * mirrored**60
        field = np.asarray(light.field, np.float32)
        field = field[..., None] if field.ndim == 2 else field
        return ((self.albedo() * shade[..., None] + specular[..., None]) * field).astype(np.float32)

    def finish(self, light: Light | None = None) -> np.ndarray:
        """Return the picture without camera effects, sRGB uint8 (h, w, 3)."""
        return np.round(255 * to_srgb(self.radiance(light or Light()))).astype(np.uint8)
