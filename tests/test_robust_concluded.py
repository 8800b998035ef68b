"""What the tables of the robustness study amount to, on small tables whose answers are known."""

import numpy as np
import pandas as pd
import pytest

from medxai.experiment import robust_concluded as concluded
from medxai.experiment.robust_compared import CORRECTED
from medxai.robustness.corruptions import VERSIONS
from medxai.robustness.saliency_shift import ANOTHER_IMAGE, ORIGINAL, RANDOM_WEIGHTS

LAYERS = {"layer1.0": 1.0, "layer4.1": 2.0}


def bands(outcome: str, scale: float, name: str = "a") -> pd.DataFrame:
    """Means that grow with severity and layer: scale x severity x (1 or 2), bands of 1 around; another image's is 4."""
    lines = []
    for layer, factor in LAYERS.items():
        for kind, severity in [*VERSIONS, (CORRECTED, 1), (ANOTHER_IMAGE, 0), (RANDOM_WEIGHTS, 0)]:
            value = {ANOTHER_IMAGE: 4.0, RANDOM_WEIGHTS: 99.0, CORRECTED: 99.0}.get(kind, scale * severity * factor)
            lines.append((name, outcome, kind, severity, layer, value, value - 1, value + 1, 5))
    return pd.DataFrame(
        lines, columns=["set", "outcome", "corruption", "severity", "layer", "value", "low", "high", "images"]
    )


RMSE = pd.concat([bands("all", 1), bands("right", 1), bands("wrong", 4)], ignore_index=True)


def test_controls_and_corrected_ones_are_no_versions():
    assert len(concluded.of_versions(RMSE, "right")) == len(LAYERS) * len(VERSIONS)
    assert set(concluded.of_versions(RMSE, "right")["value"]) <= set(range(11))


def test_means_by_depth_and_over_the_control():
    assert concluded.by_depth(RMSE).loc["a"].tolist() == [3.0, 6.0]
    shares = concluded.over_control(RMSE)
    assert shares.query("layer == 'layer4.1' and severity == 5")["share"].tolist() == [2.5] * 5
    reached = concluded.as_far_as_another_image(RMSE).loc["a"]
    assert reached.to_dict() == {1: 0.0, 2: 0.5, 3: 0.5, 4: 1.0, 5: 1.0}  # 2 x 2 and 1 x 4 are as far as 4


def test_intervals_of_right_and_wrong_are_apart_or_not():
    found = concluded.right_and_wrong(RMSE).loc["a"]
    assert found.to_dict() == {"right": 1.5, "wrong": 6.0, "farther": 10, "less far": 0, "cells": 10}
    swapped = RMSE.replace({"outcome": {"right": "wrong", "wrong": "right"}})
    assert concluded.right_and_wrong(swapped).loc["a", "less far"] == 10
    alike = pd.concat([bands("right", 1), bands("wrong", 1.5)])
    assert concluded.right_and_wrong(alike).loc["a", ["farther", "less far"]].tolist() == [0, 0]
    assert concluded.right_and_wrong(RMSE[RMSE["outcome"] != "wrong"]).empty


def test_layers_whose_interval_leaves_zero_out_are_counted():
    lines = [(0.5, 0.1, 0.9), (0.2, -0.1, 0.5), (-0.5, -0.9, -0.1), (np.nan, np.nan, np.nan)]
    table = pd.DataFrame(lines, columns=["value", "low", "high"])
    table = table.assign(set="a", outcome="right", severity=0, layer=list("wxyz"), **{"class": "all"})
    other = table.assign(severity=3, low=0.5)
    found = concluded.together(pd.concat([table, other])).loc["a"]
    assert found.to_dict() == {"above": 1, "below": 1, "layers": 3, "median": 0.2}


