"""The table of metrics is whole, and its place metrics are those of the module."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from medxai.evaluation import localisation, removals, sanity, stability, suite
from medxai.evaluation.metrics import METRICS, verdicts

FAMILIES = {"place", "faithfulness", "truth", "stability", "sanity", "complexity"}


def test_the_table_is_whole() -> None:
    assert {one.family for one in METRICS.values()} == FAMILIES
    assert len({one.title for one in METRICS.values()}) == len(METRICS)
    assert len({one.question for one in METRICS.values()}) == len(METRICS)
    for name, one in METRICS.items():
        assert name.isidentifier()
        assert one.question.startswith(("Does ", "Do "))
        assert one.question.endswith("?")
        assert one.reference
        assert one.low < one.high
        assert math.isfinite(one.low)
        assert one.better in ("higher", "lower", None)
    assert {name for name, one in METRICS.items() if one.better is None} == {"gini", "entropy"}


def test_families_are_in_one_piece() -> None:
    families = [one.family for one in METRICS.values()]
    assert sum(one != other for one, other in pairwise(families)) == len(FAMILIES) - 1


def place_score(name: str, attention: np.ndarray, reference: np.ndarray) -> float:
    if name.startswith("fuzzy_"):
        return float(getattr(localisation.fuzzy_scores(attention, reference), name.removeprefix("fuzzy_")))
    options = {"threshold": 0.5} if name == "iou" else {}
    return float(getattr(localisation, name)(attention, reference, **options))


@pytest.mark.parametrize("name", [name for name, one in METRICS.items() if one.family == "place"])
def test_the_best_place_has_the_highest_value_and_the_worst_the_lowest(name: str) -> None:
    reference = np.zeros((10, 10))
    reference[:4, :4] = 1
    assert place_score(name, reference, reference) == METRICS[name].high
    assert place_score(name, 1 - reference, reference) == METRICS[name].low


SIDE = 16
GENERATOR = torch.Generator().manual_seed(0)
WEIGHTS, IMAGE = (torch.randn(3, SIDE, SIDE, generator=GENERATOR).double() for _ in range(2))
TRUE = (WEIGHTS * IMAGE / 16).sum(0).numpy()
"""What the pixels contribute to the score of `Linear`."""
NOISE = np.random.default_rng(0).standard_normal((SIDE, SIDE))


class Linear(nn.Module):
    """Three classes; the second's logit is the sum of the pixels' contributions, those of the others are 0 and 1."""

    def forward(self, images: Tensor) -> Tensor:
        score = (images * WEIGHTS / 16).sum((1, 2, 3))
        return torch.stack([0 * score, score, 0 * score + 1], dim=1)


def good_and_bad(name: str) -> tuple[float, float]:
    """The values of a map that is as one wishes and of one that is not, by how they are made."""
    family = METRICS[name].family
    if family == "faithfulness":
        maps = np.stack([TRUE, NOISE])
        return tuple(suite.faithful(Linear(), IMAGE, 1, maps, suite.Effort.of(16)).scores[name])
    if family == "truth":
        effects = np.array([3.0, 1, -2])
        sums, means = np.stack([effects, -effects]), np.abs(np.stack([effects, effects[[1, 0, 2]]]))
        return tuple(removals.agreement(effects, sums, means, np.array([True, True]))[name])
    if family == "stability":
        still, restless = (lambda images: 0 * images[:, 0] + 1), (lambda images: images.prod(1))
        return tuple(float(stability.max_sensitivity(one, IMAGE[None])[0]) for one in (still, restless))
    if family == "sanity":  # the first map changes with the network, the second stays
        maps = np.stack([TRUE, TRUE])
        return tuple(sanity.similarity_after(maps, np.stack([NOISE, TRUE]))["absolute_rank_correlation"])
    reference = np.zeros((SIDE, SIDE))
    reference[:4, :4] = 1
    return place_score(name, reference, reference), place_score(name, 1 - reference, reference)


@pytest.mark.parametrize("name", [name for name, one in METRICS.items() if one.better is not None])
def test_the_better_way_is_that_of_the_better_map(name: str) -> None:
    good, bad = good_and_bad(name)
    assert good > bad if METRICS[name].better == "higher" else good < bad
    ends = pd.DataFrame({"low": [good - bad] * 2, "high": [good - bad] * 2}, index=["one", "other"])
    assert verdicts(ends, name).tolist() == ["better"] * 2
    assert verdicts(-ends, name).tolist() == ["worse"] * 2


def test_a_verdict_needs_an_interval_without_zero_on_the_better_side():
    ends = {"low": [0.1, -0.1, -0.3, np.nan], "high": [0.3, 0.1, -0.1, np.nan]}
    differences = pd.DataFrame(ends, index=["up", "across", "down", "none"])
    assert verdicts(differences, "pixel_auc").tolist() == ["better", "open", "worse", "open"]
    assert verdicts(differences, "deletion").tolist() == ["worse", "open", "better", "open"]
