"""Scores of failure detection against scikit-learn, direct sums over all orders, and closed forms."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from medxai.evaluation import failure_metrics as metrics

ALL = (metrics.auroc, metrics.aupr_error, metrics.false_rejections, metrics.augrc, metrics.aurc)


def drawn(seed: int, number: int = 60, values: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Doubts, with ties if they have few values, and wrong predictions that they know something of."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(number) < 0.3
    doubt = rng.standard_normal(number) + wrong
    return (doubt if values is None else np.round(doubt * values / 4)), wrong


@pytest.mark.parametrize("values", [None, 8, 1])
@pytest.mark.parametrize("seed", range(4))
def test_areas_are_those_of_scikit_learn(seed: int, values: int | None) -> None:
    doubt, wrong = drawn(seed, values=values)
    assert metrics.auroc(doubt, wrong) == pytest.approx([roc_auc_score(wrong, doubt)])
    assert metrics.aupr_error(doubt, wrong) == pytest.approx([average_precision_score(wrong, doubt)])


def direct(doubt: np.ndarray, wrong: np.ndarray) -> tuple[float, float]:
    """AURC and AUGRC as means over all orders of equal doubts, image by image; the second by trapezia from 0."""
    risks, harms, orders = 0.0, 0.0, 0
    for order in itertools.permutations(range(len(wrong))):
        if (np.diff(doubt[list(order)]) < 0).any():
            continue
        errors = np.cumsum(wrong[list(order)])
        risks += (errors / np.arange(1, len(wrong) + 1)).mean()
        harms += ((errors + np.r_[0, errors[:-1]]) / 2).mean() / len(wrong)
        orders += 1
    return risks / orders, harms / orders


@pytest.mark.parametrize("doubt", [[1, 2, 3, 4, 5, 6], [1, 1, 2, 2, 2, 3], [0, 0, 0, 0, 0, 0], [3, 1, 1, 2, 3, 3]])
@pytest.mark.parametrize("wrong", [[0, 0, 1, 0, 1, 1], [1, 0, 0, 1, 0, 0], [1, 1, 1, 0, 1, 1]])
def test_areas_over_coverage_are_means_over_all_orders(doubt: list[int], wrong: list[int]) -> None:
    doubt, wrong = np.array(doubt, float), np.array(wrong, bool)
    aurc, augrc = direct(doubt, wrong)
    assert metrics.aurc(doubt, wrong) == pytest.approx([aurc])
    assert metrics.augrc(doubt, wrong) == pytest.approx([augrc])


@pytest.mark.parametrize("metric", ALL)
def test_an_image_that_counts_twice_is_two_images(metric) -> None:
    doubt, wrong = drawn(7, values=6)
    times = np.random.default_rng(1).integers(0, 4, (3, len(wrong)))
    found = metric(doubt, wrong, times)
    for value, own in zip(found, times, strict=True):
        assert metric(np.repeat(doubt, own), np.repeat(wrong, own)) == pytest.approx([value])


def test_the_best_and_the_worst_doubt_have_closed_forms() -> None:
    wrong = np.arange(50) < 10
    best, worst = wrong.astype(float), -wrong.astype(float)
    assert metrics.auroc(best, wrong) == 1
    assert metrics.auroc(worst, wrong) == 0
    assert metrics.augrc(best, wrong) == pytest.approx([0.2**2 / 2])
    assert metrics.augrc(worst, wrong) == pytest.approx([0.8 * 0.2 + 0.2**2 / 2])
    assert metrics.augrc(np.zeros(50), wrong) == pytest.approx([0.2 / 2])
    assert metrics.aurc(np.zeros(50), wrong) == pytest.approx([0.2])
    assert metrics.false_rejections(best, wrong) == 0
    assert metrics.false_rejections(worst, wrong) == 1
    assert metrics.false_rejections(np.zeros(50), wrong) == 1


def test_right_predictions_that_are_rejected_by_hand() -> None:
    doubt = np.arange(40.0)
    wrong = np.arange(40) % 2 == 1  # 19 of the 20 wrong ones are at 3 or above, and so are 18 right ones
    assert metrics.false_rejections(doubt, wrong) == pytest.approx([18 / 20])
    assert metrics.false_rejections(doubt, wrong, caught=0.5) == pytest.approx([9 / 20])
    assert metrics.false_rejections(np.zeros(40), wrong) == 1
    with pytest.raises(ValueError, match="caught is 0"):
        metrics.false_rejections(doubt, wrong, caught=0)


@pytest.mark.parametrize("caught", [0.5, 0.8, 0.95, 1.0])
def test_right_predictions_that_are_rejected_by_every_threshold(caught: float) -> None:
    doubt, wrong = drawn(1, values=6)
    kept = [threshold for threshold in np.unique(doubt) if (doubt[wrong] >= threshold).mean() >= caught - 1e-12]
    expected = (doubt[~wrong] >= max(kept)).mean()
    assert metrics.false_rejections(doubt, wrong, caught=caught) == pytest.approx([expected])


def test_curves_end_at_the_error_rate() -> None:
    doubt, wrong = drawn(3)
    table = metrics.curves(doubt, wrong, np.array([0, 0.25, 0.5, 1]))
    assert np.isnan(table["selective"][0])
    assert table["generalised"][0] == 0
    assert table["selective"].iloc[-1] == table["generalised"].iloc[-1] == pytest.approx(wrong.mean())
    kept = np.argsort(doubt)[:15]
    assert table["selective"][1] == pytest.approx(wrong[kept].mean())
    assert table["generalised"][1] == pytest.approx(wrong[kept].sum() / len(wrong))


def test_areas_are_means_of_their_curves() -> None:
    doubt, wrong = drawn(5)
    coverages = np.arange(1, len(wrong) + 1) / len(wrong)
    table = metrics.curves(doubt, wrong, coverages)
    assert metrics.aurc(doubt, wrong) == pytest.approx([table["selective"].mean()])
    halves = (table["generalised"] + np.r_[0, table["generalised"][:-1]]) / 2
    assert metrics.augrc(doubt, wrong) == pytest.approx([halves.mean()])


@pytest.mark.parametrize(
    ("wrong", "defined"),
    [(np.zeros(5, bool), {"augrc": 0, "aurc": 0}), (np.ones(5, bool), {"augrc": 0.5, "aurc": 1, "aupr_error": 1})],
)
def test_without_errors_or_with_nothing_else_what_is_undefined_is_nan(wrong: np.ndarray, defined: dict) -> None:
    for metric in ALL:
        found = metric(np.arange(5.0), wrong)
        assert found == pytest.approx([defined.get(metric.__name__, np.nan)], nan_ok=True), metric.__name__


@pytest.mark.parametrize("metric", ALL)
def test_a_doubt_that_is_nan_has_no_score(metric) -> None:
    doubt, wrong = drawn(2)
    doubt[3] = np.nan
    assert np.isnan(metric(doubt, wrong)).all()


@pytest.mark.parametrize(
    ("doubt", "wrong", "weights", "told"),
    [
        (np.zeros(3), np.zeros(3), None, "wrong is float64"),
        (np.zeros(4), np.zeros(3, bool), None, "doubt is float64"),
        (np.array(["a", "b"]), np.zeros(2, bool), None, "doubt is <U1"),
        (np.zeros(0), np.zeros(0, bool), None, "not empty"),
        (np.zeros(2), np.zeros(2, bool), np.ones(2), "weights are (2,)"),
        (np.zeros(2), np.zeros(2, bool), -np.ones((1, 2)), "expected at least 0"),
    ],
)
def test_other_input_is_refused(doubt, wrong, weights, told: str) -> None:
    for metric in ALL:
        with pytest.raises(ValueError, match="expected") as error:
            metric(doubt, wrong, weights)
        assert told in str(error.value)


def test_weights_of_the_risk_are_counts_and_coverages_shares() -> None:
    with pytest.raises(ValueError, match="no whole numbers"):
        metrics.aurc(np.zeros(2), np.zeros(2, bool), np.full((1, 2), 0.5))
    with pytest.raises(ValueError, match="expected 0 to 1"):
        metrics.curves(np.zeros(2), np.zeros(2, bool), np.array([1.5]))