def test_alarms_by_the_median_and_the_best_layer():
    values = {"layer1.0": 0.5, "layer1.1": 0.6, "layer2.0": 0.9, "confidence": 0.7}
    table = pd.DataFrame({"layer": values, "value": values.values()}, list(values))
    table = table.assign(layer=list(values), set="a", severity=3, lost=4)
    undefined = table.assign(set="b", value=np.nan, lost=0)
    found = concluded.flagged(pd.concat([undefined, table, table.assign(severity=5, value=0)]))
    assert list(found.index) == ["b", "a"]
    assert found.loc["a"].to_dict() == {"rmse": 0.6, "best": 0.9, "confidence": 0.7, "lost": 4}
    assert found.loc["b", ["rmse", "best", "confidence"]].isna().all()


def scores() -> pd.DataFrame:
    lines = [
        ("a", recipe, "all", *version, c, metric, number * factor)
        for recipe, factor in (("plain", 0.01), ("augmented", 0.001))
        for number, version in enumerate(VERSIONS)
        for c in ("all", "0")
        for metric in ("delta_auc", "auc")
    ]
    return pd.DataFrame(
        lines, columns=["set", "recipe", "subset", "corruption", "severity", "class", "metric", "value"]
    )


def test_the_auc_that_versions_cost():
    found = concluded.lost_auc(scores())
    assert found["a", "plain"] == pytest.approx(0.12)
    assert found["a", "augmented"] == pytest.approx(0.012)


def test_points_join_what_moves_with_what_is_lost():
    plain = scores().query("recipe == 'plain'")
    found = concluded.points(RMSE, plain)
    assert len(found) == len(LAYERS) * len(VERSIONS)
    assert found.query("layer == 'layer4.1' and corruption == 'brightness' and severity == 5").iloc[0][
        ["rmse", "delta_auc"]
    ].tolist() == [10.0, pytest.approx(0.24)]
    by_class = bands("right", 1).assign(**{"class": 0})  # as read from a file in which all are numbers
    assert (concluded.points(by_class, plain)["class"] == "0").all()


def test_the_two_meanings_are_kept_apart():
    apart = [
        ("a", "right", layer, kind, 1, 0.1 * i + j) for i, kind in enumerate("xy") for j, layer in enumerate("lmn")
    ]
    apart = pd.DataFrame(apart, columns=["set", "outcome", "layer", "corruption", "severity", "value"])
    found = concluded.two_meanings(scores().query("recipe == 'plain'"), apart).loc["a"]
    assert found["loss"].tolist() == pytest.approx([0.0, 0.2])
    assert found["separability"].tolist() == pytest.approx([1.0, 1.1])


def test_what_choosing_on_test_buys():
    lines = [("val", "loss", 0.90), ("val", "auc", 0.7), ("test", "auc", 0.93), ("test", "loss", 0.8)]
    table = pd.DataFrame(lines, columns=["split", "metric", "auc"]).assign(set="a")
    assert concluded.kept_and_best(table).loc["a"].tolist() == pytest.approx([0.90, 0.93, 0.03])


def test_variants_that_rank_alike():
    whole = bands("all", 1)
    turned = whole.assign(variant="turned", value=-whole["value"])
    found = concluded.agreement(RMSE, pd.concat([whole.assign(variant="same", value=whole["value"] ** 2), turned]))
    assert found["same"] == pytest.approx(1)
    assert found["turned"] == pytest.approx(-1)


def test_the_layer_that_lies_most_on_the_lesion():
    lines = [
        (outcome, kind, severity, layer, base * factor, 3)
        for outcome, base in (("all", 2.0), ("right", 3.0))
        for layer, factor in (("layer1.0", 1.0), ("layer3.1", 2.0))
        for kind, severity in ((ORIGINAL, 0), (ANOTHER_IMAGE, 0), ("contrast", 3), ("contrast", 5))
    ]
    table = pd.DataFrame(lines, columns=["outcome", "corruption", "severity", "layer", "value", "images"])
    table.loc[table["severity"] == 3, "value"] /= 2
    table.loc[table["corruption"] == ANOTHER_IMAGE, "value"] = 1.0
    found = concluded.on_lesion(table)
    assert list(found.index) == ["right"]
    assert found.loc["right"].tolist() == ["layer3.1", 6.0, 3.0, 1.0, 3]
