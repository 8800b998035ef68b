"""The lamp: another one changes the light and nothing else, and a map follows it or does not."""

import numpy as np
import pytest

from medxai import profiles
from medxai.data import real_or_simulated
from medxai.experiment import suppressor
from medxai.experiment.trained_network import start
from medxai.painting import photograph

SIDE = 64


@pytest.fixture(scope="module")
def case():
    db = real_or_simulated.open_dermxdb(profiles.get("smoke"))
    return photograph.case(db, db.images.index[db.images["paper"]][0], SIDE)


def test_another_lamp_changes_the_light_slowly_and_nothing_else(case):
    own, other = photograph.paint(case), photograph.relight(case)
    assert np.array_equal(photograph.relight(case, lamp=0).image, own.image)
    assert {term: value.tobytes() for term, value in own.truth.items()} == {
        term: value.tobytes() for term, value in other.truth.items()
    }
    change = other.image.astype(float).mean(2) - own.image.astype(float).mean(2)
    slow = suppressor.blurred(change)
    assert np.abs(slow).mean() > 1
    assert np.var(change - slow) < np.var(change) / 2
    assert not np.array_equal(photograph.relight(case, lamp=2).image, other.image)


def test_a_map_follows_the_light_or_not():
    down, across = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    brighter = (down - 0.5).astype(np.float32)
    flat = np.ones((SIDE, SIDE))
    assert suppressor.followed(flat, flat + down, brighter) > 0.99
    assert suppressor.followed(flat + down, flat, brighter) < -0.99
    assert abs(suppressor.followed(flat, flat + across, brighter)) < 0.05
    assert suppressor.followed(flat, 3 * flat + 3 * down, brighter) > 0.99, "maps have no scale"
    assert np.isnan(suppressor.followed(flat, 2 * flat, brighter)), "nothing changed"
    assert np.isnan(suppressor.followed(flat, -flat, brighter)), "nothing is positive"


def test_every_map_and_control_is_asked():
    smoke = profiles.get("smoke")
    tables = suppressor.compared(real_or_simulated.open_dermxdb(smoke), start(), smoke)
    maps, tests = tables["lamp_maps"], tables["lamp_tests"]
    assert {"saliency", "grad_cam", "deeplift", "sobel_edges"} <= set(maps["method"])
    assert maps["followed"].dropna().between(-1, 1).all()
    assert maps.loc[maps["method"] == "centre_gaussian", "followed"].isna().all(), "the same under both lamps"
    assert maps.loc[maps["method"] == "saliency", "followed"].notna().all()
    assert tests["change"].between(0.1, 60).all()
    assert tests[["before", "after"]].stack().between(0, 1).all()
    assert set(maps["image"]) == set(tests["image"])
