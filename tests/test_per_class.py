"""Scores of classes by fold, against scikit-learn and by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, recall_score

from medxai.evaluation import bootstrap, per_class

NAMES = ["a", "b", "c"]


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.random((60, 3)) < 0.4, generator.random((60, 3)) < 0.5, np.repeat([3, 7, 8], 20)


def _by_scikit_learn(there: np.ndarray, found: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    of_class = {"average": None, "sample_weight": weight}
    f1, sensitivity = f1_score(there, found, **of_class), recall_score(there, found, **of_class)
    return np.stack([f1, sensitivity, recall_score(~there, ~found, **of_class)], axis=1)


def test_scores_of_each_fold_and_resample_are_scikit_learns(answers) -> None:
    there, found, folds = answers
    table = per_class.by_fold(there, found, NAMES, folds)
    assert table["fold"].tolist() == [3] * 4 + [7] * 4 + [8] * 4
    for number, rows in table.groupby("fold"):
        expected = _by_scikit_learn(there[folds == number], found[folds == number])
        np.testing.assert_allclose(rows[["f1", "sensitivity", "specificity"]], [*expected, expected.mean(0)])
        assert rows["samples"].tolist() == [*there[folds == number].sum(0), there[folds == number].sum(0).mean()]
    (weights,) = bootstrap.weights(60, 2, seed=0)
    resampled = per_class.scores(there, found, NAMES, weights=weights)
    for number, weight in enumerate(weights):
        expected = _by_scikit_learn(there, found, weight)
        np.testing.assert_allclose(resampled.loc[number].loc[NAMES, ["f1", "sensitivity", "specificity"]], expected)


def test_means_over_folds(answers) -> None:
    there, found, folds = answers
    table = per_class.by_fold(there, found, NAMES, folds)
    means = per_class.over_folds(table)
    assert list(means.index) == [*NAMES, "Mean"]
    assert list(means) == [
        "f1",
        "f1_std",
        "sensitivity",
        "sensitivity_std",
        "specificity",
        "specificity_std",
        "samples",
    ]
    each = np.array([_by_scikit_learn(there[folds == k], found[folds == k])[:, 0] for k in (3, 7, 8)])
    np.testing.assert_allclose(means["f1"], [*each.mean(0), each.mean(1).mean()])
    np.testing.assert_allclose(means["f1_std"], [*each.std(0), each.mean(1).std()])
    np.testing.assert_allclose(per_class.over_folds(table, ddof=1)["f1_std"].iloc[-1], each.mean(1).std(ddof=1))
    assert means["samples"].tolist() == [*there.sum(0), there.sum(0).mean()]


def test_what_is_undefined_is_nan_and_left_out() -> None:
    there = np.array([[True, False], [True, False], [True, False], [True, False]])
    found = np.array([[True, False], [False, False], [True, False], [True, False]])
    table = per_class.by_fold(there, found, ["x", "y"], np.array([0, 0, 1, 1])).set_index(["fold", "name"])
    np.testing.assert_allclose(table.loc[(0, "x"), ["f1", "sensitivity"]].astype(float), [2 / 3, 1 / 2])
    assert table.loc[(0, "y"), ["f1", "sensitivity"]].isna().all()  # neither there nor found
    assert np.isnan(table.loc[(0, "x"), "specificity"])  # there everywhere
    np.testing.assert_allclose(table.loc[(0, "Mean"), ["f1", "specificity"]].astype(float), [2 / 3, 1])
    means = per_class.over_folds(table.reset_index())
    np.testing.assert_allclose(means.loc["x", "f1"], (2 / 3 + 1) / 2)
    assert np.isnan(means.loc["y", "f1"])
    pd.testing.assert_series_equal(means["samples"], pd.Series([4.0, 0, 2], ["x", "y", "Mean"], name="samples"))


def test_differences_in_pairs(answers) -> None:
    there, found, _ = answers
    models = {"a": found, "same": found.copy(), "better": np.where(np.arange(60)[:, None] < 30, there, found)}
    table = per_class.differences(there, models, NAMES, "a", resamples=200)
    assert list(table) == ["model", "name", "score", "difference", "low", "high"]
    table = table.set_index(["model", "score", "name"]).sort_index()
    assert (table.loc["same"] == 0).all(None)
    expected = _by_scikit_learn(there, models["better"]) - _by_scikit_learn(there, found)
    difference = table.loc["better", "difference"].unstack("score")
    np.testing.assert_allclose(difference.loc[NAMES, ["f1", "sensitivity", "specificity"]], expected)
    np.testing.assert_allclose(difference.loc["Mean", "f1"], expected[:, 0].mean())
    f1 = table.loc[("better", "f1")]
    assert ((f1["low"] > 0) & (f1["low"] < f1["difference"]) & (f1["difference"] < f1["high"])).all()
    # The same draws for both: much narrower than two intervals of their own.
    (weights,) = bootstrap.weights(60, 200, seed=0)
    own = per_class.scores(there, found, NAMES, weights=weights)["f1"].xs("Mean", level=1)
    other = per_class.scores(there, models["better"], NAMES, weights=weights)["f1"].xs("Mean", level=1)
    np.testing.assert_allclose(f1.loc["Mean", ["low", "high"]], np.quantile(other - own, [0.025, 0.975]))


def test_one_hot_and_bad_input() -> None:
    np.testing.assert_array_equal(per_class.one_hot(np.array([2, 0]), 3), [[0, 0, 1], [1, 0, 0]])
    with pytest.raises(ValueError, match=r"there is bool \(2, 3\) and found int64 \(2, 3\): expected bool \(n, 3\)"):
        per_class.scores(np.ones((2, 3), bool), np.ones((2, 3), int), NAMES)
    with pytest.raises(ValueError, match=r"expected bool \(n, 3\) of both"):
        per_class.scores(np.ones((2, 2), bool), np.ones((2, 2), bool), NAMES)
