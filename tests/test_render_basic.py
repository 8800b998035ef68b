"""The painters of the basic terms do to the skin what the terms' definitions say."""

import numpy as np
import pytest
from scipy.ndimage import find_objects, label, maximum

from medxai.data.ontology import BASIC_TERMS, DISEASES
from medxai.painting import PAINTERS
from medxai.painting.canvas import TONES, Canvas, Context

SIZE = 120
RAISED = ("Nodule", "Papule", "Plaque", "Pustule")
LAYERS = ("melanin", "blood", "height", "gloss")


def disc(radius: float, size: int = SIZE, centre: tuple[float, float] | None = None) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    middle_y, middle_x = centre or ((size - 1) / 2, (size - 1) / 2)
    return (np.hypot(y - middle_y, x - middle_x) <= radius).astype(np.float32)


def painted(
    term: str, region: np.ndarray, disease: str = "Psoriasis", tone: str = "light", words: tuple[str, ...] = (), seed=3
) -> tuple[Canvas, np.ndarray]:
    """Paint on plain skin at 26 pixels per centimetre, as in a picture of 260 pixels that shows 10 cm."""
    canvas = Canvas(region.shape, tone, scale=26)
    context = Context(disease, tone, attributes=frozenset(words))
    return canvas, PAINTERS[term](canvas, region, context, np.random.default_rng(seed))


