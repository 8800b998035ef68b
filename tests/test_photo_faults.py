"""Faults of photographs: strength 0 changes nothing, maps say where, and each does what its closed form says."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from medxai.painting import faults, scenes
from medxai.painting.faults import FAULTS

SIDE = 48
EACH = [(name, kind) for name, kinds in FAULTS.items() for kind in kinds]


def texture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((SIDE, SIDE, 3)).astype(np.float32)


def applied(name: str, kind: str, strength: float, picture: np.ndarray | None = None):
    picture = texture() if picture is None else picture
    return picture, *FAULTS[name][kind](picture, strength, np.random.default_rng(3))


@pytest.mark.parametrize(("name", "kind"), EACH)
def test_strength_0_changes_nothing_and_strength_1_does(name, kind):
    before, after, where = applied(name, kind, 0.0)
    np.testing.assert_array_equal(after, before)
    assert not where.any()
    before, after, where = applied(name, kind, 1.0)
    assert np.abs(after - before).mean() > 0.02
    assert after.shape == before.shape
    assert after.dtype == np.float32
    assert after.min() >= 0
    assert after.max() <= 1


@pytest.mark.parametrize(("name", "kind"), EACH)
@pytest.mark.parametrize("strength", [0.3, 0.9])
def test_the_map_covers_what_changed_and_is_at_most_the_strength(name, kind, strength):
    before, after, where = applied(name, kind, strength)
    assert where.dtype == np.float32
    assert where.min() >= 0
    assert where.max() == pytest.approx(strength, abs=1e-6)
    np.testing.assert_array_equal(after[where == 0], before[where == 0])


@pytest.mark.parametrize(("name", "kind"), [pair for pair in EACH if pair[1] not in ("sensor", "compression")])
def test_a_stronger_fault_changes_more(name, kind):
    picture = cv2.GaussianBlur(texture(), (0, 0), 1.0)
    moved = [np.abs(applied(name, kind, strength, picture)[1] - picture).mean() for strength in (0.2, 0.5, 1.0)]
    assert moved[0] < moved[1] < moved[2]


def test_a_shadow_darkens_in_its_map_alone_by_the_share_of_light():
    before, after, where = applied("Bad light", "shadow", 0.7)
    assert (after <= before + 1e-6).all()
    assert (where > 0).any()
    assert (where == 0).any()
    full = where >= 0.7 - 1e-6
    np.testing.assert_allclose(after[full] ** 2.2, before[full] ** 2.2 * (1 - 0.92 * 0.7), atol=1e-5)


def test_light_is_counted_in_stops():
    grey = np.full((SIDE, SIDE, 3), 0.5, np.float32)
    _, twice, _ = applied("Bad light", "bright", 1 / 3, grey)
    np.testing.assert_allclose(twice**2.2, np.minimum(2 * 0.5**2.2, 1), rtol=1e-5)
    _, less, _ = applied("Bad light", "dark", 0.2, grey)
    assert (less**2.2).mean() == pytest.approx(0.5**2.2 / 2, rel=0.02)


def test_defocus_spreads_a_point_over_a_disc_and_motion_over_a_line():
    point = np.zeros((SIDE, SIDE, 3), np.float32)
    point[SIDE // 2, SIDE // 2] = 1
    for kind in ("defocus", "motion"):
        spread = applied("Blurry", kind, 1.0, point)[1][..., 0]
        assert spread.sum() == pytest.approx(1, rel=1e-4), "no light gets lost"
        y, x = np.nonzero(spread > 1e-4)
        width = np.linalg.eigvalsh(np.cov(y, x, aweights=spread[y, x], ddof=0))
        if kind == "defocus":
            radius = SIDE / 13
            np.testing.assert_allclose(width, radius**2 / 4, rtol=0.2)  # of a disc: radius squared over 4
        else:
            assert width[0] < 0.4
            assert width[1] == pytest.approx(
                (SIDE / 7) ** 2 / 12 + 1 / 6, rel=0.1
            )  # of a line: length squared over 12, and between pixels


def test_a_poor_sensor_keeps_means_of_cells():
    picture = texture()
    coarse = np.repeat(np.repeat(picture.reshape(12, 4, 12, 4, 3).mean((1, 3)), 4, 0), 4, 1)
    _, after, _ = applied("Low resolution", "sensor", 0.5, picture)  # 48 / (1 + 6 x 0.5) = 12 pixels, noise of 0.03
    inner = cv2.resize(after, (12, 12), interpolation=cv2.INTER_AREA)
    assert np.abs(inner - coarse[::4, ::4]).mean() < 0.1
    assert np.corrcoef(inner.ravel(), coarse[::4, ::4].ravel())[0, 1] > 0.7


def test_compression_is_that_of_pillow():
    picture = cv2.GaussianBlur(texture(), (0, 0), 2.0)
    _, after, _ = applied("Low resolution", "compression", 0.5, picture)
    file = io.BytesIO()
    half = Image.fromarray(np.round(255 * picture).astype(np.uint8)).resize((24, 24), Image.Resampling.BOX)
    half.save(file, "JPEG", quality=32)
    seen = np.asarray(Image.open(file).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(np.round(255 * after).astype(np.uint8), seen)


def target(side: int = 72) -> np.ndarray:
    """Return a grey scene with a white square in its middle."""
    scene = np.full((side, side, 3), 0.3, np.float32)
    scene[side // 2 - 6 : side // 2 + 6, side // 2 - 6 : side // 2 + 6] = 1
    return scene


def middle(picture: np.ndarray) -> np.ndarray:
    """Return the centre (y, x) and the side of what is white."""
    y, x = np.nonzero(picture[..., 0] > 0.8)
    return np.array([y.mean() + 0.5, x.mean() + 0.5, np.sqrt(len(y))])


def test_a_good_photograph_is_the_middle_of_the_scene():
    scene, surround = target(), np.zeros((SIDE, SIDE, 3), np.float32)
    picture, off, beyond = faults.take(scene, surround)
    np.testing.assert_allclose(picture, scene[12:60, 12:60], atol=1e-6)
    assert not off.any()
    assert not beyond.any()


@pytest.mark.parametrize(("angle", "direction"), [(0.0, (0, 1)), (np.pi / 2, (1, 0)), (np.pi, (0, -1))])
def test_bad_framing_moves_the_subject_to_the_edge_that_the_map_names(angle, direction):
    picture, off, _ = faults.take(target(), np.zeros((SIDE, SIDE, 3), np.float32), framing=0.5, angle=angle)
    moved = middle(picture)[:2] - SIDE / 2
    np.testing.assert_allclose(moved, np.array(direction) * SIDE / 4, atol=1)
    assert off.max() == pytest.approx(0.5, abs=0.02)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
    towards = y * direction[0] + x * direction[1]
    assert (off[towards > 0] > 0).all()
    assert not off[towards < 0].any()


def test_too_far_away_shrinks_the_subject_and_maps_what_a_good_photograph_would_not_show():
    surround = np.full((SIDE, SIDE, 3), 0.6, np.float32)
    picture, _, beyond = faults.take(target(), surround, far=0.4)  # twice as far
    np.testing.assert_allclose(middle(picture), [SIDE / 2, SIDE / 2, 6], atol=1)
    inside = beyond == 0
    assert inside.sum() == (SIDE // 2) ** 2
    assert inside[SIDE // 4 : 3 * SIDE // 4, SIDE // 4 : 3 * SIDE // 4].all()
    assert set(np.unique(beyond)) == {np.float32(0), np.float32(0.4)}


def test_a_person_is_painted_twice_alike_but_for_the_lesion():
    one, again = scenes.person(2, 64), scenes.person(2, 64)
    np.testing.assert_array_equal(one.with_lesion, again.with_lesion)
    differs = np.abs(one.with_lesion - one.without).max(2)
    assert differs[20:44, 20:44].max() > 0.1
    rim = np.ones((64, 64), bool)
    rim[8:-8, 8:-8] = False
    assert differs[rim].max() <= 1.5 / 255
    np.testing.assert_array_equal(one.scene(0.0), one.without)
    np.testing.assert_allclose(one.scene(0.5), (one.without + one.with_lesion) / 2, atol=1e-6)
    assert one.tone in scenes.TONE_SHARES


def test_things_are_pictures_and_differ():
    rng = np.random.default_rng(0)
    shown = [painter(SIDE, rng) for painter in scenes.THINGS.values()]
    for picture in shown:
        assert picture.shape == (SIDE, SIDE, 3)
        assert picture.dtype == np.float32
        assert np.isfinite(picture).all()
    assert (scenes.thing(1, SIDE) == scenes.thing(1, SIDE)).all()
    assert len({scenes.thing(number, SIDE).tobytes() for number in range(6)}) == 6


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_a_strip_of_skin_has_the_share_that_it_should(share):
    thing, body = np.zeros((SIDE, SIDE, 3), np.float32), np.ones((72, 72, 3), np.float32)
    for seed in range(4):
        assert scenes.with_skin(thing, body, share, np.random.default_rng(seed)).mean() == pytest.approx(share)
