"""The bootstrap of means and of many differences: closed forms, SciPy, and how often intervals hold.

The intervals of tables are tested with the tables, in test_agreement.py.
"""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from medxai.evaluation import bootstrap

LETTERS = list("abcdefghij")


def normal_columns(images: int, columns: int, seed: int, shared: float = 0.0) -> pd.DataFrame:
    """Independent normal columns, beside the column "none" of zeros."""
    draw = np.random.default_rng(seed)
    values = shared * draw.normal(size=(images, 1)) + draw.normal(size=(images, columns))
    return pd.DataFrame(values, columns=LETTERS[:columns]).assign(none=0.0)


def critical_value(values: pd.DataFrame, found: pd.DataFrame) -> pd.Series:
    """Half of each interval over the standard error, in closed form."""
    error = values.sub(values["none"], axis=0)[found.index].std(ddof=0) / np.sqrt(len(values))
    return (found["high"] - found["low"]) / 2 / error


def test_mean_intervals_against_scipy() -> None:
    draw = np.random.default_rng(0)
    values = pd.DataFrame({"normal": draw.normal(3, 1, 80), "skewed": draw.exponential(2, 80)})
    found = bootstrap.mean_intervals(values, resamples=8000, seed=1, level=0.9)
    assert found.columns.tolist() == ["value", "low", "high", "images"]
    for name, column in values.items():
        expected = stats.bootstrap(
            (column,), np.mean, n_resamples=8000, method="percentile", confidence_level=0.9, rng=2
        ).confidence_interval
        error = column.std() / np.sqrt(80)
        assert found.loc[name, "value"] == pytest.approx(column.mean())
        assert found.loc[name, "low"] == pytest.approx(expected.low, abs=0.08 * error)
        assert found.loc[name, "high"] == pytest.approx(expected.high, abs=0.08 * error)
    assert found["images"].tolist() == [80, 80]


def test_mean_intervals_are_percentiles_of_a_loop() -> None:
    values = pd.DataFrame({"a": [0.1, np.nan, 0.4, 0.9, 0.2], "b": [1.0, 2.0, 3.0, np.nan, np.nan]})
    found = bootstrap.mean_intervals(values, resamples=700, seed=3)
    drawn = np.concatenate(list(bootstrap.weights(5, 700, seed=3))).astype(int)
    for name, column in values.items():
        repeated = [np.repeat(column, weights).dropna() for weights in drawn]
        means = [one.mean() for one in repeated if len(one)]
        np.testing.assert_allclose(found.loc[name, ["low", "high"]].astype(float), np.quantile(means, [0.025, 0.975]))
    assert found["value"].tolist() == pytest.approx([0.4, 2])
    assert found["images"].tolist() == [4, 3]


@pytest.mark.parametrize("images", [5, 20])
def test_percentile_intervals_of_few_images_hold_less_often_than_they_say(images: int) -> None:
    """2000 means of normal values; four standard errors of a share are allowed."""
    found = bootstrap.mean_intervals(pd.DataFrame(np.random.default_rng(images).normal(size=(images, 2000))))
    held = ((found["low"] < 0) & (found["high"] > 0)).mean()
    expected = bootstrap.coverage(images)
    assert held == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 2000))
    assert expected < 0.95 - 0.1 / images


def test_coverage_grows_to_the_level() -> None:
    shares = [bootstrap.coverage(images) for images in (2, 5, 20, 100_000)]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(0.95, abs=1e-5)
    assert bootstrap.coverage(100_000, level=0.8) == pytest.approx(0.8, abs=1e-5)
    with pytest.raises(ValueError, match="images is 1: expected at least 2"):
        bootstrap.coverage(1)


def test_undefined_means() -> None:
    values = pd.DataFrame({"none": [np.nan] * 3, "one": [np.nan, 4.0, np.nan], "same": [2, 2, 2]})
    found = bootstrap.mean_intervals(values)
    np.testing.assert_array_equal(found.to_numpy(), [[np.nan, np.nan, np.nan, 0], [4, np.nan, np.nan, 1], [2, 2, 2, 3]])


@pytest.mark.parametrize("call", [bootstrap.mean_intervals, lambda v, **o: bootstrap.differences(v, "none", **o)])
def test_copies_in_one_group_change_nothing(call) -> None:
    values = normal_columns(30, 3, seed=4)
    values.iloc[3:6, 1] = np.nan
    copies = pd.concat([values, values], ignore_index=True)
    alone = call(values, resamples=300)
    together = call(copies, groups=np.tile(np.arange(30), 2), resamples=300)
    pd.testing.assert_frame_equal(together.drop(columns="images"), alone.drop(columns="images"))
    assert (together["images"] == 2 * alone["images"]).all()
    apart = call(copies, resamples=300)
    width = (apart["high"] - apart["low"])["a"] / (alone["high"] - alone["low"])["a"]
    assert width == pytest.approx(np.sqrt(0.5), rel=0.15)  # copies taken for new images


