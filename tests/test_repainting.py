"""Truth by re-painting: closed forms, networks that read one characteristic alone, and the trial at its smallest."""

from itertools import islice

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from medxai import profiles
from medxai.attribution import CONTROLS, explain
from medxai.data import real_or_simulated
from medxai.data.labelled_images import LabelledImages
from medxai.evaluation import bootstrap, removals
from medxai.evaluation.metrics import METRICS
from medxai.experiment import image_sets, repainting
from medxai.experiment.panel import MAP_METHODS, Panel
from medxai.experiment.repainting import COVERED
from medxai.models.normalisation import HALF
from medxai.painting import photograph
from medxai.studies import comparison

SMOKE = profiles.get("smoke")
SIDE = 64


def test_order_and_signs_in_closed_form() -> None:
    effects = np.array([3.0, 1.0, -2.0])
    sums = np.array([[6.0, 2, -4], [-4, 2, 6], [1, 1, 1], [1, 0, 1]])
    means = np.array([[3.0, 1, 2], [2, 3, 1], [1, 1, 1], [0, 0, 1]])
    found = removals.agreement(effects, sums, means, np.array([True, True, True, False]))
    np.testing.assert_allclose(found["removal_order"], [1, -1, np.nan, spearmanr(effects, sums[3])[0]])
    np.testing.assert_allclose(found["removal_order_unsigned"], [1, -0.5, np.nan, spearmanr([3, 1, 2], means[3])[0]])
    np.testing.assert_allclose(found["removal_sign_errors"], [0, 2 / 3, 1 / 3, np.nan])


def test_of_two_parts_there_is_no_order() -> None:
    found = removals.agreement(np.array([1.0, 2]), np.ones((2, 2)), np.ones((2, 2)), np.array([True, True]))
    assert np.isnan(found["removal_order"]).all()
    assert np.isnan(found["removal_order_unsigned"]).all()
    assert found["removal_sign_errors"].tolist() == [0, 0]


def drawn_removals(images: int = 8, parts: int = 4) -> pd.DataFrame:
    """Made removals: one map follows the effects, one the opposite, one is noise with ties, one constant."""
    rng = np.random.default_rng(0)
    effect = rng.normal(size=images * parts) + np.repeat(10 * rng.normal(size=images), parts)
    known = {"image": np.repeat(np.arange(images), parts), "characteristic": np.tile(list("abcd")[:parts], images)}
    noise = rng.integers(0, 3, images * parts).astype(float)
    maps = {"cam": 2 * effect, "lime": -effect, "gradient": noise, "saliency": 0 * effect}
    return pd.concat(pd.DataFrame({**known, "effect": effect, "method": name, "sum": s}) for name, s in maps.items())


def test_the_pooled_correlation_is_scipys_on_resampled_images() -> None:
    table = drawn_removals()
    found = removals.pooled(table, resamples=50).set_index("row")
    assert found.loc["cam", ["value", "low", "high"]].tolist() == pytest.approx([1, 1, 1])
    assert found.loc["lime", "value"] == pytest.approx(-1)
    assert found.loc["saliency"].isna().all()
    noise = table[table["method"] == "gradient"]
    centred = noise[["effect", "sum"]] - noise.groupby("image")[["effect", "sum"]].transform("mean")
    by_image = [part.to_numpy() for _, part in centred.groupby(noise["image"])]

    def of(counts: np.ndarray) -> float:
        repeated = np.concatenate(
            [part for part, times in zip(by_image, counts, strict=True) for _ in range(int(times))]
        )
        return spearmanr(*repeated.T)[0]

    (weights,) = bootstrap.weights(8, 50, removals.SEED)
    expected = [of(np.ones(8)), *np.quantile([of(counts) for counts in weights], [0.025, 0.975])]
    assert found.loc["gradient", ["value", "low", "high"]].tolist() == pytest.approx(expected)


EXACT = ("gradient_x_input", "integrated_gradients", "deeplift", "occlusion", "shapley_value_sampling")
"""Methods that are exact for a linear network; the last two replace regions one after the other."""


