"""Concepts of a network whose layer holds a characteristic's area in one channel, and the impact of its maps."""

from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from medxai import profiles
from medxai.attribution import CONTROLS
from medxai.data.labelled_images import LabelledImages
from medxai.evaluation import impact, suite
from medxai.experiment import concepts_tested, decision_impact
from medxai.experiment.explained_paintings import ExplainedPaintings
from medxai.experiment.trained_network import TrainedNetwork
from medxai.models.normalisation import HALF
from tiny_network import SIDE, tiny
from toy_paintings import toy_paintings

NUMBER = 80


def a_network(images: LabelledImages, network: nn.Module, layer: str) -> TrainedNetwork:
    rows, classes = np.arange(len(images.names)), len(images.classes)
    probabilities = np.eye(classes)[images.labels]
    return TrainedNetwork(network, layer, HALF, "none", images, rows[16:], rows[:16], probabilities, images.labels)


@pytest.fixture(scope="module")
def shown() -> ExplainedPaintings:
    """Two diseases; scale is in half of the images of each, with an area; a plaque in all of the second alone."""
    draw, labels = np.random.default_rng(0), np.arange(NUMBER) % 2
    present = np.stack([np.arange(NUMBER) // 2 % 2 == 0, labels == 1, np.arange(NUMBER) == 20], axis=1)
    areas = present * draw.uniform(0.3, 0.9, present.shape)
    maps = np.broadcast_to(areas[..., None, None], (NUMBER, 3, 4, 4)).astype(np.float32)
    names, known = ("Scale", "Plaque", "Scar"), np.arange(NUMBER) != 17
    return toy_paintings(labels, present, names=names, explained=known, maps=maps, side=8)


@pytest.fixture(scope="module")
def table(shown: ExplainedPaintings) -> pd.DataFrame:
    """The first channel is the area of scale; it speaks for the first disease and against the second."""
    values = torch.randn(NUMBER, 4, 2, 2, generator=torch.Generator().manual_seed(0)) / 20
    values[:, 0] += torch.from_numpy(shown.maps[:, 0, :2, :2])
    last = nn.Linear(4, 2, bias=False)
    last.weight = nn.Parameter(torch.tensor([[1.0, 0, 0, 0], [-1, 0, 0, 0]]))
    same = nn.Conv2d(4, 4, 1, bias=False)
    same.weight = nn.Parameter(torch.eye(4)[..., None, None])
    stages = [same, nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Tanh(), last]
    upper = nn.Sequential(OrderedDict({str(place): stage for place, stage in enumerate(stages, start=6)})).eval()
    trained = a_network(shown.images, upper, concepts_tested.LAYER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(concepts_tested, "cut", lambda _: concepts_tested.Parts(upper, values))
        return concepts_tested.tested(shown, trained, random_sets=3, seed=0)


def test_a_concept_that_the_network_uses_is_found_with_its_sign(table: pd.DataFrame) -> None:
    scale = table[table["concept"] == "Scale"].set_index("disease")
    assert scale["score"].to_dict() == {"a": 1, "b": 0}
    assert scale.loc["a", "relevance"] > 1 > -1 > scale.loc["b", "relevance"]
    assert scale["r2"].min() > 0.9 > 0.3 > scale["r2_permuted"].max()
    assert scale["accuracy"].min() > 0.6  # half of any random set shows scale, too


def test_which_concepts_are_tested_and_which_are_none(table: pd.DataFrame) -> None:
    """Scar has one picture only, too few; random concepts have neither an area nor a share."""
    assert set(table["concept"]) == {"Scale", "Plaque", *(f"random {number}" for number in range(1, 6))}
    assert (table["random"] == table["concept"].str.startswith("random")).all()
    assert table.loc[table["random"], ["r2", "r2_permuted", "relevance", "difference"]].isna().all(axis=None)
    known = table["p_value"].notna()
    assert (table.loc[known, "adjusted"] >= table.loc[known, "p_value"]).all()


def test_differences_are_shares_of_explained_images(table: pd.DataFrame, shown: ExplainedPaintings) -> None:
    found = table.set_index(["disease", "concept"])["difference"]
    assert found["b", "Plaque"] == 1
    assert found["a", "Plaque"] == -1
    own = shown.explained & (shown.images.labels == 1)
    gap = shown.present[own, 0].mean() - shown.present[shown.explained & ~own, 0].mean()
    assert found["b", "Scale"] == pytest.approx(gap)


def test_agreement_is_a_rank_correlation_over_pairs() -> None:
    pairs = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "x"), ("c", "y")]
    table = pd.DataFrame(pairs, columns=["disease", "concept"]).assign(
        random=False,
        score=[0.1, 0.9, 0.3, 0.4, 0.8, 0.2],
        relevance=[1, 5, 2, 3, 4, 0],
        difference=[0.0, 0.5, 0.3, 0.2, 0.4, -0.1],
    )
    chance = table.assign(random=True, concept="random 1", difference=np.nan).head(1)
    found = concepts_tested.agreement(pd.concat([table, chance]), shuffles=200, seed=0).set_index("row")
    for column in ("score", "relevance"):
        expected = spearmanr(table[column], table["difference"])[0]
        assert found.loc[column, "value"] == pytest.approx(expected)
        assert abs(found.loc[column, "shuffled"]) < expected
    assert (found["pairs"] == 6).all()


@pytest.fixture(scope="module")
def measured() -> tuple[TrainedNetwork, pd.DataFrame]:
    draw, labels = np.random.default_rng(3), np.arange(24) % 3
    pictures = draw.integers(0, 256, (24, SIDE, SIDE, 3), dtype=np.uint8)
    outlines = np.ones((SIDE, SIDE), bool)
    names = [f"i{row}" for row in range(24)]
    images = LabelledImages(
        "toy", "simulated", names, pictures, labels, ("a", "b", "c"), raters=lambda _: {1: outlines}
    )
    trained = a_network(images, tiny(), "5")
    return trained, decision_impact.measured(trained, profiles.get("smoke"), seed=0)


def test_impact_of_each_map_of_each_image(measured: tuple[TrainedNetwork, pd.DataFrame]) -> None:
    trained, table = measured
    number = profiles.get("smoke").impact_images
    assert table.groupby("method", sort=False).size().to_dict() == dict.fromkeys(
        (*decision_impact.ASKED, *CONTROLS), number
    )
    assert (table["strong"] >= table["changed"]).all()
    assert (table["coverage"].notna() == (table["attacked"] == 1)).all()
    line = table[table["method"] == "all_zero"].iloc[0]
    image = trained.image(trained.images.names.index(line["image"]))[0]
    region = suite.largest(np.zeros((1, SIDE, SIDE)), 1 / decision_impact.PARTS**2)
    found = impact.impact(trained.network, image, region)
    assert (line["changed"], line["strong"]) == (found.changed[0], found.strong[0])