def test_groups_of_different_sizes_by_a_loop() -> None:
    values = pd.DataFrame({"a": np.arange(7.0)})
    groups = np.array([5, 5, 5, -2, -2, 9, 11])
    found = bootstrap.mean_intervals(values, groups=groups, resamples=200, seed=5)
    members = [np.flatnonzero(groups == number) for number in (-2, 5, 9, 11)]
    (drawn,) = bootstrap.weights(4, 200, seed=5)
    means = [np.mean(np.concatenate([np.tile(m, int(w)) for m, w in zip(members, row, strict=True)])) for row in drawn]
    assert found.loc["a", "value"] == 3
    np.testing.assert_allclose(found.loc["a", ["low", "high"]].astype(float), np.quantile(means, [0.025, 0.975]))


def test_one_difference_is_the_textbook_for_many_images() -> None:
    for seed, shift in ((6, 0.0), (7, 0.06), (8, 0.12)):
        values = normal_columns(800, 1, seed)
        values["a"] += shift
        found = bootstrap.differences(values, "none", resamples=4000)
        assert critical_value(values, found)["a"] == pytest.approx(1.96, abs=0.07)
        assert found.loc["a", "difference"] == pytest.approx(values["a"].mean())
        assert found.loc["a", "p"] == pytest.approx(stats.ttest_rel(values["a"], values["none"]).pvalue, abs=0.02)


@pytest.mark.parametrize("columns", [3, 8])
def test_independent_columns_come_near_sidak(columns: int) -> None:
    values = normal_columns(600, columns, seed=9)
    found = bootstrap.differences(values, "none", resamples=4000)
    sidak = stats.norm.ppf((1 + 0.95 ** (1 / columns)) / 2)
    np.testing.assert_allclose(critical_value(values, found), sidak, atol=0.1)
    alone = stats.ttest_1samp(values[found.index], 0).pvalue
    np.testing.assert_allclose(found["p"], 1 - (1 - alone) ** columns, atol=0.04)


def test_columns_that_are_alike_cost_nothing() -> None:
    values = normal_columns(400, 1, seed=10)
    copies = values.assign(b=values["a"] + 1, c=-3 * values["a"])
    alone, found = (bootstrap.differences(table, "none", resamples=2000) for table in (values, copies))
    np.testing.assert_allclose(critical_value(copies, found), critical_value(values, alone)["a"])


def test_differences_by_a_loop() -> None:
    """The definition computed apart: images repeated, means and standard errors of NumPy."""
    values = normal_columns(12, 3, seed=11, shared=1).assign(none=np.linspace(0, 0.5, 12))
    values.iloc[0, 0] = values.iloc[5, 3] = np.nan
    found = bootstrap.differences(values, "none", resamples=199, seed=12, level=0.9)
    gaps = values[["a", "b", "c"]].sub(values["none"], axis=0)
    mean, error = gaps.mean(), gaps.std(ddof=0) / np.sqrt(gaps.notna().sum())
    maxima = []
    for weights in np.concatenate(list(bootstrap.weights(12, 199, seed=12))).astype(int):
        drawn = gaps.loc[np.repeat(np.arange(12), weights)]
        own = np.maximum(drawn.std(ddof=0) / np.sqrt(drawn.notna().sum()), 0.5 * error)
        maxima.append(((drawn.mean() - mean).abs() / own).max())
    maxima = np.sort(maxima)
    critical = maxima[180 - 1]  # 0.9 * (1 + 199)
    p = [(1 + np.sum(maxima >= one)) / 200 for one in (mean / error).abs()]
    expected = pd.DataFrame(
        {
            "difference": mean,
            "low": mean - critical * error,
            "high": mean + critical * error,
            "p": p,
            "images": [10, 11, 11],
        }
    )
    pd.testing.assert_frame_equal(found, expected)


def test_intervals_hold_together_as_often_as_they_say() -> None:
    """8 columns of 40 images, 200 times; four standard errors of a share are allowed."""
    truth = np.linspace(-0.2, 0.2, 8)
    held = 0
    for seed in range(200):
        values = normal_columns(40, 8, seed=100 + seed, shared=0.7)
        values.iloc[:, :8] += truth
        found = bootstrap.differences(values, "none", resamples=299, seed=seed)
        held += bool(((found["low"] <= truth) & (truth <= found["high"])).all())
    assert held / 200 == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 200))


def test_interval_and_p_say_the_same() -> None:
    draw = np.random.default_rng(13)
    for seed in range(30):
        values = normal_columns(25, 5, seed=14 + seed).add([0.5, 0.6, 0.4, 0.7, 0, 0])
        level = float(draw.choice([0.8, 0.9, 0.95]))
        found = bootstrap.differences(values, "none", resamples=99, seed=seed, level=level)
        excluded = (found["low"] > 0) | (found["high"] < 0)
        np.testing.assert_array_equal(excluded, found["p"] <= 1 - level + 1e-12)


