"""Covering what a network looks at: a network that adds up pixels tells what was covered."""

import numpy as np
import pytest
import torch
from torch import Tensor

from medxai.evaluation import attention_occlusion, bootstrap
from medxai.evaluation.attention_occlusion import PLACES

SIDE = 8


def network(images: Tensor) -> Tensor:
    """Return the mean of the left half as the probability of the second of two diseases."""
    share = images[..., : SIDE // 2].mean((1, 2, 3))
    return torch.stack([1 - share, share], 1)


@pytest.fixture
def images() -> Tensor:
    """A picture that is bright on the left, one that is dark, and a bright one."""
    images = torch.zeros(3, 3, SIDE, SIDE)
    images[0, :, :, : SIDE // 2] = 0.75
    images[1, :, :, SIDE // 2 :] = 0.5
    images[2] = 1.0
    return images


@pytest.fixture
def attention() -> Tensor:
    """Of two characteristics on 2 x 2 cells: the left half, the lower right cell; nothing on the third image."""
    attention = torch.zeros(3, 2, 2, 2)
    attention[:2, 0, :, 0] = 5
    attention[:2, 1, 1, 1] = 0.01
    return attention


FOUND = np.array([[True, False], [True, True], [False, False]])


def test_the_area_is_the_union_of_what_is_found(attention: Tensor) -> None:
    left = attention_occlusion.area(attention[0], FOUND[0], (SIDE, SIDE))
    np.testing.assert_allclose(left[0], [1, 1, 0.875, 0.625, 0.375, 0.125, 0, 0])
    both = attention_occlusion.area(attention[1], FOUND[1], (SIDE, SIDE))
    assert both[-1, -1] == pytest.approx(1)
    assert both[0, -1] == 0
    assert not attention_occlusion.area(attention[0], FOUND[2], (SIDE, SIDE)).any()


def test_drops_by_hand(images: Tensor, attention: Tensor) -> None:
    table = attention_occlusion.occluded(network, images, attention, FOUND, thresholds=[0.5, 1.0])
    assert len(table) == 3 * 3 * 2 * 3
    drop = table.set_index(["image", "fill", "place", "threshold"])["drop"].sort_index()
    # The left half is covered at .5, two of its four columns at 1; without it nothing of .75 is left.
    np.testing.assert_allclose(drop.loc[(0, "grey", "attention")], [0.75, 0.375], rtol=1e-6)
    # Its mean colour is .375; the predicted disease of the dark picture is the first, 1 - 0, and grey changes nothing.
    np.testing.assert_allclose(drop.loc[(0, "mean colour", "attention")], [0.375, 0.1875], rtol=1e-6)
    np.testing.assert_allclose(drop.loc[(1, "grey", "attention")], 0, atol=1e-6)
    np.testing.assert_allclose(drop.loc[(1, "mean colour", "attention")], [0.25, 0.125], rtol=1e-6)
    assert 0 < drop.loc[(0, "blurred", "attention", 0.5)] < 0.75
    probability = table.groupby("image")["probability"].first()
    np.testing.assert_allclose(probability, [0.75, 1, 1])
    assert table.loc[table["image"] == 2, "drop"].isna().all()  # nothing found: no explanation to cover


def test_controls_cover_as_many_pixels_elsewhere(images: Tensor, attention: Tensor) -> None:
    options = {"thresholds": [0.2, 0.5, 1.0], "fills": ["grey"]}
    table = attention_occlusion.occluded(network, images, attention, FOUND, **options)
    shares = table.pivot(index=["image", "threshold"], columns="place", values="share")
    assert (shares.nunique(axis=1) == 1).all()
    np.testing.assert_allclose(shares.loc[0, "attention"], [5 / 8, 4 / 8, 2 / 8])
    again = attention_occlusion.occluded(network, images, attention, FOUND, **options)
    np.testing.assert_array_equal(again["drop"], table["drop"])
    other = attention_occlusion.occluded(network, images, attention, FOUND, seed=1, **options)
    assert not np.array_equal(other["drop"], table["drop"], equal_nan=True)
    # Random pixels hit half of the left half, over many draws; moved by 1 to 7 columns it is hit by 12 of 28.
    many = images[:1].expand(200, -1, -1, -1), attention[:1].expand(200, -1, -1, -1), FOUND[:1].repeat(200, axis=0)
    drops = attention_occlusion.beside_controls(
        attention_occlusion.occluded(network, *many, thresholds=[0.5], fills=["grey"])
    )
    assert list(drops) == list(PLACES)
    assert drops["random"].mean() == pytest.approx(0.75 / 2, abs=0.01)
    assert drops["shifted"].mean() == pytest.approx(0.75 * 12 / 28, abs=0.04)
    found = bootstrap.differences(drops.droplevel(["fill", "threshold"]), "attention", resamples=100)
    assert (found["high"] < 0).all()


def test_bad_input(images: Tensor, attention: Tensor) -> None:
    with pytest.raises(ValueError, match="thresholds hold 0: expected numbers above 0, at most 1"):
        attention_occlusion.occluded(network, images, attention, FOUND, thresholds=[0.5, 0])
    with pytest.raises(ValueError, match="fill is 'black': expected one of mean colour, grey, blurred"):
        attention_occlusion.occluded(network, images, attention, FOUND, fills=["black"])
