"""Cross-validation, linear model, colour statistics and scores, against scikit-learn and closed forms."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from medxai.evaluation import bootstrap, classification

NAMES = ["a", "b", "c"]


def test_colour_statistics_of_a_flat_and_a_split_picture():
    flat = np.full((1, 4, 4, 3), 7, np.uint8)
    split = flat.copy()
    split[:, :2] = 9
    np.testing.assert_allclose(classification.colour_statistics(flat, spread=True), [[7, 7, 7, 0, 0, 0]])
    np.testing.assert_allclose(classification.colour_statistics(split, spread=True), [[8, 8, 8, 1, 1, 1]])
    assert classification.colour_statistics(split, spread=False).shape == (1, 3)


def test_a_linear_model_tells_colours_apart():
    colours = np.repeat([[10.0, 0, 0], [0, 10, 0], [0, 0, 10]], 10, axis=0)
    colours += np.random.default_rng(0).normal(0, 1, colours.shape)
    labels = np.repeat([0, 1, 2], 10)
    guess = classification.cross_validated(classification.linear_model(colours, labels), labels, seed=0)
    np.testing.assert_array_equal(guess.argmax(axis=1), labels)
    np.testing.assert_allclose(guess.sum(axis=1), 1)


@pytest.mark.parametrize("grouped", [True, False])
def test_each_image_is_predicted_once_by_a_model_that_saw_none_of_its_group(grouped):
    labels = np.tile([0, 1], 20)
    groups = np.arange(40) // 4 if grouped else None
    predicted = []

    def fit_predict(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        assert not set(train) & set(test)
        if grouped:
            assert not set(groups[train]) & set(groups[test])
        predicted.extend(test)
        return np.stack([test, test], axis=1).astype(float)

    out = classification.cross_validated(fit_predict, labels, groups=groups, seed=3)
    assert sorted(predicted) == list(range(40))
    np.testing.assert_array_equal(out[:, 0], np.arange(40))


@pytest.fixture
def problem():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 3, 60)
    models = {name: np.round(generator.dirichlet(np.ones(3), 60), 1) for name in ("x", "y")}  # rounded: ties
    return truth, models


def test_scores_are_scikit_learns(problem):
    truth, models = problem
    table = classification.scores(truth, models, NAMES, positive="b")
    assert list(table.columns) == ["f1_a", "f1_b", "f1_c", "macro_f1", "auc_b"]
    for name, each in models.items():
        guess = each.argmax(axis=1)
        np.testing.assert_allclose(table.loc[name, ["f1_a", "f1_b", "f1_c"]], f1_score(truth, guess, average=None))
        np.testing.assert_allclose(table.loc[name, "macro_f1"], f1_score(truth, guess, average="macro"))
        np.testing.assert_allclose(table.loc[name, "auc_b"], roc_auc_score(truth == 1, each[:, 1]))


def test_weighted_scores_are_scikit_learns(problem):
    truth, models = problem
    (weights,) = bootstrap.weights(60, 4, seed=1)
    table = classification.scores(truth, models, NAMES, positive="c", weights=weights)
    for number, row in enumerate(weights):
        for name, each in models.items():
            macro = f1_score(truth, each.argmax(axis=1), average="macro", sample_weight=row)
            np.testing.assert_allclose(table.loc[(number, name), "macro_f1"], macro)
            area = roc_auc_score(truth == 2, each[:, 2], sample_weight=row)
            np.testing.assert_allclose(table.loc[(number, name), "auc_c"], area)


def test_what_is_undefined_is_nan():
    truth, models = np.array([0, 0, 1]), {"x": np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.1, 0.9, 0]])}
    table = classification.scores(truth, models, NAMES, positive="c").loc["x"]
    assert np.isnan(table[["f1_c", "macro_f1", "auc_c"]]).all()
    np.testing.assert_allclose(table[["f1_a", "f1_b"]], [2 / 3, 2 / 3])


def test_a_class_that_is_there_and_never_predicted_scores_zero():
    table = classification.scores(np.array([0, 1]), {"x": np.array([[1.0, 0], [1, 0]])}, ["a", "b"]).loc["x"]
    assert table["f1_b"] == 0
