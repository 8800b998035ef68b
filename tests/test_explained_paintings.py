"""Paintings with the characteristics and maps that networks are taught."""

import numpy as np
import pytest

from medxai import paths, profiles
from medxai.data import dermxdb, real_or_simulated
from medxai.data.dermxdb import DermXDB
from medxai.errors import DataError
from medxai.evaluation import agreement
from medxai.experiment import explained_paintings, image_sets
from medxai.experiment.explained_paintings import ExplainedPaintings
from tiny_dermxdb import outline, square, tag, write

SMOKE = profiles.get("smoke")
SIDE = 9


@pytest.fixture(scope="module")
def db() -> DermXDB:
    return real_or_simulated.open_dermxdb(SMOKE)


@pytest.fixture(scope="module")
def paintings(db: DermXDB) -> ExplainedPaintings:
    return explained_paintings.explained_paintings(db, SMOKE, map_side=SIDE)


def test_maps_are_those_of_the_data_set(db: DermXDB, paintings: ExplainedPaintings) -> None:
    names, terms = paintings.images.names, paintings.characteristics
    assert terms == agreement.modelled(db.select("paper"))
    assert paintings.maps.shape == (len(names), len(terms), SIDE, SIDE)
    assert paintings.maps.dtype == np.float32
    for row, column in np.ndindex(len(names), len(terms)):
        expected = db.fuzzy_map(names[row], terms[column], SIDE)
        assert np.isfinite(expected).all() == paintings.explained[row]
        np.testing.assert_allclose(paintings.maps[row, column], np.nan_to_num(expected), atol=1e-5)
    np.testing.assert_array_equal(paintings.maps.any((2, 3)), paintings.present)
    assert 0.05 < paintings.present.mean() < 0.9


def test_characteristics_are_those_of_right_evaluations(db: DermXDB, paintings: ExplainedPaintings) -> None:
    for row, name in enumerate(paintings.images.names):
        right = [one for _, one in db.select([name]).iterrows() if one["diagnosis"] == one["reference"]]
        found = [any(one[term] for one in right) for term in paintings.characteristics]
        np.testing.assert_array_equal(paintings.present[row], found)
    images = image_sets.paintings(db, SMOKE)
    np.testing.assert_array_equal(paintings.images.pictures, images.pictures)
    np.testing.assert_array_equal(paintings.images.labels, images.labels)


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> DermXDB:
    """Two raters right and one wrong on one image of 20 x 10 pixels; nobody right on another."""
    monkeypatch.setattr(paths, "RESULTS", tmp_path / "results")
    plaque, left = outline("Plaque", square(0, 0, 9, 9)), outline("Plaque", square(0, 0, 4, 9))
    evaluations = {
        "labeller1_a": [tag("Psoriasis"), plaque],
        "labeller2_a": [tag("Psoriasis"), left, outline("Scale", square(16, 0, 19, 4))],
        "labeller4_a": [tag("Acne"), outline("Papule", square(0, 0, 19, 9))],
        "labeller1_b": [tag("Acne"), plaque],
    }
    return dermxdb.load(write(tmp_path / "d", evaluations, references={"a": "Psoriasis", "b": "Vitiligo"}))


def test_maps_by_hand_and_kept(tiny: DermXDB, monkeypatch) -> None:
    terms = ["Plaque", "Scale", "Papule"]
    maps = explained_paintings.fuzzy_maps(tiny, ["b", "a"], terms, 4)
    assert not maps[0].any()  # nobody is right
    np.testing.assert_allclose(maps[1, 0], np.tile([1, 0.5, 0, 0], (4, 1)), atol=1e-6)
    # One of two raters; cells of 5 x 2.5 pixels, of which the outline has 4 x 5.
    np.testing.assert_allclose(maps[1, 1], [[0, 0, 0, 0.4], [0, 0, 0, 0.4], [0] * 4, [0] * 4], atol=1e-6)
    assert not maps[1, 2].any()
    monkeypatch.setattr(DermXDB, "fuzzy_map", None)
    np.testing.assert_array_equal(explained_paintings.fuzzy_maps(tiny, ["b", "a"], terms, 4), maps)
    with pytest.raises(TypeError):
        explained_paintings.fuzzy_maps(tiny, ["b", "a"], terms, 5)


def test_too_few_images_for_any_characteristic(tiny: DermXDB) -> None:
    with pytest.raises(DataError, match="none of the characteristics of 2 images is modelled by the paper's rule"):
        explained_paintings.explained_paintings(tiny, SMOKE, map_side=SIDE)


@pytest.mark.real_data
def test_the_papers_images(real_dermxdb: DermXDB) -> None:
    names = dermxdb.chosen(real_dermxdb, 30)
    maps = explained_paintings.fuzzy_maps(real_dermxdb, names, dermxdb.MODELLED, SIDE)
    for row in range(0, 30, 6):
        for column, term in enumerate(dermxdb.MODELLED):
            expected = real_dermxdb.fuzzy_map(names[row], term, SIDE)
            np.testing.assert_allclose(maps[row, column], np.nan_to_num(expected), atol=2e-5)
