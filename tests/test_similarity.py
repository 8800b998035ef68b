"""Similarity of two maps: scipy's rank correlation, and structural similarity from its formula."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from medxai.evaluation.similarity import rank_correlation, rank_correlations, structural_similarity


def test_rank_correlations_are_spearmans():
    maps = np.random.default_rng(1).normal(size=(4, 5, 6)).round(1)  # rounded: ties
    wanted = spearmanr(maps.reshape(4, -1), axis=1).statistic
    np.testing.assert_allclose(rank_correlations(maps), wanted, atol=1e-12)
    assert np.isnan(rank_correlation(maps[0], np.zeros((5, 6))))


def slow_similarity(one: np.ndarray, other: np.ndarray) -> float:
    """Wang et al. 2004, eq. 13, square by square, with variances over n - 1 as scikit-image's default has them."""
    one, other = ((values - values.min()) / (values.max() - values.min()) for values in (one, other))
    values = []
    for i, j in np.ndindex(one.shape[0] - 6, one.shape[1] - 6):
        x, y = one[i : i + 7, j : j + 7].ravel(), other[i : i + 7, j : j + 7].ravel()
        (variance_x, both), (_, variance_y) = np.cov(x, y)
        mean = (2 * x.mean() * y.mean() + 0.01**2) / (x.mean() ** 2 + y.mean() ** 2 + 0.01**2)
        values.append(mean * (2 * both + 0.03**2) / (variance_x + variance_y + 0.03**2))
    return np.mean(values)


def test_structural_similarity_is_that_of_the_formula():
    one, other = np.random.default_rng(2).normal(size=(2, 11, 9))
    assert structural_similarity(one, other) == pytest.approx(slow_similarity(one, other), abs=1e-12)
    assert structural_similarity(one, one + other / 10) > structural_similarity(one, other)


def test_neither_size_nor_a_constant_counts_for_structure():
    one, other = np.random.default_rng(3).normal(size=(2, 9, 9))
    assert structural_similarity(one, 1e-6 * one) == pytest.approx(1)
    assert structural_similarity(one, 5 * other - 7) == pytest.approx(structural_similarity(other, one))


def test_structural_similarity_of_a_constant_map_is_not_defined():
    one = np.random.default_rng(4).normal(size=(8, 8))
    assert np.isnan(structural_similarity(one, np.full((8, 8), 3.0)))
    assert np.isnan(structural_similarity(np.zeros((8, 8)), one))


def test_maps_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match=r"maps are \(8, 8\) and \(8, 9\): expected the same shape of at least 7 x 7"):
        structural_similarity(np.eye(8), np.eye(8, 9))
    with pytest.raises(ValueError, match="at least 7 x 7"):
        structural_similarity(np.eye(6), np.eye(6))
    with pytest.raises(ValueError, match="NaN or infinity"):
        structural_similarity(np.eye(8), np.full((8, 8), np.nan))
    with pytest.raises(ValueError, match=r"expected \(h, w\)"):
        structural_similarity(np.ones((1, 8, 8)), np.ones((1, 8, 8)))
