"""Fuzzy agreement of two maps: closed forms, and for binary maps scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from medxai.evaluation.localisation import fuzzy_scores


def test_closed_form() -> None:
    attention = np.array([[0.5, 0.5], [0.0, 1.0]])
    reference = np.array([[1.0, 0.25], [0.0, 0.75]])
    scores = fuzzy_scores(attention, reference)
    assert scores.f1 == pytest.approx(2 * 1.5 / 4)  # minima .5 + .25 + 0 + .75
    assert scores.sensitivity == pytest.approx(1.5 / 2)
    assert scores.specificity == pytest.approx((0 + 0.5 + 1 + 0) / 2)


def test_binary_maps_give_the_usual_scores() -> None:
    generator = np.random.default_rng(0)
    attention, reference = generator.random((2, 5, 4, 7, 9)) < 0.4
    scores = fuzzy_scores(attention.astype(np.float32), reference.astype(np.float32))
    assert scores.f1.shape == (5, 4)
    for place in np.ndindex(5, 4):
        truth, found = reference[place].ravel(), attention[place].ravel()
        assert scores.f1[place] == pytest.approx(f1_score(truth, found))
        assert scores.sensitivity[place] == pytest.approx(recall_score(truth, found))
        assert scores.specificity[place] == pytest.approx(recall_score(~truth, ~found))


def test_identical_maps_score_one_and_undefined_is_nan() -> None:
    fuzzy = np.random.default_rng(1).uniform(0.1, 0.9, (3, 8, 8))
    np.testing.assert_allclose(fuzzy_scores(fuzzy, fuzzy).f1, 1)
    empty, full = np.zeros((4, 4)), np.ones((4, 4))
    nothing = fuzzy_scores(empty, empty)
    assert np.isnan(nothing.f1)
    assert np.isnan(nothing.sensitivity)
    assert nothing.specificity == 1
    assert fuzzy_scores(empty, full).f1 == 0
    assert np.isnan(fuzzy_scores(empty, full).specificity)


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1])
def test_values_out_of_range_are_refused(bad: float) -> None:
    good = np.full((2, 3), 0.5)
    with pytest.raises(ValueError, match="attention has values that are NaN or not in"):
        fuzzy_scores(np.where(np.eye(2, 3, dtype=bool), bad, good), good)
    with pytest.raises(ValueError, match="reference has values"):
        fuzzy_scores(good, np.where(np.eye(2, 3, dtype=bool), bad, good))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"same shape, not \(2, 3\) and \(3, 2\)"):
        fuzzy_scores(np.zeros((2, 3)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="same shape"):
        fuzzy_scores(np.zeros(3), np.zeros(3))
