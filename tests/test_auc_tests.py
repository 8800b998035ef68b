"""Errors of areas and tests of two: the sums over all pairs, scikit-learn, bootstraps, and how often intervals hold."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from medxai.evaluation import auc_tests
from medxai.evaluation.classification import one_against_rest

NAMES = ["normal", "failure", "pneumonia"]


def scored(images: int = 60, models: int = 2, seed: int = 0, gain: float = 1.2, digits: int = 1):
    """Labels, and probabilities of models that see the same images; rounded, so that there are ties."""
    draw = np.random.default_rng(seed)
    labels = draw.permutation(np.arange(images) % 3)
    shared = draw.normal(size=(images, 3))
    logits = [gain * np.eye(3)[labels] + shared + draw.normal(size=(images, 3)) for _ in range(models)]
    return labels, *[one.round(digits) for one in logits]


def by_all_pairs(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's areas and covariance as the paper has them, over all pairs: O(m n)."""
    wins = [
        [[1.0 if x > y else 0.5 if x == y else 0.0 for y in one[~positive]] for x in one[positive]] for one in scores
    ]
    wins = np.array(wins)
    covariance = np.cov(wins.mean(2)) / positive.sum() + np.cov(wins.mean(1)) / (~positive).sum()
    return wins.mean((1, 2)), covariance


@pytest.mark.parametrize("seed", range(4))
def test_parts_are_those_of_all_pairs(seed: int) -> None:
    labels, first, second = scored(40 + 7 * seed, seed=seed)
    positive, scores = labels == 1, np.stack([first[:, 1], second[:, 1], first[:, 0]])
    areas, covariance = by_all_pairs(positive, scores)
    found = auc_tests.parts(positive, scores)
    np.testing.assert_allclose(found.areas, areas)
    np.testing.assert_allclose(found.moves @ found.moves.T, covariance, rtol=1e-10)


def test_areas_are_those_of_the_chapters() -> None:
    labels, first, _ = scored()
    table = auc_tests.delong(labels, first, NAMES)
    assert table.index.tolist() == ["Average", *NAMES]
    np.testing.assert_allclose(table["value"], one_against_rest(labels, first)[0])
    assert table.loc["failure", "value"] == pytest.approx(roc_auc_score(labels == 1, first[:, 1]))


def test_closed_form_of_few() -> None:
    """Two positive images, which beat all and half of two others: shares 1 and 1/2, and 1 and 1/2 on the other side."""
    found = auc_tests.parts(np.array([True, True, False, False]), np.array([[4.0, 2, 3, 1]]))
    assert found.areas == pytest.approx([0.75])
    assert (found.moves**2).sum() == pytest.approx(1 / 16 + 1 / 16)  # each side: a variance of 1/8 over two


def test_error_is_the_spread_over_test_sets_and_that_of_a_bootstrap() -> None:
    many = [auc_tests.delong(*scored(90, 1, seed), NAMES) for seed in range(1000)]
    values, errors = (np.array([table[name] for table in many]) for name in ("value", "error"))
    np.testing.assert_allclose(errors.mean(0), values.std(0), rtol=0.08)  # a deviation of 1000 is known to 2.2 %
    labels, first = scored(90, 1, seed=5)
    drawn = auc_tests.stratified(labels, first, NAMES, resamples=4000)
    normal = auc_tests.delong(labels, first, NAMES)
    widths = (drawn["high"] - drawn["low"]) / (normal["high"] - normal["low"])
    np.testing.assert_allclose(widths, 1, atol=0.08)


def test_intervals_hold_as_often_as_they_say() -> None:
    truth = stats.norm.cdf(1.2 / np.sqrt(2) / np.sqrt(2))  # a difference of 1.2 between scores of variance 2
    held = [
        table.loc["normal", "low"] < truth < table.loc["normal", "high"]
        for table in (auc_tests.delong(*scored(90, 1, seed, digits=9), NAMES) for seed in range(400))
    ]
    assert np.mean(held) == pytest.approx(0.95, abs=0.035)


def test_paired_test_knows_that_images_are_the_same() -> None:
    labels, first, second = scored(90, seed=3)
    found = auc_tests.paired(labels, first, second, NAMES)
    areas, covariance = by_all_pairs(labels == 2, np.stack([first[:, 2], second[:, 2]]))
    error = np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    row = found.loc["pneumonia"]
    assert row["value"] == pytest.approx(areas[0] - areas[1])
    assert row["error"] == pytest.approx(error)
    assert row["p"] == pytest.approx(2 * stats.norm.sf(abs(areas[0] - areas[1]) / error))
    apart = np.hypot(*[auc_tests.delong(labels, one, NAMES)["error"] for one in (first, second)])
    assert (found["error"] < 0.9 * apart).all()


def test_paired_test_of_equal_models_is_rarely_significant() -> None:
    p = np.array([auc_tests.paired(*scored(90, 2, seed), NAMES)["p"] for seed in range(400)])
    assert (p < 0.05).mean(0) == pytest.approx(0.05 * np.ones(4), abs=0.035)


def test_a_model_compared_with_itself_has_no_test() -> None:
    labels, first, _ = scored()
    found = auc_tests.paired(labels, first, first, NAMES)
    assert (found["value"] == 0).all()
    assert found["p"].isna().all()


