"""Simulated raters: by hand where nothing is random, and as often and as much of one mind as those of the paper."""

import numpy as np
import pytest

from medxai import results
from medxai.data import photo_raters
from medxai.data.photo_quality import CLASSES, HEALTHY, LESION, NO_SKIN, POOR, REASONS, plurality
from medxai.data.photo_raters import RATERS, Judgement, rate
from medxai.evaluation.agreement import pairwise_f1
from medxai.experiment import quality_photos
from medxai.experiment.quality_scores import EXPLANATIONS, LABELS


@pytest.fixture
def exact(monkeypatch) -> None:
    """Raters who see without noise, all with one threshold of one half."""
    for name in ("OF_LESION", "OF_SKIN"):
        monkeypatch.setattr(photo_raters, name, Judgement(0.5, 0, 0))
    monkeypatch.setattr(photo_raters, "OF_REASONS", dict.fromkeys(REASONS, Judgement(0.5, 0, 0)))


def test_questions_are_asked_in_order(exact):
    good, blurred = np.zeros(5), np.array([0, 0, 0.8, 0, 0])
    rated = rate(
        np.stack([good, good, blurred, blurred, good]),
        visible=np.array([0.9, 0.1, 0.9, 0.9, 0.9]),
        skin=np.array([1, 1, 1, 0.2, 0.2]),
        seed=0,
    )
    np.testing.assert_array_equal(rated.labels, [LESION, HEALTHY, POOR, NO_SKIN, NO_SKIN])
    np.testing.assert_array_equal(rated.reasons[2], [0, 0, 1, 0, 0])
    assert not rated.reasons[[0, 1, 3, 4]].any(), "who sees no skin gives no reason"
    np.testing.assert_allclose(rated.votes.sum(1), 1)


def test_one_strict_rater_makes_a_reason_but_no_class(exact, monkeypatch):
    monkeypatch.setitem(photo_raters.OF_REASONS, "Bad light", Judgement(0.5, 0, 0.2))
    z = 1.3829941271006372  # of a normal distribution, above which 1 of 12 lies: the middle of its part, 23/24, is 1.73
    faults = np.zeros((1, 5))
    faults[0, 1] = 0.5 - 0.2 * (z + 0.01)  # below the second most lenient threshold, above the most lenient
    rated = rate(faults, np.ones(1), np.ones(1), seed=0)
    assert rated.given.sum() == 1
    assert rated.reasons[0, 1] == 1
    assert rated.labels[0] == LESION
    assert rated.votes[0, POOR] == pytest.approx(1 / RATERS)


def test_equal_votes_go_to_poor_quality_then_in_order():
    votes = np.array([[6, 0, 0, 6], [4, 4, 4, 0], [0, 5, 5, 2], [1, 2, 3, 6]]) / 12
    np.testing.assert_array_equal(plurality(votes), [POOR, 0, 1, POOR])


def test_agreement_is_the_f1_of_pairs():
    said = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], bool)
    mean, spread = pairwise_f1(said)
    f1 = np.array([2 * 2 / 6, 0, 0])  # of the first two; the third never says it
    assert (mean, spread) == pytest.approx((f1.mean(), f1.std()))
    assert np.isnan(pairwise_f1(np.zeros((4, 3), bool))).all()


def test_wrong_shapes_are_told():
    with pytest.raises(ValueError, match="expected"):
        rate(np.zeros((3, 4)), np.zeros(3), np.zeros(3), seed=0)


@pytest.fixture(scope="module")
def many():
    return quality_photos.drawn(12_000).rated()


def _printed(table: str, name: str) -> tuple[float, float]:
    """Return the share of the 36,509 photographs and the F1 of two raters, both splits together."""
    lines = results.published(table).set_index(["row", "metric"])["value"][name]
    counts = lines["train_image_count"] + lines["test_image_count"]
    return counts / 36_509, (lines["pairwise_train_f1"] + lines["pairwise_test_f1"]) / 2


@pytest.mark.parametrize("table", [LABELS, EXPLANATIONS])
def test_shares_and_agreement_are_near_those_of_print(many, table):
    labels = table == LABELS
    said = many.classes[..., None] == np.arange(len(CLASSES)) if labels else many.given
    there = many.labels[:, None] == np.arange(len(CLASSES)) if labels else many.reasons > 0
    for column, name in enumerate(CLASSES if labels else REASONS):
        share, f1 = _printed(table, name)
        assert there[:, column].mean() == pytest.approx(share, abs=0.03), name
        assert pairwise_f1(said[..., column])[0] == pytest.approx(f1, abs=0.08), name
