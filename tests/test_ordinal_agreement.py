"""Agreement of two readers on a scale, against scikit-learn and SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import cohen_kappa_score

from medxai.evaluation import bootstrap
from medxai.evaluation.ordinal_agreement import agreement


@pytest.fixture
def scores() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    first = generator.integers(0, 4, (50, 3))
    return first, np.clip(first + generator.integers(-1, 3, (50, 3)), 0, 3)


def test_libraries_agree(scores: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = scores
    table = agreement(first, second, list("abc"))
    for place, x, y in [*zip("abc", first.T, second.T, strict=True), ("sum", first.sum(1), second.sum(1))]:
        row = table.loc[place]
        assert row["weighted_kappa"] == pytest.approx(cohen_kappa_score(x, y, weights="quadratic"))
        assert row["correlation"] == pytest.approx(pearsonr(x, y).statistic)
        assert row["mean_difference"] == pytest.approx((y - x).mean())
        assert row["same"] == pytest.approx((x == y).mean())


def test_what_is_undefined_is_nan() -> None:
    ones, mixed = np.ones((4, 1), int), np.array([[0], [1], [2], [3]])
    assert np.isnan(agreement(ones, ones, ["a"]).loc["a", ["weighted_kappa", "correlation"]]).all()
    assert np.isnan(agreement(ones, mixed, ["a"]).loc["a", "correlation"])
    assert agreement(mixed, mixed, ["a"]).loc["a", "weighted_kappa"] == 1


def test_intervals_hold_the_value(scores: tuple[np.ndarray, np.ndarray]) -> None:
    def resampled(weights: np.ndarray) -> pd.DataFrame:
        return agreement(*scores, list("abc"), weights=weights)

    low, high = bootstrap.interval(resampled, 50, resamples=200, seed=0)
    table = agreement(*scores, list("abc"))
    assert ((low <= table) & (table <= high)).all(axis=None)
    assert (high - low > 0).all(axis=None)


def test_shapes(scores: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"expected \(n, 2\) twice"):
        agreement(*scores, ["a", "b"])