@pytest.mark.parametrize("only", [0, 1])
def test_sets_of_one_class_are_undefined(only: int) -> None:
    _, first, second = scored()
    labels = np.full(60, only)
    for table in (
        auc_tests.delong(labels, first, NAMES),
        auc_tests.stratified(labels, first, NAMES, resamples=20),
        auc_tests.paired(labels, first, second, NAMES),
    ):
        assert table.isna().all(axis=None)
    assert np.isnan(auc_tests.resampled(labels, first, seed=0)).all()


def test_a_single_positive_image_has_an_area_and_no_error() -> None:
    labels, first, _ = scored()
    labels[labels == 1] = 0
    labels[7] = 1
    row = auc_tests.delong(labels, first, NAMES).loc["failure"]
    assert 0 <= row["value"] <= 1
    assert row[["error", "low", "high"]].isna().all()


def test_stratified_draws_keep_the_classes() -> None:
    labels = np.array([0] * 50 + [1] * 7 + [2])
    for chunk in auc_tests._draws(labels, 700, seed=1):
        for c, number in enumerate((50, 7, 1)):
            assert (chunk[:, labels == c].sum(1) == number).all()


def test_resampled_is_a_loop_over_drawn_images() -> None:
    labels, first, second = scored()
    found = auc_tests.resampled(labels, first, seed=4)
    assert found.shape == (30, 4)
    draw = np.random.default_rng(4)
    numbers = draw.integers(55, 61, 30)
    assert set(numbers) <= set(range(55, 61))
    for row, weights in zip(found, draw.multinomial(numbers, np.full(60, 1 / 60)), strict=True):
        rows = np.repeat(np.arange(60), weights)
        areas = [roc_auc_score(labels[rows] == c, first[rows, c]) for c in range(3)]
        np.testing.assert_allclose(row, [np.mean(areas), *areas])
    assert not np.allclose(found, auc_tests.resampled(labels, second, seed=4))


def test_hanley_mcneil_is_exact_for_exponential_scores() -> None:
    draw = np.random.default_rng(0)
    positive, negative = draw.exponential(1, (1500, 30, 1)), draw.exponential(1 / 4, (1500, 1, 78))  # an area of 4/5
    areas = (positive > negative).mean((1, 2))
    assert np.mean(areas) == pytest.approx(0.8, abs=0.004)
    assert auc_tests.hanley_mcneil(0.8, 30, 78) == pytest.approx(np.std(areas), rel=0.06)
    assert auc_tests.hanley_mcneil(1.0, 30, 78) == 0
    assert np.isnan(auc_tests.hanley_mcneil(0.8, 0, 78))


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(
        auc_tests.holm([0.01, np.nan, 0.04, 0.03, 0.005]), [0.03, np.nan, 0.06, 0.06, 0.02], rtol=1e-12
    )
    np.testing.assert_allclose(auc_tests.holm([0.6, 0.7]), [1, 1])
    assert auc_tests.holm([]).size == 0
    assert np.isnan(auc_tests.holm([np.nan])).all()


def test_sizes_of_classes_follow_from_areas() -> None:
    labels, first, second = scored(47, digits=9)
    areas = [roc_auc_score(labels == 2, one[:, c]) for one in (first, second) for c in range(3)]
    positives = int((labels == 2).sum())
    assert auc_tests.class_sizes(areas, 47) == [positives, 47 - positives]
    assert auc_tests.class_sizes([0.5], 5) == [1, 2, 3, 4]


def test_bad_input_is_one_sentence() -> None:
    labels, first, _ = scored()
    with pytest.raises(ValueError, match=r"labels and probabilities are \(59,\) and \(60, 3\): expected"):
        auc_tests.delong(labels[1:], first, NAMES)
    with pytest.raises(ValueError, match=r"positive and scores are \(60,\) and \(1, 60\): expected \(n,\) and finite"):
        auc_tests.parts(labels == 1, np.full(60, np.nan))


def test_several_runs_have_the_mean_of_their_areas_and_an_error_between_one_run_and_independent_ones() -> None:
    labels, first, second = scored(90, seed=3)
    runs = np.stack([first, second])
    both = auc_tests.delong(labels, runs, NAMES)
    each = [auc_tests.delong(labels, one, NAMES) for one in (first, second)]
    np.testing.assert_allclose(both["value"], np.mean([one["value"] for one in each], axis=0))
    apart = np.hypot(*[one["error"] for one in each]) / 2
    assert (apart < both["error"]).all(), "runs share their images, so that their errors go together"
    assert (both["error"] <= np.mean([one["error"] for one in each], axis=0) + 1e-12).all()
    same = auc_tests.delong(labels, np.stack([first, first]), NAMES)
    np.testing.assert_allclose(same, each[0])
    drawn = auc_tests.resampled(labels, runs, seed=1)
    np.testing.assert_allclose(drawn, np.mean([auc_tests.resampled(labels, one, seed=1) for one in runs], axis=0))
    assert auc_tests.stratified(labels, runs, NAMES)["value"].to_numpy() == pytest.approx(both["value"].to_numpy())
