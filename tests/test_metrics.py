"""The table of metrics is whole, and its place metrics are those of the module."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from medxai.evaluation import localisation
from medxai.evaluation.metrics import METRICS, verdicts

FAMILIES = {"place", "faithfulness", "stability", "sanity", "complexity", "cost"}


def test_the_table_is_whole() -> None:
    assert {one.family for one in METRICS.values()} == FAMILIES
    assert len({one.title for one in METRICS.values()}) == len(METRICS)
    assert len({one.question for one in METRICS.values()}) == len(METRICS)
    for name, one in METRICS.items():
        assert name.isidentifier()
        assert one.question.startswith("Does ")
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


def test_a_verdict_needs_an_interval_without_zero_on_the_better_side():
    ends = {"low": [0.1, -0.1, -0.3, np.nan], "high": [0.3, 0.1, -0.1, np.nan]}
    differences = pd.DataFrame(ends, index=["up", "across", "down", "none"])
    assert verdicts(differences, "pixel_auc").tolist() == ["better", "open", "worse", "open"]
    assert verdicts(differences, "deletion").tolist() == ["worse", "open", "better", "open"]
