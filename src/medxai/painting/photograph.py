"""One case of DermXDB, from the raters' outlines to a painted photograph."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from medxai.data import dermxdb
from medxai.data.ontology import LOCALISED
from medxai.errors import DataError
from medxai.painting import PAINTERS, camera, landmarks, noise, skin
from medxai.painting.additional import RIDGED_SITE, dermatoglyphs
from medxai.painting.canvas import TONES, Canvas, Context
from medxai.painting.confounders import CONFOUNDERS, WATERMARKED_SOURCE

SMALLEST, LARGEST = 16, 4096

ORDER = (
    *("Sun damage", "Dermatoglyph disruption", "Patch", "Macule", "Plaque", "Papule", "Nodule", "Cyst", "Scar"),
    *("Scale", "Hyperkeratosis", "Closed comedo", "Open comedo", "Pustule", "Telangiectasia"),
    *("Thrombosed capillaries", "Leukotrichia"),
)
"""From the deep to the superficial: the order of painting."""

INSTEAD = {"Dermatoglyph disruption": dermatoglyphs}
"""What is painted where a characteristic is left out; nothing elsewhere."""

SITE_OF_TAG = {
    "Palmo-plantar distribution": "palm",
    "Acral distribution": "hand",
    "Periorificial": "face",
    "Seborrheic region": "face",
    "Exposed areas": "face",
    "Extensor sites": "limb",
}


@dataclass(frozen=True)
class Case:
    """What is to be painted: a line of `DermXDB.images`, and what `Context` says of it; an unknown tone is drawn."""

    name: str
    disease: str
    source: str
    tone: str
    age: str | None
    site: str | None
    shape: tuple[int, int]
    """(height, width) of the picture in pixels."""
    regions: Mapping[str, np.ndarray] = field(repr=False)
    """Consensus region of each characteristic, float32 (h, w) in [0, 1]; all of one shape."""
    attributes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Words that the raters added to each characteristic."""


@dataclass(frozen=True)
class Painting:
    """A painted photograph: `image` uint8 (h, w, 3) sRGB, and what painted which pixel, float32 (h, w) in [0, 1]."""

    image: np.ndarray = field(repr=False)
    truth: Mapping[str, np.ndarray] = field(repr=False)
    case: Case


def case(db: dermxdb.DermXDB, image: str, size: int | tuple[int, int]) -> Case:
    """Return the consensus of the dermatologists on one image.

    A characteristic counts if two of the raters with the right diagnosis outlined it, or half of them; of images that
    nobody diagnosed rightly, all raters count. Its region is the part of their fuzzy map, highest values first, that
    has the median area of their outlines. The size is a side in pixels, 16 to 4096, or (height, width); a square
    squeezes the outlines as resizing a photograph would.

    Raises
    ------
    ValueError
        If the image is not there or the size cannot be painted.
    DataError
        If the image has no reference diagnosis.
    """
    shape = _shape(size)
    if image not in db.images.index:
        raise ValueError(f"there is no image {image!r} in this data set")
    row = db.images.loc[image]
    if not isinstance(row["reference"], str):
        raise DataError(f"image {image!r} has no reference diagnosis, so nothing says what to paint")
    first = db.select([image])
    counted = "correct" if first["correct"].any() else "all"
    evaluations = first[first["correct"]] if counted == "correct" else first
    outlined = db.instances[db.instances["evaluation"].isin(evaluations.index)]
    rng = noise.generator(0, image, "case")
    regions, attributes = {}, {}
    for term in LOCALISED:
        own = outlined[outlined["characteristic"] == term]
        if own["evaluation"].nunique() >= min(2, len(evaluations) / 2) and len(own):
            regions[term] = _consensus(db, image, term, own["evaluation"].unique(), shape, counted)
            attributes[term] = _frequent(own["attributes"])
    tone = row["skin_tone"] if row["skin_tone"] in TONES else rng.choice(["light", "medium", "dark"], p=[0.6, 0.3, 0.1])
    age = row["age"] if isinstance(row["age"], str) else None
    site = _site(evaluations, "Dermatoglyph disruption" in regions, rng)
    return Case(image, row["reference"], row["source"], str(tone), age, site, shape, regions, attributes)


