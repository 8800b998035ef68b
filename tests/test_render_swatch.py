"""Swatches: deterministic, of every term, with their truth; bad input told in one sentence."""

import numpy as np
import pytest

from medxai.data.ontology import CHARACTERISTICS
from medxai.errors import DataError
from medxai.painting import PAINTERS
from medxai.painting.swatch import swatch


def test_every_characteristic_of_the_ontology_has_a_painter():
    assert set(CHARACTERISTICS) <= set(PAINTERS)


@pytest.mark.parametrize("term", PAINTERS)
def test_a_swatch_shows_its_term_where_the_truth_says(term):
    plain, painted = swatch([], size=160, seed=3), swatch([term], size=160, seed=3)
    truth = painted.truth[term]
    assert truth.shape == (160, 160)
    assert truth.dtype == np.float32
    assert 0 <= truth.min() <= truth.max() <= 1
    changed = np.abs(painted.finish().astype(int) - plain.finish()).sum(axis=2)
    # The skin lines that a wart interrupts are drawn around it, and are not part of the truth.
    around = 0 if term == "Dermatoglyph disruption" else 1.5 * changed[truth == 0].mean()
    assert changed[truth > 0.5].mean() > around


@pytest.mark.parametrize("term", PAINTERS)
def test_the_same_seed_gives_the_same_pixels_and_another_seed_others(term):
    first, again, other = (swatch([term], size=96, seed=seed).finish() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_picture_has_the_size_asked_for():
    assert swatch(["Plaque", "Scale"], size=64, tone="dark").finish().shape == (64, 64, 3)


@pytest.mark.parametrize("size", [0, 15, 20_000])
def test_a_size_that_cannot_be_painted_is_told(size):
    with pytest.raises(ValueError, match=f"size is {size}: expected 16 to 4096 pixels"):
        swatch(["Plaque"], size=size)


def test_a_term_outside_the_ontology_is_told():
    with pytest.raises(DataError, match="characteristic is 'Wheal': expected one of Macule"):
        swatch(["Wheal"], size=64)


def test_an_unknown_skin_tone_is_told():
    with pytest.raises(ValueError, match="tone is 'blue': expected one of light, medium, dark"):
        swatch(["Plaque"], size=64, tone="blue")
