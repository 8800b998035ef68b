"""Images with what is known about them, and the two sets on which networks are explained."""

import numpy as np
import pytest

from medxai import profiles
from medxai.data import real_or_simulated
from medxai.data.labelled_images import LabelledImages
from medxai.errors import DataError
from medxai.experiment import image_sets

SMOKE = profiles.get("smoke")
PICTURES = np.zeros((2, 16, 16, 3), np.uint8)
NAMES = ["a", "b"]


@pytest.fixture(scope="module")
def painted() -> LabelledImages:
    return image_sets.paintings(real_or_simulated.open_dermxdb(SMOKE), SMOKE)


def test_the_reference_is_the_share_of_raters(painted: LabelledImages) -> None:
    raters, reference = painted.raters(0), painted.reference(0)
    assert len(raters) > 1
    np.testing.assert_allclose(reference * len(raters), sum(mask.astype(float) for mask in raters.values()))
    assert reference.shape == painted.pictures.shape[1:3] == painted.truth(0).shape


def test_paintings_are_of_the_profile_or_of_a_size_of_ones_own(painted: LabelledImages) -> None:
    assert (painted.name, painted.kind, painted.side) == ("paintings", "rendered", SMOKE.explained_size)
    assert np.bincount(painted.labels).tolist() == [5] * 6
    smaller = image_sets.paintings(real_or_simulated.open_dermxdb(SMOKE), SMOKE, side=32)
    assert smaller.pictures.shape == (30, 32, 32, 3)
    np.testing.assert_array_equal(smaller.labels, painted.labels)
    assert [painted.group(row) for row in range(3)] == [0, 1, 2]


@pytest.mark.real_data
def test_ultrasound_has_the_mask_as_its_rater_and_keeps_near_copies_together() -> None:
    try:
        opened = image_sets.open_ultrasound()
    except DataError as error:
        pytest.skip(str(error))
    images = image_sets.ultrasound(opened, SMOKE)
    assert (images.name, images.kind, len(images.classes)) == ("ultrasound", "real", 3)
    assert np.bincount(images.labels).max() <= image_sets.PER_CLASS
    for row in (0, len(images) - 1):
        np.testing.assert_array_equal(images.reference(row), images.truth(row) >= 0.5)
    assert len({images.group(row) for row in range(len(images))}) < len(images)


def test_masks_are_those_of_one_rater() -> None:
    masks = np.zeros((2, 16, 16), bool)
    masks[1, :4] = True
    images = LabelledImages.with_masks(NAMES, PICTURES, masks)
    np.testing.assert_array_equal(images.reference(1), masks[1])
    assert images.kind == "real"
    assert len(images) == 2
    with pytest.raises(ValueError, match="images has no outlines: expected images with raters"):
        LabelledImages.with_masks(NAMES, PICTURES).reference(0)


def test_what_is_no_set_of_images_is_told_in_one_sentence() -> None:
    for wrong in (PICTURES.astype(float), PICTURES[..., 0], PICTURES[:, :8], PICTURES[:0]):
        with pytest.raises(ValueError, match=r"expected uint8 \(n, side, side, 3\)"):
            LabelledImages.with_masks(NAMES, wrong)
    with pytest.raises(ValueError, match="names are 1 different ones: expected 2"):
        LabelledImages.with_masks(["a", "a"], PICTURES)
    with pytest.raises(ValueError, match=r"masks are float64 .*: expected bool \(2, 16, 16\)"):
        LabelledImages.with_masks(NAMES, PICTURES, np.zeros((2, 16, 16)))
    for what in ("labels", "groups"):
        with pytest.raises(ValueError, match=rf"{what} are float64 \(2,\): expected integers \(2,\)"):
            LabelledImages("some", "real", NAMES, PICTURES, **{what: np.zeros(2)})
