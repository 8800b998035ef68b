"""The study of methods, controls and metrics: its networks, its choice of images, its tables, its reference run."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from medxai import profiles, report
from medxai.attribution import CONTROLS, METHODS
from medxai.data import real_or_simulated
from medxai.evaluation import classification
from medxai.evaluation.metrics import METRICS
from medxai.report import comparison_figures as figures
from medxai.studies import comparison as study
from medxai.studies import explained_sets as sets

SMOKE = profiles.get("smoke")
SETS = ("paintings", "ultrasound")


@pytest.fixture(scope="module")
def reference() -> dict[str, pd.DataFrame]:
    names = ("scores", "curves", "cascade", "raters", "networks", "costs", "twice")
    return {name: report.reference("comparison", name) for name in names}


def test_folds_are_those_of_cross_validation_and_keep_groups_together():
    labels, groups = np.arange(60) % 3, np.repeat(np.arange(30), 2)
    tested = []
    for train, test in classification.folds(labels, groups=groups, seed=0):
        assert not set(groups[train]) & set(groups[test])
        tested += list(test)
    assert sorted(tested) == list(range(60))
    of_row = np.full(60, -1)

    def remember(train: np.ndarray, test: np.ndarray) -> np.ndarray:
        of_row[test] = of_row.max() + 1
        return np.zeros((len(test), 3))

    classification.cross_validated(remember, labels, groups=groups, seed=0)
    for number, (_, test) in enumerate(classification.folds(labels, groups=groups, seed=0)):
        assert (of_row[test] == number).all()


@pytest.fixture(scope="module")
def painted() -> sets.Images:
    return sets.paintings(real_or_simulated.open_dermxdb(SMOKE), SMOKE)


def test_images_that_are_right_are_explained_first_and_classes_take_turns(painted):
    labels = painted.labels
    test = np.arange(len(labels))
    certain = np.full((len(labels), 6), 0.1)
    certain[test, labels] = 0.5
    wrong = test[labels == 0]
    certain[wrong, 0], certain[wrong, 1] = 0.2, 0.6
    trained = sets.Trained(painted, torch.nn.Identity(), test, test, certain, replace(SMOKE, explained_images=10), 0)
    rows = sets.explained(trained)
    assert len(set(rows)) == 10
    assert not set(rows) & set(wrong)
    assert np.bincount(labels[rows], minlength=6)[1:].tolist() == [2] * 5
    assert all((painted.reference(row) >= 0.5).any() for row in rows)
    every = sets.explained(replace(trained, profile=replace(SMOKE, explained_images=1000)))
    assert set(every[-len(set(every) & set(wrong)) :]) <= set(wrong)  # wrong ones come last


def test_the_reference_map_is_the_share_of_raters(painted):
    raters = painted.raters(0)
    reference = painted.reference(0)
    np.testing.assert_allclose(reference * len(raters), sum(mask.astype(float) for mask in raters.values()))
    assert reference.shape == painted.pictures.shape[1:3]


def test_raters_are_scored_against_the_others_by_hand(painted):
    raters = {1: np.zeros((8, 8), bool), 2: np.zeros((8, 8), bool), 3: np.zeros((8, 8), bool)}
    raters[1][:4], raters[2][:2], raters[3][:] = True, True, True
    found = study._of_raters(replace(painted, raters=lambda row: raters), 0).set_index(["rater", "against"])
    # The first has 32 pixels; the others' share is 1 on the first two rows and 1/2 below.
    assert found.loc[(1, "others"), "fuzzy_f1"] == pytest.approx(2 * (16 + 8) / (32 + 16 + 24))
    assert found.loc[(1, "each"), "fuzzy_f1"] == pytest.approx((2 * 16 / 48 + 2 * 32 / 96) / 2)
    assert study._of_raters(replace(painted, raters=lambda row: {1: raters[1]}), 0).empty


def test_a_method_that_is_always_better_is_called_so():
    generator = np.random.default_rng(0)
    base = generator.random(30) / 4
    values = {"gradient": base + 0.3 + generator.normal(0, 0.02, 30), "saliency": base + generator.normal(0, 0.02, 30)}
    values |= {"cam": base - 0.3 + generator.normal(0, 0.02, 30), "centre_gaussian": base, "uniform_random": base - 0.2}
    scores = pd.concat(
        pd.DataFrame({"set": "paintings", "image": range(30), "group": range(30), "method": name, "pixel_auc": value})
        for name, value in values.items()
    ).assign(deletion=lambda table: table["pixel_auc"])
    assert figures.best_control(scores, "paintings", "pixel_auc") == "centre_gaussian"
    assert figures.best_control(scores, "paintings", "deletion") == "uniform_random"
    verdicts = figures.against_control(scores, "paintings", "pixel_auc")
    assert verdicts.to_dict() == {"gradient": "better", "saliency": "open", "cam": "worse"}
    lower = figures.against_control(scores, "paintings", "deletion", "centre_gaussian")
    assert lower.to_dict() == {"gradient": "worse", "saliency": "open", "cam": "better"}


def test_tables_of_several_trials_are_put_one_below_the_other(tmp_path, monkeypatch):
    trials = [study.Trial(f"part_{i}", lambda profile, i=i: {"one": pd.DataFrame({"x": [i]})}, ()) for i in range(3)]
    parts = replace(study.STUDY, trials=lambda profile: trials, data={})
    monkeypatch.setattr("medxai.paths.RESULTS", tmp_path)
    assert parts.collect(trials, SMOKE)["one"]["x"].tolist() == [0, 1, 2]


def test_the_reference_has_every_method_and_control_on_every_image(reference):
    scores = reference["scores"]
    maps = {name for name, method in METHODS.items() if method.kind == "map"} | set(CONTROLS) | {study.TRUTH}
    for _, one in scores.groupby(["set", "image"]):
        assert set(one["method"]) == maps
    assert scores.groupby("set")["image"].nunique().to_dict() == dict.fromkeys(SETS, 45)
    assert scores["right"].all()
    for name, metric in METRICS.items():
        if name in scores:
            values = scores[name].dropna()
            assert values.between(metric.low - 1e-9, metric.high + 1e-9).all(), name


@pytest.mark.parametrize("of", SETS)
def test_controls_that_must_lose_lose_in_the_reference(reference, of):
    scores = reference["scores"]
    place = figures.means(scores, of, "pixel_auc")
    assert place.loc["uniform_random", "value"] == pytest.approx(0.5, abs=0.02)
    assert place.loc["all_zero", "value"] == 0.5
    assert place.loc[study.TRUTH, "low"] > place.loc[["uniform_random", "smoothed_random", "all_zero"], "high"].max()
    for metric in ("parameter_randomisation", "label_randomisation"):
        found = figures.means(scores, of, metric)["value"]
        assert (found[["uniform_random", "centre_gaussian", "sobel_edges"]] == 1).all()
        assert (found.drop(list(CONTROLS)).dropna() < 1).any()
    correlation = figures.means(scores, of, "sensitivity_n")
    assert abs(correlation.loc["uniform_random", "value"]) < 0.15
    assert correlation.loc[figures.methods_of(scores), "value"].max() > correlation.loc["uniform_random", "high"]


@pytest.mark.real_data
def test_dermatologists_against_themselves_come_back(reference):
    db = real_or_simulated.open_dermxdb(SMOKE)
    if db.kind != "real":
        pytest.skip("MEDXAI_DATA holds no real DermXDB")
    twice = reference["twice"].set_index(["image", "kind"])
    names = list(dict.fromkeys(twice.index.get_level_values("image")))[:3]
    few = replace(db, images=db.images.loc[names])
    found = study._twice(few, SMOKE)["twice"].set_index(["image", "kind"])
    pd.testing.assert_frame_equal(found, twice.loc[found.index], atol=2e-4)
