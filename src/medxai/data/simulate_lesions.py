"""Where simulated lesions lie, and how a rater outlines them.

Lengths are in units of the image's short side, the origin is the upper left corner. A lesion is one row of an array:
x, y, radius, stretch, angle, then amplitude and phase of `HARMONICS` waves of its outline.
"""

import cv2
import numpy as np
from scipy.special import ndtri

HARMONICS = np.arange(2, 6)
ANGLES = np.linspace(0, 2 * np.pi, 28, endpoint=False)
CANVAS = 512
"""Long side of the grid on which the strokes of a rater are merged, in cells."""
MARGIN = 0.06
"""How far the grid reaches beyond the image, in long sides: brush strokes cross the edge of real images too."""


def _lesions(rng: np.random.Generator, centres: np.ndarray, number: float, radius: float) -> np.ndarray:
    """Scatter a random number (median `number`) of lesions of median `radius` about (x, y, spread) `centres`."""
    count = max(1, round(number * np.exp(0.6 * rng.standard_normal())))
    chosen = centres[rng.integers(len(centres), size=count)]
    lesions = np.empty((count, 5 + 2 * len(HARMONICS)))
    lesions[:, :2] = chosen[:, :2] + chosen[:, 2:] * rng.standard_normal((count, 2))
    lesions[:, 2] = radius * np.exp(0.45 * rng.standard_normal(count) + 0.25 * rng.standard_normal())
    lesions[:, 3] = np.exp(0.2 * rng.standard_normal(count))
    lesions[:, 4] = rng.uniform(0, np.pi, count)
    lesions[:, 5:9] = 0.25 * rng.standard_normal((count, 4)) / HARMONICS
    lesions[:, 9:] = rng.uniform(0, 2 * np.pi, (count, 4))
    return lesions


def _mirrored(rng: np.random.Generator, lesions: np.ndarray, midline: float) -> np.ndarray:
    """Add to each lesion a like one on the other side of a vertical midline."""
    other = lesions.copy()
    other[:, 0] = 2 * midline - other[:, 0]
    other[:, :2] += 0.03 * rng.standard_normal((len(other), 2))
    other[:, 2] *= np.exp(0.25 * rng.standard_normal(len(other)))
    other[:, 4] = -other[:, 4]
    other[:, 5:9] += 0.1 * rng.standard_normal((len(other), 4)) / HARMONICS
    other[:, 9:] = HARMONICS * np.pi - other[:, 9:]
    return np.concatenate([lesions, other])


def _centres(rng: np.random.Generator, disease: str, width: float, height: float) -> np.ndarray:
    """Places (x, y, spread) that the disease prefers on the part of the body that this image shows."""
    middle = np.array([width, height]) * rng.uniform(0.42, 0.58, 2)
    if disease == "Acne":  # clusters on the ellipse of a face
        number = rng.integers(2, 5)
        angle, distance = rng.uniform(0, 2 * np.pi, number), np.sqrt(rng.uniform(0, 1, number))
        at = middle + 0.32 * distance[:, None] * np.stack([width * np.cos(angle), height * np.sin(angle)], 1)
        spread = 0.11
    elif disease == "Psoriasis":  # along the extensor side of a limb
        direction = rng.uniform(0, np.pi)
        along = np.linspace(-0.42, 0.42, 6) + 0.03 * rng.standard_normal(6)
        at = middle + along[:, None] * np.array([width * np.cos(direction), height * np.sin(direction)])
        spread = 0.11
    elif disease == "Seborrheic dermatitis":  # one half of brows, nasolabial folds, hairline and chin
        anchors = np.array([[0.16, -0.20], [0.14, 0.08], [0.22, -0.36], [0.05, 0.28], [0.06, -0.08]])
        at = middle + anchors[rng.permutation(5)[: rng.integers(1, 4)]]
        spread = 0.03
    elif disease == "Vitiligo":  # one half of a symmetric pattern
        at = middle + np.array([width, height]) * rng.uniform([0.08, -0.4], [0.42, 0.4], (3, 2))
        spread = 0.10
    elif disease == "Actinic keratosis":  # anywhere on a scalp, forehead, forearm
        at = middle + np.array([width, height]) * rng.uniform(-0.3, 0.3, (3, 2))
        spread = 0.12
    else:  # warts: close together on a finger or a sole
        at = middle + np.array([width, height]) * rng.uniform(-0.2, 0.2, (2, 2))
        spread = 0.12
    return np.column_stack([at, np.full(len(at), spread)])


