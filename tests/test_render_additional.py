"""Painters of the additional terms: each by the definition of its term, on skin of every tone."""

import cv2
import numpy as np
import pytest

from medxai.data.ontology import ADDITIONAL_TERMS, EXTRA
from medxai.painting import PAINTERS
from medxai.painting.additional import dermatoglyphs
from medxai.painting.canvas import TONES, Canvas, Context, Light

TERMS = (*ADDITIONAL_TERMS, EXTRA)
LIGHT = Light()
SIZE = 160
FAR_PX = 6
"""A painted edge may reach this far beyond the outline."""


def disc(radius: float, size: int = SIZE) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - size // 2
    return (np.hypot(y, x) <= radius).astype(np.float32)


def painted(
    term: str, region: np.ndarray, tone: str = "light", seed: int = 0, scale: float = 40, site: str | None = "palm"
) -> Canvas:
    canvas = Canvas(region.shape, tone, scale=scale)
    canvas.paint(term, PAINTERS[term], region, Context("Acne", tone, site=site), np.random.default_rng(seed))
    return canvas


def luminance(canvas: Canvas) -> np.ndarray:
    return canvas.albedo() @ np.array([0.2126, 0.7152, 0.0722])


def parts(coverage: np.ndarray) -> np.ndarray:
    """Areas in pixels of the connected parts of a coverage."""
    return cv2.connectedComponentsWithStats((coverage > 0.5).astype(np.uint8))[2][1:, cv2.CC_STAT_AREA]


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("tone", TONES)
def test_coverage_is_in_the_region(term, tone):
    region = disc(50)
    coverage = painted(term, region, tone).truth[term]
    outside = cv2.distanceTransform((region == 0).astype(np.uint8), cv2.DIST_L2, 5)
    assert coverage.dtype == np.float32
    assert coverage.shape == region.shape
    assert coverage.min() == 0
    assert 0.8 < coverage.max() <= 1
    assert coverage[outside > FAR_PX].max() < 1e-3


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("tone", TONES)
def test_the_picture_changes_where_the_coverage_says_so(term, tone):
    canvas = painted(term, disc(50), tone)
    coverage, blank = canvas.truth[term], Canvas(canvas.size, tone, scale=40)
    change = np.abs(canvas.radiance(LIGHT) - blank.radiance(LIGHT)).sum(axis=2) / blank.radiance(LIGHT).sum(axis=2)
    assert change[coverage > 0.5].mean() > 0.05
    if term != "Dermatoglyph disruption":  # there the lines around belong to the skin and are not what is covered
        assert change[coverage > 0.5].mean() > 5 * change[coverage == 0].mean()


