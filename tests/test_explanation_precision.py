"""Precision of explanations, by hand and against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_score

from medxai.evaluation import bootstrap, explanation_precision

FOUND = np.array([[1, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]], bool)
PRESENT = np.array([[1, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]], bool)
LABELS = np.array([0, 0, 1, 1, 1])
PREVALENCE = pd.DataFrame([[0.5, 0.0], [0.2, 0.1], [0.05, 0.9], [0.0, 0.04]], list("pqrs"), ["x", "y"])


def test_right_diagnoses() -> None:
    guesses = np.array([0, 0, 1, 0, 1])
    explained = np.array([True, True, True, True, False])
    table = explanation_precision.right_diagnoses(FOUND, PRESENT, LABELS, guesses, explained)
    assert table["image"].tolist() == [0, 1, 2]
    assert table["given"].tolist() == [2, 3, 0]
    assert table["right"].tolist() == [1, 3, 0]
    np.testing.assert_allclose(table["precision"], [0.5, 1, np.nan])  # nothing is said of the third
    np.testing.assert_allclose(table["chance"], [0.25, 1, np.nan])


def test_wrong_diagnoses_by_cutoff() -> None:
    guesses = np.array([1, 0, 0, 0, 1])
    table = explanation_precision.wrong_diagnoses(FOUND, LABELS, guesses, PREVALENCE, [0.04, 0.1]).set_index("cutoff")
    assert table["image"].tolist() == [0, 2, 3] * 2
    # Image 0 is called y, which at .04 is q, r and s, at .1 q and r; it says p and q.
    # Image 3 is called x, which at .04 is p, q and r, at .1 p and q; it says q and r.
    np.testing.assert_allclose(table.loc[0.04, "precision"], [1 / 2, np.nan, 1])
    np.testing.assert_allclose(table.loc[0.1, "precision"], [1 / 2, np.nan, 1 / 2])
    np.testing.assert_allclose(table.loc[0.1, "chance"], [0.5, np.nan, 0.5])
    with pytest.raises(ValueError, match="is of 3 characteristics and 2 diseases: expected 4, and more than 1"):
        explanation_precision.wrong_diagnoses(FOUND, LABELS, guesses, PREVALENCE.iloc[1:])


def test_precision_is_scikit_learns_and_random_answers_reach_chance() -> None:
    generator = np.random.default_rng(0)
    found, present = generator.random((4000, 6)) < 0.4, generator.random((4000, 6)) < generator.random(6)
    labels, known = np.zeros(4000, int), np.ones(4000, bool)
    table = explanation_precision.right_diagnoses(found, present, labels, labels, known)
    said = found.any(1)
    expected = precision_score(present[said], found[said], average="samples", zero_division=0)
    np.testing.assert_allclose(table["precision"].mean(), expected)
    found = bootstrap.differences(table[["precision", "chance"]], "chance", resamples=200)
    assert found.loc["precision", "low"] < 0 < found.loc["precision", "high"]
    assert found.loc["precision", "images"] == said.sum()
