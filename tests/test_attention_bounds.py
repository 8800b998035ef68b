"""Controls and ceilings of localisation, by closed forms."""

import numpy as np
import pandas as pd
import pytest
import torch

from medxai.evaluation import attention_bounds, attention_cases, bootstrap, localisation

NAMES, SIDE = ["p", "q", "r"], 12


@pytest.fixture(scope="module")
def maps() -> np.ndarray:
    """Six images: p is a square that moves, q noise on half of them, r on the last image alone."""
    generator = np.random.default_rng(0)
    maps = np.zeros((6, 3, SIDE, SIDE), np.float32)
    for image in range(6):
        maps[image, 0, 2:6, image : image + 4] = 0.5
    maps[::2, 1] = generator.random((3, SIDE, SIDE))
    maps[5, 2, 0, 0] = 1
    return maps


@pytest.fixture(scope="module")
def table(maps: np.ndarray) -> pd.DataFrame:
    folds = np.array([0, 0, 0, 1, 1, 1])
    return attention_bounds.bounds(maps, maps.any((2, 3)), NAMES, folds, grids=(3, 12), steps=10)


def _f1(table: pd.DataFrame, kind: str, name: str) -> np.ndarray:
    return table.loc[(table["map"] == kind) & (table["name"] == name), "f1"].to_numpy()