def test_one_resampling_for_all_columns_and_the_seed() -> None:
    values = normal_columns(50, 4, seed=15)
    found = bootstrap.differences(values, "none", seed=16)
    pd.testing.assert_frame_equal(found, bootstrap.differences(values, "none", seed=16))
    turned = bootstrap.differences(values[["none", "d", "b", "a", "c"]], "none", seed=16)
    pd.testing.assert_frame_equal(turned.loc[found.index], found)
    against = bootstrap.differences(values, "a", seed=16)
    assert against.loc["none", "difference"] == pytest.approx(-found.loc["a", "difference"])
    assert not against["low"].equals(bootstrap.differences(values, "a", seed=17)["low"])


def test_constant_differences() -> None:
    """Equal but for rounding: no standard error, and no part in what the other columns get."""
    values = normal_columns(40, 2, seed=18).assign(none=np.random.default_rng(19).random(40))
    more = values.assign(same=values["none"], rounded=values["none"] * 3 / 3, higher=values["none"] + 0.1)
    more = more.assign(other=(more["none"] + 0.7) - 0.7)
    found = bootstrap.differences(more, "none", resamples=500)
    pd.testing.assert_frame_equal(found.loc[["a", "b"]], bootstrap.differences(values, "none", resamples=500))
    for name in ("same", "rounded", "other"):
        assert found.loc[name, ["difference", "low", "high"]].abs().max() < 1e-15
        assert found.loc[name, "p"] == 1
    assert found.loc["higher", ["low", "difference", "high"]].tolist() == pytest.approx([0.1] * 3)
    assert found.loc["higher", "low"] == found.loc["higher", "high"]
    assert found.loc["higher", "p"] == 1 / 501
    only = bootstrap.differences(more[["none", "same", "higher"]], "none", resamples=500)
    pd.testing.assert_frame_equal(only, found.loc[["same", "higher"]])


def test_one_extreme_image_does_not_blow_up_the_others() -> None:
    values = normal_columns(100, 2, seed=20)
    spiked = values.assign(spike=np.where(np.arange(100) == 7, 50.0, 1e-3 * values["a"]))
    rare = spiked.assign(rare=(np.arange(100) == 9) * 1.0)  # missed by a third of the resamples
    found = bootstrap.differences(rare, "none")
    assert np.isfinite(found).all(axis=None)
    assert (critical_value(rare, found) < 5).all()


def test_columns_without_images() -> None:
    values = normal_columns(40, 2, seed=21).assign(one=np.nan, never=np.nan)
    values.loc[3, "one"] = 0.5
    found = bootstrap.differences(values, "none")
    assert found.loc["one", ["difference", "images"]].tolist() == [0.5, 1]
    assert found.loc["one", ["low", "high", "p"]].isna().all()
    assert found.loc["never", ["difference", "low", "high", "p"]].isna().all()
    assert found["images"].tolist() == [40, 40, 1, 0]
    expected = bootstrap.differences(values[["a", "b", "none"]], "none")
    pd.testing.assert_frame_equal(found.loc[["a", "b"]], expected)
    one_group = bootstrap.differences(values, "none", groups=np.zeros(40, dtype=int))
    assert one_group[["low", "high", "p"]].isna().all(axis=None)


def test_bad_input_is_refused() -> None:
    values = normal_columns(10, 2, seed=22)
    for call, message in (
        (
            lambda: bootstrap.mean_intervals(values.assign(a="x")),
            "column 'a' is object: expected numbers, NaN where there",
        ),
        (lambda: bootstrap.mean_intervals(values / 0), "column 'a' holds infinity: expected finite numbers"),
        (lambda: bootstrap.mean_intervals(values[:0]), "images are 0 and resamples 1000: expected at least 1"),
        (
            lambda: bootstrap.mean_intervals(values, groups=np.arange(9)),
            r"groups are int64 \(9,\): expected integers \(10,\)",
        ),
        (
            lambda: bootstrap.mean_intervals(values, groups=np.ones(10)),
            r"groups are float64 \(10,\): expected integers",
        ),
        (lambda: bootstrap.mean_intervals(values, level=2), "level is 2: expected a share between 0 and 1"),
        (lambda: bootstrap.differences(values, "z"), "values have the columns a, b, none: expected 'z' and another"),
        (lambda: bootstrap.differences(values[["a"]], "a"), "values have the columns a: expected 'a' and another"),
        (lambda: bootstrap.differences(values, "a", resamples=18), "resamples are 18: expected at least 19"),
        (lambda: bootstrap.differences(values, "a", level=0), "level is 0: expected a share between 0 and 1"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    bootstrap.differences(values, "a", resamples=19)