@pytest.mark.parametrize("term", TERMS)
def test_same_seed_same_pixels(term):
    first, again, other = (painted(term, disc(50), seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.finish(), again.finish())
    np.testing.assert_array_equal(first.truth[term], again.truth[term])
    assert (first.finish() != other.finish()).any()


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("size", [(260, 260), (40, 90)])
def test_a_region_of_five_pixels_is_painted(term, size):
    region = np.zeros(size, np.float32)
    region[20:25, 30:35] = 1
    canvas = painted(term, region, scale=26)
    coverage = canvas.truth[term]
    assert coverage[20:25, 30:35].max() > 0.3
    assert coverage[:, 50:].max() == 0
    assert np.isfinite(canvas.radiance(LIGHT)).all()


@pytest.mark.parametrize("term", TERMS)
def test_a_region_of_the_whole_picture_is_painted(term):
    canvas = painted(term, np.ones((120, 200), np.float32), scale=12)
    ys, xs = np.nonzero(canvas.truth[term] > 0.5)
    assert np.ptp(ys) > 20
    assert np.ptp(xs) > 20
    assert np.isfinite(canvas.radiance(LIGHT)).all()


@pytest.mark.parametrize("term", TERMS)
def test_an_empty_region_stays_unpainted(term):
    region = np.zeros((60, 80), np.float32)
    canvas = painted(term, region)
    assert canvas.truth[term].max() == 0
    np.testing.assert_array_equal(canvas.finish(), Canvas(region.shape, "light", scale=40).finish())


@pytest.mark.parametrize("term", ["Closed comedo", "Open comedo", "Cyst", "Scar", "Thrombosed capillaries"])
def test_every_outlined_part_has_its_lesion(term):
    region = np.zeros((200, 200), np.float32)
    places = [(30, 30, 3), (30, 120, 12), (120, 40, 30), (150, 150, 6)]
    for y, x, radius in places:
        cv2.circle(region, (x, y), radius, 1, -1)
    coverage = painted(term, region, scale=20).truth[term]
    for y, x, radius in places:
        assert coverage[y - radius : y + radius + 1, x - radius : x + radius + 1].max() > 0.4


@pytest.mark.parametrize("tone", TONES)
def test_open_comedones_are_dark_plugs(tone):
    canvas = painted("Open comedo", disc(60), tone)
    coverage, light = canvas.truth["Open comedo"], luminance(canvas)
    around = light[coverage == 0].mean()
    assert parts(coverage).size > 3
    assert parts(coverage).max() < np.pi * (0.2 * canvas.scale) ** 2 * 3
    assert np.percentile(light[coverage > 0.9], 20) < 0.35 * around


@pytest.mark.parametrize("tone", TONES)
def test_closed_comedones_are_raised_and_not_darker(tone):
    canvas = painted("Closed comedo", disc(60), tone)
    coverage, light = canvas.truth["Closed comedo"], luminance(canvas)
    assert parts(coverage).size > 3
    assert canvas.height[coverage > 0.9].min() > 0
    assert light[coverage > 0.5].min() >= light[coverage == 0].mean()
    assert np.sqrt(np.median(parts(coverage)) / np.pi) * 2 < 0.3 * canvas.scale  # diameter below 3 mm


@pytest.mark.parametrize("tone", TONES)
def test_a_cyst_is_a_large_smooth_yellowish_dome(tone):
    region = disc(40)
    canvas, skin = painted("Cyst", region, tone), Canvas(region.shape, tone, scale=40).albedo()[0, 0]
    coverage = canvas.truth["Cyst"]
    assert parts(coverage).max() > 0.6 * region.sum()
    assert canvas.height[80 - 8 : 80 + 8, 80 - 8 : 80 + 8].max() > 0.2 * 40
    ring = (disc(20) - disc(14)) > 0
    red, _, blue = np.median(canvas.albedo()[ring], axis=0)
    assert red > skin[0]
    assert (red - blue) > (skin[0] - skin[2])


def test_a_cyst_smooths_the_skin_over_it():
    region = disc(40)
    canvas = Canvas(region.shape, scale=40)
    rough = np.random.default_rng(1).normal(0, 1, region.shape).astype(np.float32)
    canvas.height += rough
    canvas.paint("Cyst", PAINTERS["Cyst"], region, Context("Acne"), np.random.default_rng(0))
    fine = canvas.height - cv2.GaussianBlur(canvas.height, (0, 0), 2)
    assert fine[disc(25) == 1].std() < 0.4 * fine[disc(55) == 0].std()


@pytest.mark.parametrize("tone", TONES)
def test_scars_are_mostly_pits_and_paler(tone):
    canvas = painted("Scar", disc(70), tone)
    coverage = canvas.truth["Scar"]
    height = canvas.height[coverage > 0.8]
    assert (height < 0).mean() > 0.5
    assert height.min() < -0.05 * canvas.scale
    assert np.median(luminance(canvas)[coverage > 0.8]) > luminance(canvas)[coverage == 0].mean()


def test_some_scars_are_hypertrophic():
    canvas = painted("Scar", np.ones((400, 400), np.float32))
    assert 0.02 < (canvas.height[canvas.truth["Scar"] > 0.8] > 0).mean() < 0.5


@pytest.mark.parametrize("tone", TONES)
def test_leukotrichia_is_thin_and_bright(tone):
    region = disc(60)
    canvas = painted("Leukotrichia", region, tone)
    coverage = canvas.truth["Leukotrichia"]
    assert 0.01 < coverage.sum() / region.sum() < 0.3
    assert luminance(canvas)[coverage > 0.9].min() > 0.7 > luminance(canvas)[0, 0]
    assert thickness(coverage) < 3


@pytest.mark.parametrize("tone", TONES)
def test_white_hairs_are_seen_on_a_white_patch(tone):
    region = disc(60)
    canvas = Canvas(region.shape, tone, scale=40)
    canvas.paint("Patch", PAINTERS["Patch"], disc(75), Context("Vitiligo", tone), np.random.default_rng(1))
    canvas.paint("Leukotrichia", PAINTERS["Leukotrichia"], region, Context("Vitiligo", tone), np.random.default_rng(0))
    light = canvas.radiance(LIGHT) @ np.array([0.2126, 0.7152, 0.0722])
    hair = canvas.truth["Leukotrichia"] > 0.7
    beside = (cv2.dilate(hair.astype(np.uint8), np.ones((5, 5))) > 0) & (canvas.truth["Leukotrichia"] < 0.1)
    assert light[hair].mean() > 1.35 * light[beside & (disc(58) == 1)].mean()


@pytest.mark.parametrize("tone", TONES)
def test_telangiectasia_is_red_and_much_longer_than_wide(tone):
    canvas = painted("Telangiectasia", disc(60), tone)
    coverage = canvas.truth["Telangiectasia"]
    share_of_red = canvas.albedo()[..., 0] / canvas.albedo().sum(axis=2)
    assert share_of_red[coverage > 0.6].mean() > share_of_red[0, 0] + 0.08
    area = (coverage > 0.4).sum()
    assert area / thickness(coverage) > 20 * thickness(coverage)


def thickness(coverage: np.ndarray) -> float:
    """Width of the widest line in pixels: twice the greatest depth of 90% of the pixels."""
    inside = (coverage > 0.4).astype(np.uint8)
    return 2 * float(np.percentile(cv2.distanceTransform(inside, cv2.DIST_L2, 5)[inside > 0], 90))


@pytest.mark.parametrize("tone", TONES)
def test_thrombosed_capillaries_are_many_small_dark_dots(tone):
    canvas = painted("Thrombosed capillaries", disc(60), tone)
    coverage = canvas.truth["Thrombosed capillaries"]
    assert parts(coverage).size > 10
    assert np.median(parts(coverage)) < np.pi * (0.06 * canvas.scale) ** 2
    albedo = canvas.albedo()[coverage > 0.95]
    assert luminance(canvas)[coverage > 0.95].max() < 0.5 * luminance(canvas)[coverage == 0].mean()
    assert (albedo[:, 0] > 1.5 * albedo[:, 1]).all()


def test_skin_lines_stop_at_the_region():
    region = disc(45)
    canvas = painted("Dermatoglyph disruption", region)
    coverage = canvas.truth["Dermatoglyph disruption"]
    assert coverage[disc(40) == 1].min() > 0.9
    fine = canvas.melanin - cv2.GaussianBlur(canvas.melanin, (0, 0), 4)
    outside = (disc(70) - disc(52)) > 0
    period = 4.5
    assert band_power(canvas.height, outside, period) > 4 * band_power(canvas.height, disc(36) == 1, period)
    assert fine[outside].std() > 0.05


@pytest.mark.parametrize("site", ["face", "hand", "limb", "trunk", None])
def test_only_a_palm_has_ridges_other_skin_has_fine_lines(site):
    region, outside, period = disc(45), (disc(75) - disc(52)) > 0, 4.5
    palm, other = painted("Dermatoglyph disruption", region), painted("Dermatoglyph disruption", region, site=site)
    assert coherence(palm.melanin, outside) > 0.7 > 0.5 > coherence(other.melanin, outside)
    assert band_power(other.melanin, outside, period) > 3 * band_power(other.melanin, disc(36) == 1, period)
    np.testing.assert_array_equal(palm.truth["Dermatoglyph disruption"], other.truth["Dermatoglyph disruption"])


def coherence(field: np.ndarray, where: np.ndarray) -> float:
    """Mean coherence of the structure tensor: 1 where lines run in parallel, 0 where every direction is as frequent."""
    y, x = np.gradient(cv2.GaussianBlur(field, (0, 0), 0.8))
    yy, xx, yx = (cv2.GaussianBlur(product, (0, 0), 6) for product in (y * y, x * x, y * x))
    return float((np.hypot(yy - xx, 2 * yx) / np.maximum(yy + xx, 1e-12))[where].mean())


@pytest.mark.parametrize("site", ["palm", "face"])
def test_undisrupted_lines_are_the_same_outside_and_run_on_inside(site):
    region, far = disc(45), disc(45 + 12) == 0
    disrupted, whole = painted("Dermatoglyph disruption", region, site=site), Canvas(region.shape, scale=40)
    dermatoglyphs(whole, region, Context("Acne", site=site), np.random.default_rng(0))
    for layer in ("height", "melanin"):
        np.testing.assert_allclose(getattr(whole, layer)[far], getattr(disrupted, layer)[far], atol=2e-3)
    around, inside = (band_power(whole.melanin, where, 4.5) for where in (disc(70) - disc(52) > 0, disc(36) == 1))
    assert 0.5 * around < inside < 2 * around
    assert inside > 5 * band_power(disrupted.melanin, disc(36) == 1, 4.5)
    everywhere = Canvas(region.shape, scale=40)
    dermatoglyphs(everywhere, np.ones_like(region), Context("Acne", site=site), np.random.default_rng(0))
    assert np.isfinite(everywhere.height).all()


def test_skin_lines_stop_at_every_one_of_many_parts():
    region = np.zeros((400, 400), np.float32)
    centres = [(50 + 100 * row, 50 + 100 * column) for row in range(4) for column in range(4)]
    for y, x in centres:
        cv2.circle(region, (x, y), 20, 1, -1)
    canvas = painted("Dermatoglyph disruption", region)
    distance = cv2.distanceTransform((region == 0).astype(np.uint8), cv2.DIST_L2, 5)
    outside = band_power(canvas.melanin, (distance > 5) & (distance < 25), 4.5)
    for y, x in centres:
        part = np.zeros_like(region)
        cv2.circle(part, (x, y), 13, 1, -1)
        assert band_power(canvas.melanin, part == 1, 4.5) < 0.2 * outside


def band_power(height: np.ndarray, where: np.ndarray, period: float) -> float:
    """Mean square of the relief at about one period in pixels, whatever its direction."""
    band = cv2.GaussianBlur(height, (0, 0), period / 6) - cv2.GaussianBlur(height, (0, 0), period / 2)
    return float((band[where] ** 2).mean())


def test_skin_lines_are_deflected_around_the_region():
    """Beside the outline the lines run along it: the relief changes across the outline, not along it."""
    canvas = painted("Dermatoglyph disruption", disc(45))
    slope_y, slope_x = np.gradient(cv2.GaussianBlur(canvas.melanin, (0, 0), 1))
    y, x = (np.mgrid[:SIZE, :SIZE] - SIZE // 2) / np.maximum(np.hypot(*(np.mgrid[:SIZE, :SIZE] - SIZE // 2)), 1)
    near = (disc(60) - disc(50)) > 0
    across, along = (slope_y * y + slope_x * x)[near], (slope_y * x - slope_x * y)[near]
    assert (across**2).mean() > 2 * (along**2).mean()


@pytest.mark.parametrize("tone", TONES)
def test_sun_damage_is_mottled_yellowed_and_wrinkled(tone):
    region = np.ones((200, 200), np.float32)
    canvas, skin = painted("Sun damage", region, tone, scale=20), Canvas((8, 8), tone).albedo()[0, 0]
    middle = np.s_[20:-20, 20:-20]
    light = luminance(canvas)[middle]
    assert light.std() / light.mean() > 0.06
    assert canvas.height[middle].min() < -0.3
    red, green, blue = np.median(canvas.albedo()[middle].reshape(-1, 3), axis=0)
    assert blue / green < skin[2] / skin[1] or red / green < skin[0] / skin[1]


@pytest.mark.parametrize("tone", TONES)
def test_hyperkeratosis_is_raised_rough_and_yellow_to_grey(tone):
    region = disc(60)
    canvas = painted("Hyperkeratosis", region, tone)
    inside = disc(40) == 1
    assert np.median(canvas.height[inside]) > 0.1 * 0.2 * canvas.scale
    assert canvas.height[inside].std() > 0.5
    red, green, blue = canvas.albedo()[inside].mean(axis=0)
    assert red > green > blue
    assert red / green < 1.4  # horn is yellow to grey, skin of every tone is redder
    bare = Canvas((8, 8), tone).albedo()[0, 0]
    assert bare[0] / bare[1] > 1.4
