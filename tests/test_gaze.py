"""Maps of fixations against closed forms; fixations that cannot be."""

import numpy as np
import pandas as pd
import pytest

from medxai.data import gaze
from medxai.errors import DataError

NAMES = ["a", "b"]


@pytest.fixture
def fixations() -> pd.DataFrame:
    """Three on the first image, out of order; none on the second."""
    values = [("a", 10.5, 20.5, 0.4, 0.6), ("a", 30.5, 5.5, 0.0, 0.3), ("a", 10.5, 20.5, 1.2, 0.3)]
    return pd.DataFrame(values, columns=gaze.COLUMNS)


def test_a_map_is_the_sum_of_gaussians_weighted_by_duration(fixations: pd.DataFrame) -> None:
    maps = gaze.static_maps(fixations, NAMES, 40, sigma=0.05)
    y, x = np.mgrid[:40, :40] + 0.5
    by_hand = sum(
        row.duration * np.exp(-((x - row.x) ** 2 + (y - row.y) ** 2) / (2 * (0.05 * 40) ** 2))
        for row in fixations.itertuples()
    )
    np.testing.assert_allclose(maps[0], by_hand / by_hand.max(), atol=1e-6)
    assert maps.dtype == np.float32
    assert maps[0].max() == 1
    assert maps[0, 20, 10] == 1, "the pixel whose middle was looked at for 0.9 s"
    assert np.isnan(maps[1]).all(), "nobody looked at the second image"


def test_temporal_maps_add_up_to_the_static_one(fixations: pd.DataFrame) -> None:
    temporal = gaze.temporal_maps(fixations, "a", 40)
    assert temporal.shape == (3, 40, 40)
    assert np.unravel_index(temporal[0].argmax(), (40, 40)) == (5, 30), "in order of time"
    total = np.tensordot(gaze.checked(fixations, NAMES, 40)["duration"], temporal, 1)
    np.testing.assert_allclose(total / total.max(), gaze.static_maps(fixations, NAMES, 40)[0], atol=1e-6)


def test_the_width_is_that_of_one_degree() -> None:
    assert gaze.visual_angle(1) == pytest.approx(650 * 2 * np.tan(np.pi / 360) / 0.277 / 1024)
    assert gaze.visual_angle(1) == gaze.SIGMA


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"x": 40.1}, "off the image of 40 x 40"),
        ({"y": -1.0}, "off the image of 40 x 40"),
        ({"duration": -0.1}, "negative duration"),
        ({"start": np.nan}, "no number"),
        ({"x": "left"}, "no number"),
        ({"image": "c"}, "is on 'c': expected one of the 2 images"),
    ],
)
def test_bad_fixations(fixations: pd.DataFrame, change: dict[str, object], sentence: str) -> None:
    fixations = fixations.astype(object)
    fixations.loc[1, list(change)] = list(change.values())
    with pytest.raises(DataError, match=sentence):
        gaze.static_maps(fixations, NAMES, 40)


def test_a_missing_column_is_named(fixations: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="expected duration, too"):
        gaze.static_maps(fixations.drop(columns="duration"), NAMES, 40)


def test_no_fixation_at_all(fixations: pd.DataFrame) -> None:
    assert np.isnan(gaze.static_maps(fixations[:0], NAMES, 8)).all()
    assert np.isnan(gaze.static_maps(fixations.assign(duration=0.0), NAMES, 40)).all()
    assert gaze.temporal_maps(fixations, "b", 8).shape == (0, 8, 8)