def paint(case: Case, *, seed: int = 0, confounders: Iterable[str] = ()) -> Painting:
    """Paint a case: same case, same seed, same pixels; the seed is that of everything that the annotations leave open.

    Confounders are any of "watermark", "ruler", "pen"; they change nothing else in the picture. The watermark appears
    only on pictures whose source is DermNetNZ.

    Raises
    ------
    DataError
        If a region is of a characteristic that is not in the ontology, empty, or of another shape than the picture.
    ValueError
        If there is no such confounder or the size cannot be painted.
    """
    _check(case, confounders)
    light, truth = _scene(case, seed)
    light, marks = _exposed(case, seed, light, light, confounders)
    return Painting(camera.develop(light, noise.generator(seed, case.name, "film")), truth | marks, case)


def repaint(case: Case, without: str, *, seed: int = 0, confounders: Iterable[str] = ()) -> Painting:
    """Paint a case without one of its characteristics, all else as `paint` has it: what if it were not there?

    The outline of the body, landmarks, exposure, confounders and noise stay those of the whole case. The skin below
    comes to light; where its lines were disrupted, they run on. Outside, no value moves by more than 1 of 255. That is
    further than 2.5 mm, and than 6 pixels, from both the outline of the characteristic and what it covered: so far can
    light and lens carry a change. A case stays the same without what it lacks.

    Raises
    ------
    DataError
        As `paint`.
    ValueError
        As `paint`, and if there is no such characteristic.
    """
    _check(case, confounders)
    if without not in PAINTERS:
        raise ValueError(f"characteristic is {without!r}: expected one of {', '.join(PAINTERS)}")
    if without not in case.regions:
        return paint(case, seed=seed, confounders=confounders)
    return _both(case, (without,), seed, confounders)[1]


def with_and_without(case: Case, *, seed: int = 0) -> tuple[Painting, Painting]:
    """Paint a case, and again without any of its characteristics, all else as `repaint` keeps it.

    Raises
    ------
    DataError, ValueError
        As `paint`.
    """
    _check(case, ())
    return _both(case, tuple(case.regions), seed, ())


def _both(case: Case, without: Sequence[str], seed: int, confounders: Iterable[str]) -> tuple[Painting, Painting]:
    """Paint a case with and without some of its characteristics."""
    whole, found = _scene(case, seed)
    rest, truth = _scene(case, seed, without)
    before, marks = _exposed(case, seed, whole, whole, confounders)
    after, marks_after = _exposed(case, seed, rest, whole, confounders)
    first = camera.develop(before, noise.generator(seed, case.name, "film"))
    second = camera.develop(after, noise.generator(seed, case.name, "film"), before)
    regions = {term: region for term, region in case.regions.items() if term not in without}
    return Painting(first, found | marks, case), Painting(second, truth | marks_after, replace(case, regions=regions))


def relight(case: Case, *, seed: int = 0, lamp: int = 1) -> Painting:
    """Paint a case under another lamp, all else as `paint` has it, exposure and noise included; lamp 0 is its own.

    Lamps are drawn at random, for every disease alike, so that what changes says nothing of the diagnosis.

    Raises
    ------
    DataError, ValueError
        As `paint`.
    """
    _check(case, ())
    own, _ = _scene(case, seed)
    light, truth = _scene(case, seed, lamp=lamp)
    light, _ = _exposed(case, seed, light, own, ())
    return Painting(camera.develop(light, noise.generator(seed, case.name, "film")), truth, case)


def everything(case: Case) -> np.ndarray:
    """Return the union of the regions of a case, float32 (h, w) in [0, 1]."""
    return np.maximum.reduce([np.zeros(case.shape, np.float32), *case.regions.values()])


