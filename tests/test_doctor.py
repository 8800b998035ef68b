"""DOCTOR against closed forms, and against thresholds tried one by one."""

import numpy as np
import pytest

from medxai.evaluation.classification import area_under_curve
from medxai.evaluation.doctor import doctor_alpha, doctor_beta, false_rejections


@pytest.mark.parametrize("score", [doctor_alpha, doctor_beta])
def test_from_certain_to_uniform(score):
    probabilities = np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(score(probabilities), [0, 2], atol=1e-12)


def test_by_hand():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.5, 0.0]])
    np.testing.assert_allclose(doctor_alpha(probabilities), [0.62 / 0.38, 1.0])
    np.testing.assert_allclose(doctor_beta(probabilities), [1.0, 1.0])  # which cannot tell the two apart


def test_two_classes_rank_alike_and_three_do_not():
    generator = np.random.default_rng(0)
    for classes, alike in ((2, True), (3, False)):
        probabilities = generator.dirichlet(np.ones(classes), 200)
        order = [np.argsort(score(probabilities)) for score in (doctor_alpha, doctor_beta)]
        assert np.array_equal(*order) == alike


def test_true_probabilities_tell_errors_better_than_chance():
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(3), 4000)
    labels = (probabilities.cumsum(1) < generator.random((4000, 1))).sum(1)
    wrong = probabilities.argmax(1) != labels
    for score in (doctor_alpha, doctor_beta):
        area = area_under_curve(wrong, score(probabilities))[0]
        assert 0.6 < area < 1
        # Wrong predictions are as many as e says on average, so that gamma = e / (1 - e) is a likelihood ratio.
        doubts = doctor_beta(probabilities)
        assert abs((doubts / (1 + doubts)).mean() - wrong.mean()) < 0.02
        assert false_rejections(score(probabilities), wrong) < 0.95


def test_false_rejections_by_every_threshold():
    generator = np.random.default_rng(1)
    for caught in (0.5, 0.8, 0.95, 1.0):
        score, wrong = generator.integers(0, 12, 60) / 10, generator.random(60) < 0.3
        kept = [t for t in np.unique(score) if (score[wrong] >= t).mean() >= caught - 1e-12]
        assert false_rejections(score, wrong, caught=caught) == pytest.approx((score[~wrong] >= max(kept)).mean())


def test_false_rejections_of_a_perfect_and_of_a_constant_score():
    wrong = np.arange(40) < 20
    assert false_rejections(wrong.astype(float), wrong) == 0
    assert false_rejections(np.ones(40), wrong) == 1
    assert false_rejections(np.where(np.arange(40) == 0, -1.0, wrong), wrong) == 0  # 19 of 20 are 95 %


def test_undefined_is_nan():
    score = np.arange(4.0)
    assert np.isnan(false_rejections(score, np.zeros(4, bool)))
    assert np.isnan(false_rejections(score, np.ones(4, bool)))


@pytest.mark.parametrize(
    "wrong", [np.array([[0.5, 0.6]]), np.array([[1.2, -0.2]]), np.array([[np.nan, 1.0]]), np.array([0.5, 0.5])]
)
def test_no_probabilities(wrong):
    for score in (doctor_alpha, doctor_beta):
        with pytest.raises(ValueError, match="expected"):
            score(wrong)


def test_no_share():
    with pytest.raises(ValueError, match="caught is 0"):
        false_rejections(np.ones(2), np.array([True, False]), caught=0)
