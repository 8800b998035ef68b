"""Normalised images: their scale, their bounds, and the way back."""

import numpy as np
import pytest

from medxai.models.normalisation import HALF, IMAGENET

PICTURES = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("normalisation", [HALF, IMAGENET])
def test_there_and_back(normalisation):
    images = normalisation.apply(PICTURES)
    assert images.shape == (2, 3, 5, 7)
    np.testing.assert_array_equal(normalisation.undo(images), PICTURES)
    np.testing.assert_array_equal(
        normalisation.undo(9 * images), normalisation.undo(images.mul(9).clamp(*normalisation.bounds()))
    )


def test_scale():
    white = np.full((1, 1, 1, 3), 255, np.uint8)
    np.testing.assert_allclose(HALF.apply(white).flatten(), [1, 1, 1])
    expected = [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    np.testing.assert_allclose(IMAGENET.apply(white).flatten(), expected, 1e-6)


@pytest.mark.parametrize("normalisation", [HALF, IMAGENET])
def test_bounds_are_black_and_white(normalisation):
    low, high = normalisation.bounds()
    pictures = np.stack([np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)])
    np.testing.assert_allclose(np.concatenate([low, high]), normalisation.apply(pictures), rtol=1e-6)