def _scene(
    case: Case, seed: int, without: Sequence[str] = (), lamp: int = 0
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the light of body and cloth, linear RGB float32 (h, w, 3), and the truth; `without` some terms."""
    outlined = everything(case)
    inside = skin.silhouette(outlined, case.site, noise.generator(seed, case.name, "silhouette"))
    canvas = _body(case, seed, outlined, inside, without)
    within = noise.step(-0.004, 0.004, inside)
    drawn = noise.generator(seed, case.name, f"lamp {lamp}" if lamp else "lamp")
    light = canvas.radiance(camera.lamp(case.shape, inside, drawn))
    cloth = skin.background(case.shape, inside, noise.generator(seed, case.name, "background"))
    light = cloth + (light - cloth) * within[..., None]
    return light, {term: coverage * within for term, coverage in canvas.truth.items()}


def _body(case: Case, seed: int, outlined: np.ndarray, inside: np.ndarray, without: Sequence[str]) -> Canvas:
    """Paint skin and lesions; `outlined` and `inside` as `landmarks.add` takes them."""
    canvas = Canvas(case.shape, case.tone)
    plain = Context(case.disease, case.tone, case.age, case.site)
    skin.prepare(canvas, plain, noise.generator(seed, case.name, "skin"))
    landmarks.add(canvas, case.site, outlined, inside, noise.generator(seed, case.name, "landmark"))
    for term in ORDER:
        if term in case.regions:
            context = replace(plain, attributes=case.attributes.get(term, frozenset()))
            rng = noise.generator(seed, case.name, term)
            if term not in without:
                canvas.paint(term, PAINTERS[term], case.regions[term], context, rng)
            elif term in INSTEAD:
                INSTEAD[term](canvas, case.regions[term], context, rng)
    skin.hairs(canvas, plain, noise.generator(seed, case.name, "hairs"))
    return canvas


def _exposed(
    case: Case, seed: int, light: np.ndarray, metered: np.ndarray, confounders: Iterable[str]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the exposed light with confounders on it, and the truth of these."""
    light, marks = camera.expose(light, noise.generator(seed, case.name, "camera"), metered), {}
    for name in confounders:
        if name != "watermark" or case.source == WATERMARKED_SOURCE:
            marks[name] = CONFOUNDERS[name](light, everything(case), noise.generator(seed, case.name, name))
    return light, marks


def _shape(size: int | tuple[int, int]) -> tuple[int, int]:
    shape = (size, size) if isinstance(size, int | np.integer) else tuple(size)
    if len(shape) != 2 or not all(SMALLEST <= side <= LARGEST for side in shape):
        raise ValueError(f"size is {size}: expected sides of {SMALLEST} to {LARGEST} pixels")
    return int(shape[0]), int(shape[1])


def _check(case: Case, confounders: Iterable[str]) -> None:
    _shape(case.shape)
    for name in confounders:
        if name not in CONFOUNDERS:
            raise ValueError(f"confounder is {name!r}: expected one of {', '.join(CONFOUNDERS)}")
    for term, region in case.regions.items():
        if term not in PAINTERS:
            raise DataError(f"{case.name}: a characteristic is {term!r}: expected one of {', '.join(PAINTERS)}")
        if region.shape != case.shape:
            raise DataError(f"{case.name}: the region of {term} is {region.shape}: expected {case.shape}")
        if not region.max() > 0:
            raise DataError(f"{case.name}: the region of {term} is empty: expected an outline")


def _consensus(
    db: dermxdb.DermXDB, image: str, term: str, evaluations: np.ndarray, shape: tuple[int, int], raters: str
) -> np.ndarray:
    pixels = db.images.loc[image, "width"] * db.images.loc[image, "height"]
    area = np.median([db.packed_mask(int(row), term).unpack().sum() for row in evaluations]) / pixels
    votes = db.fuzzy_map(image, term, shape, raters)
    votes = votes + 0.05 * noise.soft(votes, min(shape) / 12)  # of equal votes, the inner ones first
    wanted = max(round(float(area) * votes.size), 1)
    least = np.partition(votes.ravel(), -wanted)[-wanted]
    return ((votes >= least) & (votes > 0)).astype(np.float32)


def _frequent(attributes: pd.Series) -> frozenset[str]:
    """Return the words that at least a third of the outlines carry."""
    counts = Counter(word for words in attributes for word in set(words))
    return frozenset(word for word, count in counts.items() if 3 * count >= len(attributes))


def _site(evaluations: pd.DataFrame, ridged: bool, rng: np.random.Generator) -> str:
    """Return where on the body this may be: by the raters' tags, at random where they say nothing.

    Where raters saw that ridges were interrupted, no tag or an acral one means palm, sole or finger.
    """
    drawn = RIDGED_SITE if ridged else str(rng.choice(skin.SITES))
    for tag, site in SITE_OF_TAG.items():
        if evaluations[tag].mean() >= 0.4:
            return RIDGED_SITE if ridged and site == "hand" else site
    return drawn