def weighted(field: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """Mean over the pixels, by coverage, of a (h, w) or (h, w, 3) field."""
    return np.tensordot(cover, field, axes=2) / cover.sum()


def lightness(canvas: Canvas) -> np.ndarray:
    return canvas.albedo() @ np.array([0.2126, 0.7152, 0.0722])


def yellowness(rgb: np.ndarray) -> float:
    return float(rgb[:2].mean() / rgb[2])


@pytest.mark.parametrize("disease", [*DISEASES, "Other-disease"])
@pytest.mark.parametrize("term", BASIC_TERMS)
def test_paints_inside_the_region_only(term: str, disease: str) -> None:
    region = disc(40)
    canvas, cover = painted(term, region, disease)
    assert cover.dtype == np.float32
    assert cover.shape == region.shape
    assert cover.min() >= 0
    assert cover.max() <= 1
    assert cover.max() > 0.5
    assert cover[disc(43) == 0].max() == 0
    plain = Canvas(region.shape, "light", scale=26)
    far = disc(48) == 0
    for layer in LAYERS:
        np.testing.assert_array_equal(getattr(canvas, layer)[far], getattr(plain, layer)[far])
    np.testing.assert_array_equal(canvas.albedo()[far], plain.albedo()[far])
    assert np.abs(canvas.albedo() - plain.albedo()).sum(axis=2)[cover > 0.8].mean() > 0.02


@pytest.mark.parametrize("term", ["Patch", "Plaque"])
def test_a_term_without_a_size_limit_fills_most_of_the_region(term: str) -> None:
    region = disc(45)
    _, cover = painted(term, region)
    assert cover[region > 0].mean() > 0.5


@pytest.mark.parametrize("term", ["Macule", "Papule", "Pustule"])
def test_a_small_outline_is_one_lesion_and_a_large_one_a_group(term: str) -> None:
    _, one = painted(term, disc(7), "Acne")
    _, group = painted(term, disc(55), "Acne")
    assert label(one > 0.3)[1] == 1
    assert one[SIZE // 2, SIZE // 2] > 0.9
    assert label(group > 0.3)[1] >= 5


@pytest.mark.parametrize("term", ["Macule", "Papule", "Pustule"])
def test_a_long_outline_is_a_row_of_round_lesions(term: str) -> None:
    strokes = np.zeros((SIZE, SIZE), np.float32)
    strokes[20:29, 10:110] = strokes[50:56, 30:60] = strokes[80:110, 90:96] = 1
    _, cover = painted(term, strokes, "Acne")
    lesions, count = label(cover > 0.3)
    assert count >= 5
    for rows, columns in find_objects(lesions):
        assert columns.stop - columns.start < 30
        assert rows.stop - rows.start < 25
    strokes_of, number = label(strokes)
    assert maximum(cover, strokes_of, np.arange(1, number + 1)).min() > 0.3


def test_slits_between_the_strokes_of_a_hand_are_no_border() -> None:
    region = disc(45)
    region[:, ::6] = 0
    canvas, cover = painted("Plaque", region)
    assert cover[disc(30) > 0].min() > 0.95
    assert canvas.height[disc(30) > 0].min() > 0.5


@pytest.mark.parametrize("term", BASIC_TERMS)
def test_same_seed_same_picture(term: str) -> None:
    region = disc(40)
    first, cover = painted(term, region, "Acne", seed=1)
    again, same = painted(term, region, "Acne", seed=1)
    other, _ = painted(term, region, "Acne", seed=2)
    np.testing.assert_array_equal(cover, same)
    np.testing.assert_array_equal(first.finish(), again.finish())
    assert (first.finish() != other.finish()).any()


@pytest.mark.parametrize("disease", DISEASES)
@pytest.mark.parametrize("term", RAISED)
def test_raised_terms_are_raised(term: str, disease: str) -> None:
    canvas, cover = painted(term, disc(12), disease)
    assert canvas.height[cover > 0.9].mean() > 0.6
    assert canvas.height[cover > 0.9].mean() > canvas.height[disc(16) == 0].mean() + 0.6


@pytest.mark.parametrize("disease", DISEASES)
@pytest.mark.parametrize("term", ["Macule", "Patch"])
def test_flat_terms_leave_the_relief_alone(term: str, disease: str) -> None:
    canvas, cover = painted(term, disc(40), disease, words=("Rough",))
    assert cover.max() > 0.9
    assert not canvas.height.any()


def test_a_papule_is_a_dome_and_a_nodule_a_larger_one() -> None:
    small, _ = painted("Papule", disc(8), "Acne")
    large, _ = painted("Nodule", disc(30), "Acne")
    for canvas, radius in ((small, 8), (large, 30)):
        rings = [canvas.height[disc(r + radius / 4) > disc(r)].mean() for r in radius * np.array([0, 0.35, 0.7])]
        assert rings == sorted(rings, reverse=True)
        assert rings[0] > 2 * rings[2]
    assert large.height.max() > 2 * small.height.max()


def test_a_plaque_has_a_flat_top_and_a_nodule_has_not() -> None:
    plaque, _ = painted("Plaque", disc(40))
    nodule, _ = painted("Nodule", disc(40))
    centre, shoulder = disc(12) > 0, disc(29) > disc(24)
    assert plaque.height[shoulder].mean() == pytest.approx(plaque.height[centre].mean(), rel=0.2)
    assert nodule.height[shoulder].mean() < 0.8 * nodule.height[centre].mean()


@pytest.mark.parametrize("tone", TONES)
@pytest.mark.parametrize("term", ["Macule", "Patch"])
def test_vitiligo_takes_the_melanin_away(term: str, tone: str) -> None:
    canvas, cover = painted(term, disc(40), "Vitiligo", tone)
    left = 1 + canvas.melanin[cover == 1] / TONES[tone]
    assert 0 < left.min() <= left.max() < 0.1
    assert left.std() > 0.005  # mottled
    assert lightness(canvas)[cover == 1].min() > lightness(canvas)[disc(44) == 0].max()


def test_pigment_comes_back_in_small_dots() -> None:
    whole, _ = painted("Patch", disc(50), "Vitiligo", "dark")
    _, less = painted("Patch", disc(50), "Vitiligo", "dark", ("Normal-pigmentation-island",))
    dots, count = label((less < 0.5) & (disc(38) > 0))
    areas = np.bincount(dots.ravel())[1:]
    assert count >= 25
    assert np.median(areas) < np.pi * (0.12 * whole.scale) ** 2  # radius below 1.2 mm


def test_islands_of_normal_skin_are_left_in_a_patch() -> None:
    whole, cover = painted("Patch", disc(50), "Vitiligo", "dark")
    holed, less = painted("Patch", disc(50), "Vitiligo", "dark", ("Normal-pigmentation-island",))
    inner = disc(30) > 0
    assert cover[inner].min() > 0.95
    assert less[inner].min() < 0.05
    assert (holed.melanin[inner] > -0.1).any()
    assert (whole.melanin[inner] < -1).all()
    _, tiny = painted("Patch", disc(4), "Vitiligo", words=("Normal-pigmentation-island",))
    assert tiny.max() > 0.9


@pytest.mark.parametrize(("term", "disease"), [("Patch", "Seborrheic dermatitis"), ("Plaque", "Psoriasis")])
def test_inflamed_skin_has_more_blood(term: str, disease: str) -> None:
    canvas, cover = painted(term, disc(40), disease)
    assert weighted(canvas.blood, cover) > 0.3
    dark, _ = painted(term, disc(40), disease, "dark")
    assert weighted(lightness(dark), cover) < lightness(dark)[0, 0]


@pytest.mark.parametrize("tone", TONES)
def test_a_pustule_has_a_pale_centre_in_a_red_rim(tone: str) -> None:
    canvas, cover = painted("Pustule", disc(10), "Acne", tone)
    light = lightness(canvas)
    centre, rim = light[disc(2) > 0].mean(), light[disc(8) > disc(6.5)].mean()
    assert centre > rim + 0.2
    assert canvas.blood[cover > 0.5].min() > 0.3
    assert rim < light[0, 0]
    assert yellowness(canvas.albedo()[SIZE // 2, SIZE // 2]) > 1.3
    white, _ = painted("Pustule", disc(10), "Acne", tone, ("White",))
    assert yellowness(white.albedo()[SIZE // 2, SIZE // 2]) < yellowness(canvas.albedo()[SIZE // 2, SIZE // 2])


def test_scale_is_silvery_in_psoriasis_greasy_and_yellow_in_seborrheic_dermatitis_brown_in_keratosis() -> None:
    colour, gloss, light = {}, {}, {}
    for disease in ("Psoriasis", "Seborrheic dermatitis", "Actinic keratosis"):
        canvas, cover = painted("Scale", disc(40), disease, "dark")
        opaque = cover > 0.8
        colour[disease] = yellowness(canvas.albedo()[opaque].mean(axis=0))
        light[disease] = lightness(canvas)[opaque].mean()
        gloss[disease] = canvas.gloss[opaque].mean()
    assert colour["Psoriasis"] < 1.2 < colour["Seborrheic dermatitis"]
    assert colour["Psoriasis"] < colour["Actinic keratosis"]
    assert light["Psoriasis"] > 1.3 * max(light["Seborrheic dermatitis"], light["Actinic keratosis"])
    assert gloss["Seborrheic dermatitis"] > gloss["Actinic keratosis"]


@pytest.mark.parametrize("disease", ["Psoriasis", "Seborrheic dermatitis", "Actinic keratosis"])
@pytest.mark.parametrize("words", [(), ("Thick",), ("Fine",)])
def test_scale_is_broken_and_leaves_a_rim(disease: str, words: tuple[str, ...]) -> None:
    covers = [painted("Scale", disc(45), disease, words=words, seed=seed)[1] for seed in range(8)]
    inner, rim = (
        np.mean([c[disc(38) > 0].mean() for c in covers]),
        np.mean([c[disc(45) > disc(43)].mean() for c in covers]),
    )
    assert 0.2 < inner < 0.8
    assert rim < 0.5 * inner
    assert all((cover[disc(38) > 0] < 0.1).mean() > 0.02 for cover in covers)


def test_words_change_the_scale() -> None:
    def mean_colour(*words: str) -> np.ndarray:
        canvas, cover = painted("Scale", disc(40), "Seborrheic dermatitis", "dark", words)
        return weighted(canvas.albedo(), cover)

    assert yellowness(mean_colour("White")) < yellowness(mean_colour()) < yellowness(mean_colour("Yellow"))
    np.testing.assert_array_equal(mean_colour("White", "Yellow"), mean_colour())
    assert mean_colour("Thick").sum() > mean_colour("Fine").sum()


def test_words_change_colour_and_border() -> None:
    def plaque(*words: str) -> tuple[Canvas, np.ndarray]:
        return painted("Plaque", disc(45), "Psoriasis", words=words)

    red, skin = plaque("Red")[0].blood.max(), plaque("Skin-coloured")[0].blood.max()
    assert skin < 0.3 * red
    assert plaque("Red", "Skin-coloured")[0].blood.max() == plaque()[0].blood.max()
    assert plaque("Hyperpigmented")[0].melanin.mean() > plaque()[0].melanin.mean() + 0.05

    def border(cover: np.ndarray) -> int:
        return int(((cover > 0.1) & (cover < 0.9)).sum())

    assert border(plaque("Poorly-circumscribed")[1]) > 2 * border(plaque("Well-circumscribed")[1])


def test_warts_are_rough_and_acne_is_smooth() -> None:
    def roughness(disease: str) -> float:
        canvas, _ = painted("Papule", disc(14), disease)
        return float(np.abs(np.diff(canvas.height, 3, axis=0))[disc(9)[:-3] > 0].mean())

    assert roughness("Viral warts") > 4 * roughness("Acne")


@pytest.mark.parametrize("disease", ["Acne", "Viral warts", "Vitiligo"])
@pytest.mark.parametrize("term", BASIC_TERMS)
@pytest.mark.parametrize(
    "region",
    [
        disc(2.5, centre=(60, 60)),
        disc(2.5, centre=(0, 119)),
        disc(0.5, centre=(60, 60)),
        np.ones((SIZE, SIZE), np.float32),
        np.ones((7, 200), np.float32),
        0.4 * disc(20),
    ],
    ids=["five pixels", "in the corner", "one pixel", "everything", "a strip", "faint"],
)
def test_any_region_is_painted(region: np.ndarray, term: str, disease: str) -> None:
    canvas, cover = painted(term, region, disease, "medium", ("Normal-pigmentation-island",))
    assert np.isfinite(canvas.albedo()).all()
    for layer in LAYERS:
        assert np.isfinite(getattr(canvas, layer)).all()
    if term != "Scale":
        assert cover.max() > 0.3
    assert cover.min() >= 0


@pytest.mark.parametrize("term", BASIC_TERMS)
def test_nothing_is_painted_in_an_empty_region(term: str) -> None:
    canvas, cover = painted(term, np.zeros((40, 60), np.float32))
    plain = Canvas((40, 60), "light", scale=26)
    assert not cover.any()
    for layer in LAYERS:
        np.testing.assert_array_equal(getattr(canvas, layer), getattr(plain, layer))
    np.testing.assert_array_equal(canvas.albedo(), plain.albedo())