def linear(weights: Tensor) -> nn.Module:
    """Return a network whose second logit is a weighted sum of the pixels, and whose first is 0."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(weights.numel(), 2, bias=False)).eval().requires_grad_(False)
    network[1].weight.copy_(torch.stack([0 * weights.flatten(), weights.flatten()]))
    return network


def panel_of(images: LabelledImages, weights: Tensor) -> Panel:
    return Panel(linear(weights), images, np.array([1]), HALF, 2, EXACT, progress=False)


@pytest.fixture(scope="module")
def cases() -> list[photograph.Case]:
    """Cases of at least four characteristics."""
    db = real_or_simulated.open_dermxdb(SMOKE)
    found = (photograph.case(db, name, SIDE) for name in db.images.index[db.images["paper"]])
    return list(islice((case for case in found if len(case.regions) >= 4), 4))


@pytest.fixture(scope="module")
def removed(cases: list[photograph.Case]) -> list[tuple[LabelledImages, repainting.Removals]]:
    """The same, painted, with all removals."""
    paintings = [photograph.paint(case, seed=image_sets.SEED).image for case in cases]
    images = [
        LabelledImages("drawn", "simulated", [case.name], picture[None], np.array([1]), ("a", "b"))
        for case, picture in zip(cases, paintings, strict=True)
    ]
    return [(one, repainting.without_each(one, 0, case)) for one, case in zip(images, cases, strict=True)]


def reading(images: LabelledImages, removed: repainting.Removals, place: int) -> tuple[Panel, float]:
    """Return a panel whose network reads one characteristic alone, and the effect of that: its weights' square.

    Its weights are the difference that the characteristic makes, where the pictures without others are unchanged.
    """
    other = np.delete(removed.pictures, place, axis=0) != images.pictures[0]
    alone = torch.from_numpy(~other.any((0, 3)))
    weights = (HALF.apply(images.pictures) - HALF.apply(removed.pictures[[place]])) * alone
    return panel_of(images, weights), float((weights**2).sum())


def test_only_what_changes_is_changed(removed) -> None:
    for images, one in removed:
        moved = np.abs(one.pictures.astype(int) - images.pictures[0]).max(3)
        np.testing.assert_array_equal(moved > repainting.UNMOVED, one.changed)
        assert one.changed.any((1, 2)).all()


def regions(changed: np.ndarray) -> Tensor:
    """Number the pixels (side, side) by which of the removals (c, side, side) change them."""
    _, codes = np.unique(changed.reshape(len(changed), -1), axis=1, return_inverse=True)
    return torch.from_numpy(codes.reshape(changed.shape[1:]))


@pytest.mark.parametrize("method", EXACT)
def test_a_network_that_reads_one_characteristic_is_explained_perfectly(removed, method: str) -> None:
    """What is read has the squared length of the weights as its effect, all else 0: so must each exact method say.

    Its baseline is the picture without the characteristic. Each of the characteristics is read in turn, where any of it
    can be seen that no other removal changes.
    """
    told = 0
    for images, one in removed[:2]:
        for place in range(len(one.characteristics)):
            panel, length = reading(images, one, place)
            if not length:
                continue
            worth = repainting.effects(panel, one)["effect"].to_numpy()
            expected = np.where(np.arange(len(worth)) == place, length, 0)
            np.testing.assert_allclose(worth, expected, atol=1e-4 * max(length, 1))
            gone, pixels = HALF.apply(one.pictures[[place]]), panel.pixels([0])
            options = {**panel.options(method), "baseline": gone}
            if method == "gradient_x_input":  # whose baseline is 0
                pixels, options = pixels - gone, {}
            if method == "occlusion":
                options |= {"window": 1, "stride": 1, "batch_size": 512}
            if method == "shapley_value_sampling":
                options["features"] = regions(one.changed)
            total, _ = repainting.sums(one, explain(panel.network, pixels, 1, method, **options).numpy())
            np.testing.assert_allclose(total[0], expected, atol=0.02 * length, err_msg=method)
            told += 1
    assert told >= 4


def test_maps_that_know_no_network_score_nothing_over_networks_that_read_one_each(removed) -> None:
    """Ranks less their mean sum to 0: whatever a map prefers, it is right of one network and wrong of the others."""
    images, one = removed[0]
    controls = [name for name in CONTROLS if name != "all_zero"]
    panel, _ = reading(images, one, 0)
    maps = {name: panel.map(0, name) for name in controls}
    orders = []
    for place in range(len(one.characteristics)):
        worth = repainting.effects(panel, one).assign(effect=np.eye(len(one.characteristics))[place])
        _, found = repainting.scored(panel, one, worth, maps)
        orders.append(found.set_index("method")["removal_order"].drop(COVERED))
    means = pd.concat(orders, axis=1).mean(axis=1)
    assert set(means.index) == set(controls)
    np.testing.assert_allclose(means, 0, atol=1e-9)


def test_what_is_covered_is_what_gradient_times_input_sums_to(removed) -> None:
    """Of a linear network, and with a baseline of the mean colour: covering in grey, which is not removing."""
    images, one = removed[0]
    weights = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    panel = panel_of(images, weights)
    worth = repainting.effects(panel, one)
    parts, found = repainting.scored(panel, one, worth, {"gradient_x_input": panel.map(0, "gradient_x_input")})
    sums = parts.pivot(index="characteristic", columns="method", values="sum")
    np.testing.assert_allclose(sums["gradient_x_input"], sums[COVERED], atol=1e-2)
    logits = (HALF.apply(np.concatenate([images.pictures, one.pictures])) * weights).sum((1, 2, 3))
    np.testing.assert_allclose(worth["effect"], logits[0] - logits[1:], atol=1e-2)
    first, second = found["removal_order"]
    assert first == second


def test_the_trial_scores_the_same_maps_by_the_truth_and_by_every_metric() -> None:
    (trial,) = comparison.STUDY.named(["repainted_0"], SMOKE)
    tables = comparison.STUDY.compute(trial, SMOKE)
    scores, worth = tables["removal_scores"], tables["removal_effects"]
    assert {*MAP_METHODS, *CONTROLS, COVERED} == set(scores["method"]) | set(
        tables.get("removal_refused", {"method": []})["method"]
    )
    later = {name for name, one in METRICS.items() if one.family in ("sanity", "stability")}
    assert set(METRICS) - later <= set(scores)
    assert scores["image"].nunique() == worth["image"].nunique() == SMOKE.removal_images
    assert len(tables["removal_sums"]) == len(worth) * scores["method"].nunique()
    for name in (name for name, one in METRICS.items() if one.family == "truth"):
        assert scores[name].dropna().between(METRICS[name].low - 1e-9, METRICS[name].high + 1e-9).all()
    signed = scores.groupby("method")["removal_sign_errors"].count() > 0
    assert not signed[["saliency", "uniform_random", "all_zero"]].any()
    assert signed[["gradient", "smoothed_random", COVERED]].all()
    one = worth[worth["image"] == worth["image"].iloc[0]].merge(
        tables["removal_sums"].query("method == 'lime'"), on=["image", "characteristic"]
    )
    found = scores[(scores["image"] == one["image"].iloc[0]) & (scores["method"] == "lime")]["removal_order"].item()
    assert found == pytest.approx(spearmanr(one["effect"], one["sum"])[0], nan_ok=True)
