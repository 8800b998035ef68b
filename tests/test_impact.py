"""Impact score and coverage, on classifiers of which one knows which pixels they look at."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medxai.evaluation import impact
from medxai.evaluation.suite import largest
from tiny_network import SIDE, tiny


class Corner(nn.Module):
    """Logits are 0 and the sum of the first channel over a corner of 3 x 3 pixels, less 4."""

    def forward(self, images: Tensor) -> Tensor:
        value = images[:, 0, :3, :3].sum((1, 2)) - 4
        return torch.stack([torch.zeros_like(value), value], dim=1)


def region(rows: slice, columns: slice, side: int = 8) -> np.ndarray:
    found = np.zeros((side, side), bool)
    found[rows, columns] = True
    return found


CORNER = region(slice(3), slice(3))


def test_only_what_the_decision_rests_on_has_impact() -> None:
    """The logit is 5 of 9 pixels at 1; with k of them covered it is 5 - k, and the decision changes from k = 5."""
    elsewhere = region(slice(3, 8), slice(3, 8))
    four, five = region(slice(2), slice(2)), region(slice(2), slice(2)) | region(slice(2, 3), slice(1))
    regions = np.stack([CORNER, elsewhere, four, five | region(slice(3), slice(1)) | region(slice(1), slice(3))])
    found = impact.impact(Corner(), torch.ones(2, 8, 8), regions)
    assert found.changed.tolist() == [True, False, False, True]
    before, after = 1 / (1 + np.exp(-5)), 1 / (1 + np.exp(-1))  # of the four pixels: 0.993 and 0.731
    share = after / before
    assert found.strong.tolist() == [True, False, False, True]
    for left, strong in ((share + 1e-3, True), (share - 1e-3, False)):
        assert impact.impact(Corner(), torch.ones(2, 8, 8), four[None], left=left).strong.tolist() == [strong]


def test_a_strong_fall_counts_without_another_decision() -> None:
    """Of three classes the first stays the most probable while its probability falls from 0.99 to less than a half."""

    class Three(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            value = images[:, 0, 0, 0]
            return torch.stack([5 * value + 0.1, 0 * value, 0 * value], dim=1)

    found = impact.impact(Three(), torch.ones(1, 4, 4), region(slice(1), slice(1), 4)[None])
    assert not found.changed[0]
    assert found.strong[0]


def test_what_covered_pixels_become_decides() -> None:
    found = impact.impact(Corner(), torch.ones(2, 8, 8), CORNER[None], fill=1.0)
    assert not found.strong[0]


def test_coverage_by_hand() -> None:
    patch = region(slice(2), slice(4))
    regions = np.stack([patch, region(slice(2), slice(2, 6)), region(slice(4, 8), slice(4))])
    np.testing.assert_allclose(impact.coverage(regions, patch), [1, 4 / 12, 0])
    assert np.isnan(impact.coverage(regions, np.zeros((8, 8), bool))).all()


def test_regions_at_random_cover_a_patch_as_foretold() -> None:
    places = impact.patch_places(1000, 32, 8, seed=0)
    noise = np.random.default_rng(1).random((1000, 32, 32))
    found = [impact.coverage(largest(one[None], 1 / 16), place)[0] for one, place in zip(noise, places, strict=True)]
    assert np.mean(found) == pytest.approx((1 / 16) / (2 - 1 / 16), rel=0.1)


def test_patches_are_squares_anywhere_within_the_image() -> None:
    places = impact.patch_places(300, 7, 5, seed=0)
    assert (places.sum((1, 2)) == 25).all()
    corners = {tuple(np.argwhere(place)[0]) for place in places}
    assert corners == {(row, column) for row in range(3) for column in range(3)}
    for place in places:
        first, last = np.argwhere(place)[[0, -1]]
        assert (last - first == 4).all()
    assert (places == impact.patch_places(300, 7, 5, seed=0)).all()


def test_a_patch_moves_what_the_classifier_looks_at_and_nothing_else() -> None:
    """Where the patch lies on the corner, the first channel goes to black; the other one has no slope."""
    images = torch.ones(2, 2, 8, 8)
    places = np.stack([CORNER, region(slice(4, 8), slice(4, 8))])
    bounds = torch.full((1, 2, 1, 1), -1.0), torch.full((1, 2, 1, 1), 3.0)
    found = impact.attacked(Corner(), images, places, bounds, steps=1)
    assert torch.allclose(found[0, 0, :3, :3], torch.tensor(1 - impact.STRIDE * 4))
    found = impact.attacked(Corner(), images, places, bounds, steps=9)
    assert (found[0, 0, :3, :3] == -1).all()
    assert torch.equal(found[0, 1], images[0, 1])
    assert torch.equal(found[0, :, 3:], images[0, :, 3:])
    assert torch.equal(found[1], images[1])
    assert Corner()(found).argmax(1).tolist() == [0, 1]


def test_the_gradient_of_a_decided_classifier_finds_the_patch_and_noise_does_not() -> None:
    torch.manual_seed(0)
    network, images = tiny(), torch.rand(12, 3, SIDE, SIDE)
    places = impact.patch_places(12, SIDE, 8, seed=0)
    before = network(images).argmax(1)
    found = impact.attacked(network, images, places, (torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)), steps=8)
    lost = (network(images).softmax(1) - network(found).softmax(1))[torch.arange(12), before]
    assert (lost > 0).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: impact.impact(Corner(), torch.ones(2, 8, 8), CORNER[None], left=1), "left is 1: expected a share"),
        (lambda: impact.impact(Corner(), torch.ones(2, 8, 8), CORNER), "areas are bool"),
        (lambda: impact.patch_places(2, 8, 8, seed=0), "patch is 8: expected a side in pixels from 1 to 7"),
        (
            lambda: impact.attacked(Corner(), torch.ones(1, 2, 8, 8), CORNER[None], (0, 1), steps=0),
            "steps is 0",
        ),
    ],
)
def test_bad_input_is_told(call, said) -> None:
    with pytest.raises(ValueError, match=said):
        call()