class Layout:
    """The lesions of one image, whose width and height are in short sides, by the parameters of the simulation."""

    def __init__(self, rng: np.random.Generator, disease: str, width: float, height: float, parameters: dict) -> None:
        self._rng, self._size, self._outlines = rng, np.array([width, height]), parameters["outlines"]
        self._centres = _centres(rng, disease, width, height)
        self.primary = _lesions(rng, self._centres, **parameters["lesions"][disease])
        if disease in ("Seborrheic dermatitis", "Vitiligo"):
            half = self.primary[: (len(self.primary) + 1) // 2]
            self.primary = _mirrored(rng, half, self._centres[:, 0].min() - rng.uniform(0.05, 0.15))
        self.primary[:, :2] = np.clip(self.primary[:, :2], 0, self._size)

    def lesions(self, characteristic: str) -> np.ndarray:
        """Return the lesions that show `characteristic`, shape (n, 13), n >= 1; drawn anew on each call."""
        rng, outline = self._rng, self._outlines[characteristic]
        if outline["of"] == "primary":
            some = rng.permutation(len(self.primary))[: max(1, round(outline["share"] * len(self.primary)))]
            lesions = self.primary[some].copy()
            lesions[:, 2] = np.minimum(lesions[:, 2] * outline["scale"], outline.get("largest", np.inf))
        elif outline["of"] == "inside":
            hosts = np.column_stack([self.primary[:, :2], 0.4 * self.primary[:, 2]])
            radius = outline["radius"] * np.median(self.primary[:, 2])
            lesions = _lesions(rng, hosts, outline["number"] * len(hosts), radius)
        elif outline["of"] == "scatter":
            lesions = _lesions(rng, self._centres, outline["number"], outline["radius"])
        else:
            place = np.append(self._centres[:, :2].mean(0), 0.05)
            lesions = _lesions(rng, place[None], 1, outline["radius"])[:1]
        lesions[:, :2] = np.clip(lesions[:, :2], 0, self._size)
        return lesions


def drawn(lesions: np.ndarray, outline: dict, parameters: dict, habit: np.ndarray, sight: np.ndarray) -> np.ndarray:
    """Return the strokes with which a rater outlines `lesions`, as closed curves, shape (n, 28, 2).

    Parameters
    ----------
    lesions
        Shape (n, 13).
    outline
        How the characteristic is outlined (an entry of `outlines`).
    parameters
        The simulation's parameters (`region_brush` and `wobble` are used).
    habit
        Three standard normals of this rater, image and characteristic: brush, size, region instead of lesions.
    sight
        A standard normal per lesion, how well the rater saw it, and 8 more for their hand; shape (n, 9).
    """
    seen = sight[:, 0] > ndtri(outline["miss"]) if outline["miss"] else np.ones(len(lesions), bool)
    if not seen.any():
        seen[sight[:, 0].argmax()] = True
    lesions, hand = lesions[seen], sight[seen, 1:]
    brush = outline["brush"] * np.exp(outline["brush_sd"] * habit[0])
    if outline["region"] and habit[2] < ndtri(outline["region"]):
        brush += parameters["region_brush"] * np.exp(0.4 * habit[0])
    amplitude = lesions[:, 5:9, None] + parameters["wobble"] * hand[:, :4, None] / HARMONICS[:, None]
    wave = 1 + (amplitude * np.cos(HARMONICS[:, None] * ANGLES + lesions[:, 9:, None])).sum(1)
    radius = lesions[:, 2:3] * np.exp(outline["size_sd"] * habit[1]) * np.clip(wave, 0.3, None)
    x = radius * lesions[:, 3:4] * np.cos(ANGLES) + brush * np.cos(ANGLES)
    y = radius / lesions[:, 3:4] * np.sin(ANGLES) + brush * np.sin(ANGLES)
    cos, sin = np.cos(lesions[:, 4:5]), np.sin(lesions[:, 4:5])
    centre = lesions[:, :2] + 0.15 * (lesions[:, 2:3] + 0.01) * hand[:, 4:6]
    return np.stack([centre[:, :1] + cos * x - sin * y, centre[:, 1:] + sin * x + cos * y], axis=-1)


def merged(strokes: np.ndarray, width: int, height: int) -> list[np.ndarray]:
    """Return the outlines of the union of `strokes` as polygons in pixels of a `width` x `height` image.

    Overlapping strokes must be merged, since all paths of an annotation are filled by the even-odd rule. Polygons
    may reach a little beyond the image.
    """
    long = max(width, height)
    margin = round(MARGIN * CANVAS)
    shape = (round(height / long * CANVAS) + 2 * margin, round(width / long * CANVAS) + 2 * margin)
    canvas = np.zeros(shape, np.uint8)
    for stroke in np.rint(strokes * (min(width, height) / long * CANVAS) + margin).astype(np.int32):
        cv2.fillPoly(canvas, [stroke], 1)
    contours, _ = cv2.findContours(canvas, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    polygons = [cv2.approxPolyDP(contour, 0.8, True)[:, 0] for contour in contours]
    return [(polygon - margin) * (long / CANVAS) for polygon in polygons if len(polygon) > 2]