def test_every_case_is_scored_by_every_map(table: pd.DataFrame) -> None:
    kinds = ["constant", "mean map", "scaled mean map", "union", "shape", "shape on 3 x 3", "shape on 12 x 12"]
    assert list(table["map"].unique()) == [*kinds, "best on 3 x 3", "best on 12 x 12"]
    for _, rows in table.groupby("map", observed=True):
        assert rows["image"].tolist() == [0, 0, 1, 2, 2, 3, 4, 4, 5, 5]
        assert rows["name"].tolist() == list("pqppqppqpr")
        assert (rows["fold"] == rows["image"] // 3).all()
    assert table["found"].all()


def test_controls_by_hand(maps: np.ndarray, table: pd.DataFrame) -> None:
    # A constant under 16 pixels of 1/2.
    np.testing.assert_allclose(_f1(table, "constant", "p"), 2 * 16 * 0.2 / (144 * 0.2 + 8), rtol=1e-6)
    for kind, scale in (("mean map", 1), ("scaled mean map", 2)):
        # The mean of squares that share two columns is as high as they are, there.
        for image, others in ((0, [3, 4, 5]), (4, [0, 1, 2])):
            mean = scale * maps[others, 0].mean(0)
            expected = localisation.fuzzy_scores(mean, maps[image, 0]).f1
            np.testing.assert_allclose(_f1(table, kind, "p")[image], expected, rtol=1e-6)
        assert np.isnan(_f1(table, kind, "r")).all()  # the other fold has none
    union = localisation.attention(maps[2].max(0))
    np.testing.assert_allclose(_f1(table, "union", "q")[1], localisation.fuzzy_scores(union, maps[2, 1]).f1, rtol=1e-6)


def test_ceilings_by_hand(maps: np.ndarray, table: pd.DataFrame) -> None:
    # The map over its maximum, 1/2, is twice the map: 2 m / (1 + m).
    np.testing.assert_allclose(_f1(table, "shape", "p"), 2 * 0.5 / 1.5, rtol=1e-6)
    np.testing.assert_allclose(_f1(table, "shape on 12 x 12", "p"), _f1(table, "shape", "p"), rtol=1e-6)
    cells = torch.from_numpy(maps[[0, 2, 4], 1].reshape(3, 3, 4, 3, 4).mean((2, 4)))[:, None]
    fine = localisation.attention(torch.nn.functional.interpolate(cells, (SIDE, SIDE), mode="bilinear")[:, 0].numpy())
    expected = localisation.fuzzy_scores(fine, maps[[0, 2, 4], 1]).f1
    np.testing.assert_allclose(_f1(table, "shape on 3 x 3", "q"), expected, rtol=1e-5)
    # As fine as the reference, the best map is the reference but for one pixel, which is 1.
    np.testing.assert_allclose(_f1(table, "best on 12 x 12", "p"), 2 * 8 / (8.5 + 8), rtol=1e-6)
    for name in "pq":
        assert (_f1(table, "best on 3 x 3", name) > _f1(table, "shape on 3 x 3", name)).all()
    # A speck in the corner: the cell around it fades over as many pixels as it has, 16.
    np.testing.assert_allclose(_f1(table, "shape on 12 x 12", "r"), 1)
    np.testing.assert_allclose(_f1(table, "best on 3 x 3", "r"), 2 / (16 + 1), rtol=1e-5)


def test_a_fold_without_a_case_and_scores_on_the_grid_itself() -> None:
    maps = np.zeros((3, 1, 8, 8), np.float32)
    maps[0, 0, :4], maps[1, 0, :, 4:] = 0.5, 1
    table = attention_bounds.bounds(maps, maps.any((2, 3)), ["p"], np.arange(3), grids=(8,))
    assert table["image"].unique().tolist() == [0, 1]
    # On its own grid the shape is only scaled, and all but one pixel of the best map is the reference.
    np.testing.assert_allclose(_f1(table, "shape on 8 x 8", "p"), [2 * 0.5 / 1.5, 1], rtol=1e-6)
    np.testing.assert_allclose(_f1(table, "best on 8 x 8", "p"), [2 * 16 / (16.5 + 16), 1], rtol=1e-6)


def test_skill() -> None:
    values = pd.DataFrame(
        {"net": [0.4, 0.6, np.nan, 0.9], "worse": 0.1, "blind": [0.2, 0.4, 0.5, 0.3], "best": [0.8, 0.8, 0.9, np.nan]}
    )
    groups = np.array([5, 5, 6, 8])
    found = attention_bounds.skill(values, groups, "blind", "best")
    assert found.loc["net"].tolist() == pytest.approx([0.5, 0.3, 0.8, 0.4])  # the two cases that all have
    score, blind, best = 0.1, (0.2 + 0.4 + 0.5) / 3, (0.8 + 0.8 + 0.9) / 3
    assert found.loc["worse"].tolist() == pytest.approx([score, blind, best, (score - blind) / (best - blind)])
    turned = attention_bounds.skill(values.rename(columns={"blind": "best", "best": "blind"}), groups, "blind", "best")
    assert turned["skill"].isna().all()
    # Image 6 drawn alone: the network has no case.
    drawn = attention_bounds.skill(values, groups, "blind", "best", weights=np.array([[0, 1.0, 0], [2, 1, 0]]))
    assert drawn.loc[0].loc["net"].isna().all()
    assert drawn.loc[(1, "worse"), "control"] == pytest.approx((2 * 0.2 + 2 * 0.4 + 0.5) / 5)


def test_skill_with_an_interval(table: pd.DataFrame) -> None:
    kinds = dict(list(table.groupby("map", observed=True)))
    chosen = {name: kinds[name] for name in ("shape", "constant", "best on 12 x 12")}
    values, groups = attention_cases.side_by_side(chosen)

    def statistic(weights: np.ndarray | None = None) -> pd.DataFrame:
        return attention_bounds.skill(values, groups, "constant", "best on 12 x 12", weights=weights)

    low, high = bootstrap.interval(statistic, 6, resamples=200)
    assert 0 < low.loc["shape", "skill"] < statistic().loc["shape", "skill"] < high.loc["shape", "skill"] <= 1


def test_maps_that_are_not_square() -> None:
    with pytest.raises(ValueError, match=r"maps are \(2, 1, 3, 4\): expected \(n, c, side, side\)"):
        attention_bounds.bounds(np.zeros((2, 1, 3, 4)), np.ones((2, 1), bool), ["p"], np.arange(2))
