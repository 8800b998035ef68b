"""Sparsity of maps: closed forms, scipy's entropy, and Quantus where it is installed."""

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy

from medxai.evaluation.complexity import entropy, gini

MAPS = np.random.default_rng(0).normal(size=(3, 2, 6, 5)) ** 3
QUANTUS = "Quantus is no dependency of the book, as it brings another OpenCV with it"


def test_gini_index_is_that_of_the_lorenz_curve():
    assert gini(np.full((3, 3), -2.0)) == pytest.approx(0)
    assert gini(np.eye(1, 100)) == pytest.approx(0.99)
    area = np.trapezoid([0, 0.25, 1], [0, 0.5, 1])  # under the Lorenz curve: the smaller of two values has a quarter
    assert gini(np.array([[-3.0, 1.0]])) == pytest.approx(1 - 2 * area)
    for place in np.ndindex(3, 2):
        size = np.sort(np.abs(MAPS[place]), axis=None)
        lorenz = np.concatenate([[0], size.cumsum() / size.sum()])
        assert gini(MAPS)[place] == pytest.approx(1 - 2 * np.trapezoid(lorenz, dx=1 / 30))


def test_entropy_is_scipys_of_the_shares():
    assert entropy(np.full((4, 5), -2.0)) == pytest.approx(np.log(20))
    assert entropy(np.eye(1, 100)) == 0
    np.testing.assert_allclose(entropy(MAPS), scipy_entropy(np.abs(MAPS).reshape(3, 2, -1), axis=-1))


@pytest.mark.parametrize("metric", [gini, entropy])
def test_scale_and_sign_do_not_count_and_zeros_have_no_value(metric):
    assert metric(MAPS).shape == (3, 2)
    np.testing.assert_allclose(metric(-1e300 * MAPS / np.abs(MAPS).max()), metric(MAPS))
    values = metric(np.stack([np.zeros((6, 5)), MAPS[0, 0]]))
    assert np.isnan(values[0])
    assert values[1] == metric(MAPS[0, 0])


def test_a_sparser_map_has_a_higher_index_and_a_lower_entropy():
    sparse = MAPS[0, 0] * (np.abs(MAPS[0, 0]) > 0.5)
    assert gini(sparse) > gini(MAPS[0, 0])
    assert entropy(sparse) < entropy(MAPS[0, 0])


@pytest.mark.parametrize("metric", [gini, entropy])
@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (np.ones(4), r"maps have the shape \(4,\): expected \(\.\.\., h, w\)"),
        (np.ones((2, 0, 3)), "none of it 0"),
        (np.full((2, 2), np.nan), "NaN or infinity"),
    ],
)
def test_what_is_no_map_is_refused(metric, maps, message):
    with pytest.raises(ValueError, match=message):
        metric(maps)


def test_quantus_agrees():
    quantus = pytest.importorskip("quantus", reason=QUANTUS)
    flat = MAPS.reshape(6, 6, 5)
    arguments = {"x_batch": flat[:, None], "a_batch": np.abs(flat[:, None])}
    sparseness = quantus.Sparseness(disable_warnings=True).evaluate_batch(**arguments)
    complexity = quantus.Complexity(disable_warnings=True).evaluate_batch(**arguments)
    np.testing.assert_allclose(gini(flat), sparseness, rtol=1e-5)  # it adds 1e-7 to every value
    np.testing.assert_allclose(entropy(flat), complexity, rtol=1e-5)
