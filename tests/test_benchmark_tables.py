"""Tables of the benchmark against each other and against print."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, recall_score

from medxai import results
from medxai.data.ontology import DISEASES
from medxai.evaluation import benchmark_tables as tables
from medxai.experiment import benchmark_compared
from medxai.models.architectures import ARCHITECTURES


def test_f1_follows_from_rates_and_share():
    rng = np.random.default_rng(0)
    truth, found = rng.random(400) < 0.2, rng.random(400) < 0.4
    specificity = recall_score(~truth, ~found)
    rebuilt = tables.rebuilt_f1(np.array(recall_score(truth, found)), np.array(specificity), np.array(truth.mean()))
    assert rebuilt == pytest.approx(f1_score(truth, found))
    assert np.isnan(tables.rebuilt_f1(np.array(0.0), np.array(1.0), np.array(0.0)))


def test_the_highest_f1_is_that_without_false_alarms():
    sensitivity = np.array([0.2, 0.7, 1.0])
    assert tables.highest_f1(sensitivity) == pytest.approx(tables.rebuilt_f1(sensitivity, np.ones(3), np.full(3, 0.3)))


def test_halves_have_their_size_and_differ():
    drawn = tables.random_halves(10, 4, 50, seed=1)
    assert drawn.shape == (50, 10)
    assert (drawn.sum(1) == 4).all()
    assert len(np.unique(drawn, axis=0)) > 20
    with pytest.raises(ValueError, match="test is 11: expected 1 to 10"):
        tables.random_halves(10, 11, 1, seed=0)


def test_exchanged_columns_are_found():
    """Of two raters one has two columns exchanged, and one of its F1 is then impossible."""
    shares = pd.Series({"a": 0.5, "b": 0.3, "c": 0.2})
    found, spared = np.array([[0.9, 0.8, 0.3]] * 2), np.array([[0.9, 0.95, 0.97]] * 2)
    f1 = tables.rebuilt_f1(found, spared, shares.to_numpy())
    for rates in (found, spared):
        rates[1, [1, 2]] = rates[1, [2, 1]]

    def printed(name):
        values = {tables.T03: f1, tables.A04: found, tables.A05: spared}[name].round(2)
        return results.tidy(pd.DataFrame(values, ["right", "wrong"], list("abc")))

    told = tables.exchanged(printed, shares, ("b", "c"))
    assert list(told["as_printed"] < told["exchanged"]) == [True, False]
    assert list(told["impossible"]) == [False, True]
    assert told["others"].max() < 0.01


def test_expert_level_is_where_ranges_touch():
    assert tables.reaches_experts(0.7, 0.05, 0.8, 0.05)
    assert not tables.reaches_experts(0.7, 0.04, 0.8, 0.05)


def test_the_rule_gives_the_printed_counts():
    table = results.published(tables.T03)
    level = benchmark_compared.at_expert_level(table, table)
    assert len(level) == 11
    assert list(level[["actinic_keratosis", "seborrheic_dermatitis", "viral_warts"]].sum()) == [7, 6, 1]
    single = table[~table["metric"].str.endswith("_std")]
    assert (benchmark_compared.at_expert_level(single, table).sum() <= level.sum()).all()


@pytest.mark.real_data
def test_the_printed_rows_are_those_of_a_random_half(real_dermxdb, real_overlaps):
    """Table 4's row of the dermatologists is proved in test_studies; figure 5 has two characteristics outside."""
    made = tables.dermatologists(real_dermxdb, real_overlaps, number=500, seed=0)
    outside = []
    for name, table in made.items():
        paper = results.published(name)[["row", "metric", "value"]].rename(columns={"value": "printed"})
        both = table.dropna(subset="low").merge(paper, on=["row", "metric"])
        assert len(both) == (16 if name == tables.F05 else len(DISEASES))
        apart = ~both["printed"].between(both["low"] - 0.005, both["high"] + 0.005)
        outside += list(both.loc[apart, "row"])
    assert outside == ["Scar", "Sun damage"]


def test_networks_of_another_start_are_not_ranked():
    origins = {"vgg16": "random weights, then", "xception": "random weights", "mobilenet_v2": "mobilenet_v2, ImageNet"}
    networks = pd.DataFrame(origins.items(), columns=["network", "origin"])
    assert benchmark_compared.started_alike(pd.concat([networks, networks])) == ["VGG16", "Xception"]
    paper = results.published(tables.T03)
    assert {one.paper_name for one in ARCHITECTURES.values()} == set(paper["row"]) - {tables.EXPERTS}
