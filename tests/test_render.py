"""Whole paintings: the same pixels from the same seed, a truth that is true, no disease by its mean colour."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medxai.data import dermxdb
from medxai.errors import DataError
from medxai.painting import PAINTERS, cache, canvas, landmarks, noise, photograph, skin
from medxai.painting.canvas import Canvas, Light
from medxai.painting.confounders import CONFOUNDERS

SIZE = 96


@pytest.fixture(scope="module")
def db(simulated_root: Path) -> dermxdb.DermXDB:
    return dermxdb.load(simulated_root)


def disc(side: int = SIZE, radius: float = 0.25) -> np.ndarray:
    y, x = np.mgrid[-0.5 : 0.5 : side * 1j, -0.5 : 0.5 : side * 1j]
    return (np.hypot(y, x) < radius).astype(np.float32)


def plain_case(source: str = "DermNetNZ", **regions: np.ndarray) -> photograph.Case:
    regions = regions or {"Plaque": disc()}
    return photograph.Case("a", "Psoriasis", source, "light", None, "trunk", (SIZE, SIZE), regions)


def test_every_term_of_the_ontology_has_its_place_in_the_order():
    assert sorted(photograph.ORDER) == sorted(PAINTERS) == sorted(dermxdb.LOCALISED)


def test_skin_colour_follows_beer_lambert_and_tone():
    melanin, blood = np.array([[0.0, 0.22, 1.7]]), np.array([[0.0, 0.25, 0.25]])
    colour = canvas.skin_colour(melanin, blood)
    np.testing.assert_allclose(colour[0, 0], canvas.BLOODLESS, rtol=1e-6)
    expected = canvas.BLOODLESS * np.exp(-1.7 * canvas.MELANIN_ABSORPTION - 0.25 * canvas.BLOOD_ABSORPTION)
    np.testing.assert_allclose(colour[0, 2], expected, rtol=1e-5)
    assert (np.diff(colour.sum(axis=2)) < 0).all()


def test_srgb_is_the_standard_curve_and_its_inverse():
    assert canvas.to_srgb(np.array([0.0, 0.0031308, 0.21404, 1.0])) == pytest.approx([0, 0.04045, 0.5, 1], abs=1e-4)
    np.testing.assert_allclose(canvas.to_srgb(canvas.from_srgb(0, 7, 200)) * 255, [0, 7, 200], atol=1e-3)


def test_flat_matt_skin_in_one_light_has_one_colour_that_of_its_albedo():
    flat = Canvas((32, 32))
    flat.gloss[:] = 0
    np.testing.assert_allclose(flat.radiance(Light()), flat.albedo(), rtol=1e-5)


def test_a_bump_is_bright_towards_the_lamp_and_dark_behind():
    bumpy = Canvas((64, 64))
    bumpy.height += 8 * noise.dome((64, 64), [(32, 32)], [20])
    picture = bumpy.radiance(Light(direction=(-0.7, 0, 0.7)))[..., 1]
    assert picture[32, 22] > picture[5, 5] > picture[32, 42]


def test_overlays_hide_what_lies_below_by_their_alpha():
    covered = Canvas((8, 8))
    below = covered.albedo()
    covered.overlay(np.array([0.1, 0.2, 0.3]), np.full((8, 8), 0.25))
    covered.overlay(np.array([0.9, 0.9, 0.9]), np.full((8, 8), 0.5))
    expected = 0.5 * (0.75 * below + 0.25 * np.array([0.1, 0.2, 0.3])) + 0.5 * 0.9
    np.testing.assert_allclose(covered.albedo(), expected, rtol=1e-5)


def test_cells_are_those_of_the_nearest_seed():
    rng = np.random.default_rng(0)
    distance, border, number = noise.cells((60, 80), rng, 12)
    crossed = number[:, 1:] != number[:, :-1]
    assert border[:, 1:][crossed].max() < 3 < border.max()
    for seed in np.unique(number)[5:12]:
        inside = number == seed
        y, x = np.nonzero(inside & (distance <= distance[inside].min()))
        spread = np.hypot(*np.subtract(np.nonzero(inside), [[y[0]], [x[0]]]))
        assert np.abs(spread - distance[inside]).max() < 2.0  # the seed lies within a pixel of its nearest pixel


def test_blobs_lie_inside_and_one_is_there_even_in_a_single_pixel():
    mask = disc(64)
    found = noise.blobs(mask, np.random.default_rng(1), (2, 4), 6)
    assert len(found) > 5
    assert all(mask[int(y), int(x)] and 2 <= radius <= 4 for y, x, radius in found)
    single = np.zeros((40, 40), np.float32)
    single[0, 39] = 1
    assert [(y, x) for y, x, _ in noise.blobs(single, np.random.default_rng(1), 2, 30)] == [(0, 39)]
    assert noise.blobs(np.zeros((9, 9), np.float32), np.random.default_rng(1), 2, 3) == []


def test_consensus_has_the_median_area_and_needs_two_raters_or_half(db):
    names = db.images.index[:24]
    cases = [photograph.case(db, name, 128) for name in names]
    checked = 0
    for made in cases:
        first = db.select([made.name])
        right = first[first["correct"]] if first["correct"].any() else first
        marked = {term: int(right[term].sum()) for term in dermxdb.LOCALISED}
        assert set(made.regions) == {t for t, n in marked.items() if n and (n >= 2 or 2 * n >= len(right))}
        for term, region in made.regions.items():
            raters = right.loc[right[term], "rater"]
            areas = [db.mask(made.name, rater, term).mean() for rater in raters]
            seen = (db.fuzzy_map(made.name, term, 128, "correct" if first["correct"].any() else "all") > 0).mean()
            assert abs(region.mean() - min(np.median(areas), seen)) < 0.01
            checked += 1
    assert checked > 20


def test_same_seed_same_pixels_on_one_and_two_processes(db, tmp_path):
    names = list(db.images.index[:6])
    one = cache.paint_all(db, 64, images=names, folder=tmp_path / "one", processes=1)
    two = cache.paint_all(db, 64, images=names, folder=tmp_path / "two", processes=2)
    other = cache.paint_all(db, 64, seed=1, images=names, folder=tmp_path / "two", processes=1)
    for name in names:
        np.testing.assert_array_equal(cache.read(one, name), cache.read(two, name))
        np.testing.assert_array_equal(cache.read(one, name), photograph.paint(photograph.case(db, name, 64)).image)
        assert (cache.read(one, name) != cache.read(other, name)).any()


def test_cache_paints_only_what_is_missing_and_keeps_the_truth(db, tmp_path):
    names = list(db.images.index[:3])
    folder = cache.paint_all(db, 64, images=names[:2], folder=tmp_path, processes=1)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*.png")}
    (folder / f"{names[1]}.png").unlink()
    assert cache.paint_all(db, 64, images=names, folder=tmp_path, processes=1) == folder
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{n}.{e}" for n in names for e in ("png", "npz"))
    assert (folder / f"{names[0]}.png").stat().st_mtime_ns == before[folder / f"{names[0]}.png"]
    painted = photograph.paint(photograph.case(db, names[1], 64))
    kept = cache.truth(folder, names[1])
    assert set(kept) == set(painted.truth)
    for term, coverage in painted.truth.items():
        np.testing.assert_allclose(kept[term], coverage, atol=0.5 / 255 + 1e-6)


def test_truth_is_where_the_lesion_changed_the_picture():
    region = disc()
    painted = photograph.paint(plain_case(Plaque=region))
    bare = photograph.paint(replace(plain_case(), regions={}))
    inside = painted.truth["Plaque"] > 0.5
    far = cv2.dilate(region, np.ones((25, 25))) == 0
    change = np.abs(painted.image.astype(int) - bare.image).mean(axis=2)
    assert 0.5 * region.sum() < painted.truth["Plaque"].sum() < 1.3 * region.sum()
    assert not painted.truth["Plaque"][far].any()
    assert change[inside].mean() > 4 * change[far].mean()
    assert all(m.min() >= 0 and m.max() <= 1 and m.shape == (SIZE, SIZE) for m in painted.truth.values())


def test_only_pictures_of_dermnetnz_carry_the_watermark():
    marked = photograph.paint(plain_case("DermNetNZ"), confounders=["watermark"])
    other = photograph.paint(plain_case("SD-260"), confounders=["watermark"])
    without = photograph.paint(plain_case("SD-260"))
    assert marked.truth["watermark"].sum() > 20
    assert "watermark" not in other.truth
    np.testing.assert_array_equal(other.image, without.image)


@pytest.mark.parametrize("name", ["watermark", "ruler", "pen"])
def test_a_confounder_changes_the_picture_where_its_truth_says(name):
    with_it, without = photograph.paint(plain_case(), confounders=[name]), photograph.paint(plain_case())
    change = np.abs(with_it.image.astype(int) - without.image).mean(axis=2)
    mask = with_it.truth[name]
    blocks = cv2.dilate(mask, np.ones((33, 33))) > 0  # JPEG spreads a change over blocks of 16 pixels
    assert mask.max() > 0.3
    assert change[mask > 0.3].mean() > 15
    assert change[~blocks].sum() == 0
    np.testing.assert_array_equal(with_it.truth["Plaque"], without.truth["Plaque"])


@pytest.mark.parametrize("shape", [(96, 96), (96, 160), (260, 200)])
@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 0.5), (0.5, 0.5), None])
@pytest.mark.parametrize("extent", [0.05, 0.3, 2.0])
def test_ink_stays_inside_the_picture(shape, place, extent):
    region = np.zeros(shape, np.float32)
    if place:
        middle = tuple(round(share * (side - 1)) for share, side in zip(place[::-1], shape[::-1], strict=True))
        cv2.circle(region, middle, round(extent * min(shape)), 1, -1)
    for seed in range(4):
        mask = CONFOUNDERS["pen"](np.ones((*shape, 3), np.float32), region, np.random.default_rng(seed))
        assert max(mask[0].max(), mask[-1].max(), mask[:, 0].max(), mask[:, -1].max()) < 0.02
        assert np.ptp(np.nonzero(mask > 0.2)[0]) > 0.2 * min(shape)


@pytest.mark.parametrize("tone", ["light", "medium", "dark"])
def test_a_vitiligo_patch_is_lighter_than_the_skin_and_not_burnt_out(tone):
    region = disc(200, 0.3)
    case = photograph.Case("v", "Vitiligo", "SD-260", tone, None, "trunk", (200, 200), {"Patch": region})
    for seed in range(5):
        painted = photograph.paint(case, seed=seed)
        light = painted.image.mean(axis=2)
        patch, around = painted.truth["Patch"] > 0.9, (disc(200, 0.42) > disc(200, 0.33))
        assert light[patch].mean() > light[around].mean() + 8
        assert (painted.image[patch].max(axis=1) >= 254).mean() < 0.01
        assert light[patch].std() > 2  # relief and shading are left


@pytest.mark.parametrize("site", landmarks.LANDMARKS)
def test_a_landmark_is_drawn_beside_the_lesions_or_not_at_all(site):
    inside, drawn = np.ones((200, 200), np.float32), 0
    region = np.zeros((200, 200), np.float32)
    region[:, :70] = 1
    for seed in range(10):
        free, full = Canvas((200, 200)), Canvas((200, 200))
        landmarks.add(free, site, region, inside, np.random.default_rng(seed))
        landmarks.add(full, site, np.ones_like(region), inside, np.random.default_rng(seed))
        drawn += bool(free.height.any())
        assert not full.height.any()
        if site != "palm":  # its creases run through the whole picture
            assert np.abs(free.melanin[region > 0]).max() < 0.02
    assert drawn >= 3


def test_ridges_that_were_seen_put_the_lesion_on_a_palm_unless_a_tag_says_otherwise():
    def site(ridged: bool, *tags: str) -> str:
        said = pd.DataFrame([{tag: tag in tags for tag in photograph.SITE_OF_TAG}])
        return photograph._site(said, ridged, np.random.default_rng(0))

    assert site(True) == site(True, "Acral distribution") == site(False, "Palmo-plantar distribution") == "palm"
    assert site(False, "Acral distribution") == "hand"
    assert site(True, "Extensor sites") == "limb"
    assert site(False) in skin.SITES


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"regions": {"Bulla": disc()}}, DataError, "'Bulla': expected one of"),
        ({"regions": {"Plaque": 0 * disc()}}, DataError, "Plaque is empty: expected an outline"),
        ({"regions": {"Plaque": disc(50)}}, DataError, r"\(50, 50\): expected \(96, 96\)"),
        ({"shape": (0, 96)}, ValueError, "sides of 16 to 4096 pixels"),
        ({"tone": "green"}, ValueError, "'green'"),
    ],
)
def test_a_case_that_cannot_be_painted_is_told_in_one_sentence(change, error, sentence):
    with pytest.raises(error, match=sentence):
        photograph.paint(replace(plain_case(), **change))


def test_unknown_confounder_image_and_size_are_told(db, tmp_path):
    with pytest.raises(ValueError, match="confounder is 'halo': expected one of watermark, ruler, pen"):
        photograph.paint(plain_case(), confounders=["halo"])
    with pytest.raises(ValueError, match="no image 'x'"):
        photograph.case(db, "x", 64)
    for size in (0, 20_000):
        with pytest.raises(ValueError, match=f"size is {size}: expected .*16 to 4096 pixels"):
            photograph.case(db, db.images.index[0], size)
        with pytest.raises(ValueError, match=f"size is {size}: expected .*16 to 4096 pixels"):
            cache.paint_all(db, size, folder=tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError, match="is no picture"):
        cache.read(tmp_path, "x")


def macro_f1(features: np.ndarray, labels: np.ndarray) -> float:
    """Cross-validated macro F1 of a multinomial logistic regression."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=3000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return f1_score(labels, cross_val_predict(model, features, labels, cv=folds), average="macro")


@pytest.mark.real_data
def test_disease_cannot_be_told_by_mean_colour(real_dermxdb, tmp_path):
    db = real_dermxdb
    paper = db.images[db.images["paper"]]
    names = paper.sample(150, random_state=0).index
    folder = cache.paint_all(db, SIZE, images=names, folder=tmp_path)
    colours = np.array([cache.read(folder, name).mean(axis=(0, 1)) for name in names])
    labels = paper.loc[names, "reference"].to_numpy()
    assert macro_f1(colours, labels) < 0.6
    assert macro_f1(np.eye(6)[[dermxdb.DISEASES.index(label) for label in labels]], labels) == 1  # it could be told


def test_a_script_without_a_guard_ends_with_a_sentence(tmp_path: Path) -> None:
    """Each process that paints imports the script, which then paints: that must not wait for its own lock."""
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "from types import SimpleNamespace\n"
        "from medxai.painting import cache\n"
        f"cache.paint_all(SimpleNamespace(digest='0' * 12), 64, images=['a'], folder=Path({str(tmp_path)!r}))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)  # it never ended
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("RuntimeError: a process that paints ended before it painted: in a")
