"""Versions that are drawn as training needs them: which they are, how often, and on what that depends."""

import numpy as np
import torch

from medxai.robustness import corruptions
from medxai.robustness.augmentation import drawn_versions

SIDE = 12
IMAGES = torch.from_numpy(np.random.default_rng(0).integers(30, 220, (40, 1, SIDE, SIDE), dtype=np.uint8))
ROWS = np.arange(40) + 100


def test_each_image_is_in_one_of_its_versions_and_all_are_drawn():
    """Of the 25 that an evaluation with the sum of seed and number would make, or as it is."""
    drawn = []
    for number in range(1, 14):
        found = drawn_versions(IMAGES, ROWS, number, seed=5)
        every = corruptions.versions(IMAGES, torch.from_numpy(ROWS), seed=5 + number)
        away = (torch.cat([IMAGES[None], every]).int() - found.int()).abs().amax((2, 3, 4))
        assert (away.amin(0) <= 1).all()  # motion blur of one severity and of all may differ by one level
        drawn += away.argmin(0).tolist()
    counts = np.bincount(drawn, minlength=26)
    assert counts.min() > 0
    expected = len(drawn) / 26
    assert ((counts - expected) ** 2 / expected).sum() < 44.3  # the 99th percentile of chi-square with 25


def test_what_is_drawn_depends_on_seed_pass_and_row_alone():
    found = drawn_versions(IMAGES, ROWS, 2)
    order = np.random.default_rng(1).permutation(40)
    assert torch.equal(drawn_versions(IMAGES[order], ROWS[order], 2), found[order])
    for changed in ((IMAGES, ROWS, 3), (IMAGES, ROWS + 1, 2)):
        assert not torch.equal(drawn_versions(*changed), found)
    assert not torch.equal(drawn_versions(IMAGES, ROWS, 2, seed=1), found)


def test_the_images_stay_as_they_are():
    before = IMAGES.clone()
    assert not torch.equal(drawn_versions(IMAGES, ROWS, 1), IMAGES)
    assert torch.equal(IMAGES, before)


def test_the_constants_are_used():
    assert not torch.equal(drawn_versions(IMAGES, ROWS, 1, constants="32"), drawn_versions(IMAGES, ROWS, 1))
