"""Localisation by case, by hand, and its means over folds."""

import numpy as np
import pandas as pd
import pytest
import torch

from medxai.evaluation import attention_cases, bootstrap, per_class

NAMES = ["p", "q"]


@pytest.fixture
def table() -> pd.DataFrame:
    """Three images with four cases: attention of 1 x 2 cells, maps of 2 x 4 pixels, whose scores are told by heart."""
    maps = np.zeros((3, 2, 2, 4), np.float32)
    maps[0, 0, :, :2] = 1  # the left half
    maps[0, 1] = 0.5
    maps[1, 0, :, 3:] = 1  # the last column
    maps[2, 0, :, :] = [1, 0.75, 0.25, 0]
    present = maps.any((2, 3))
    attention = torch.zeros(3, 2, 1, 2)
    attention[0, 0, 0] = attention[2, 0, 0] = torch.tensor([3.0, 0])  # over its maximum 1, .75, .25, 0 across
    attention[0, 1] = 7
    found = np.array([[True, False], [True, True], [False, False]])
    return attention_cases.cases(attention, maps, present, found, NAMES)


def test_scores_by_hand(table: pd.DataFrame) -> None:
    assert table["image"].tolist() == [0, 0, 1, 2]
    assert table["name"].tolist() == ["p", "q", "p", "p"]
    assert table["found"].tolist() == [True, False, True, False]
    np.testing.assert_allclose(table["f1"], [2 * 3.5 / 8, 2 * 4 / 12, 0, 1])
    np.testing.assert_allclose(table["sensitivity"], [3.5 / 4, 1, 0, 1])
    np.testing.assert_allclose(table["specificity"], [3.5 / 4, 0, 1, (1 + 0.75 + 0.5 * 0 + 0.25) / 2])


def test_means_by_fold(table: pd.DataFrame) -> None:
    table = table.assign(fold=np.array([4, 4, 9])[table["image"]])
    rows = attention_cases.by_fold(table, [*NAMES, "r"]).set_index(["fold", "name"])
    assert list(rows.index) == [(fold, name) for fold in (4, 9) for name in (*NAMES, "r", "Mean")]
    np.testing.assert_allclose(rows.loc[(4, "p"), ["f1", "samples"]].astype(float), [(0.875 + 0) / 2, 2])
    np.testing.assert_allclose(rows.loc[(4, "Mean"), "f1"], (0.4375 + 2 / 3) / 2)  # of what is defined
    assert rows.loc[(9, "q"), "samples"] == 0
    assert np.isnan(rows.loc[(9, "q"), "f1"])
    means = per_class.over_folds(rows.reset_index())
    np.testing.assert_allclose(means.loc["p", ["f1", "f1_std", "samples"]], [(0.4375 + 1) / 2, (1 - 0.4375) / 2, 3])
    assert means.loc["Mean", "samples"] == pytest.approx(4 / 3)
    agreed = attention_cases.by_fold(attention_cases.agreed(table), NAMES).set_index(["fold", "name"])
    assert agreed["samples"].tolist() == [2, 0, 1]  # no agreed case in fold 9


def test_networks_in_pairs(table: pd.DataFrame) -> None:
    table = table.replace({"image": {0: "x", 1: "y", 2: "z"}})
    other = attention_cases.agreed(table).assign(f1=lambda rows: rows["f1"] + 0.1)
    values, groups = attention_cases.side_by_side({"a": table, "b": other})
    assert groups.tolist() == [0, 0, 1, 2]
    assert values["b"].isna().tolist() == [False, True, False, True]
    found = bootstrap.differences(values, "a", groups=groups, resamples=100)
    assert found.loc["b", ["difference", "low", "high"]].tolist() == pytest.approx([0.1] * 3)
    assert found.loc["b", "images"] == 2


def test_a_map_of_zeros_and_no_case() -> None:
    maps, present = np.zeros((1, 2, 4, 4), np.float32), np.array([[True, False]])
    maps[0, 0, 0] = 1
    table = attention_cases.cases(torch.zeros(1, 2, 2, 2), maps, present, present, NAMES)
    np.testing.assert_allclose(table[["f1", "sensitivity", "specificity"]], [[0, 0, 1]])
    assert attention_cases.cases(torch.zeros(1, 2, 2, 2), maps, ~present & False, present, NAMES).empty
    with pytest.raises(ValueError, match=r"are of \(1, 3\), \(1, 2\), \(1, 2\), \(1, 2\): expected \(1, 2\) of all"):
        attention_cases.cases(torch.zeros(1, 3, 2, 2), maps, present, present, NAMES)
