"""The study of methods, controls and metrics: its networks, its choice of images, its tables, its reference run."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from medxai import profiles, report, results
from medxai.attribution import CONTROLS
from medxai.data import real_or_simulated
from medxai.data.labelled_images import LabelledImages
from medxai.evaluation import classification, score_tables
from medxai.evaluation.metrics import METRICS
from medxai.experiment.panel import MAP_METHODS
from medxai.experiment.trained_network import TrainedNetwork
from medxai.models.normalisation import HALF
from medxai.studies import comparison as study
from medxai.studies.store import Absent
from medxai.training.fit import predict
from tiny_network import SIDE, tiny

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


def drawn(raters: int = 3) -> LabelledImages:
    """Ten images of noise, with outlines by some raters and the truth."""
    generator = np.random.default_rng(3)
    masks = np.zeros((raters, SIDE, SIDE), bool)
    for number, mask in enumerate(masks):
        mask[4 : 14 + number, 4:16] = True
    return LabelledImages(
        "paintings",
        "rendered",
        [f"image_{i}" for i in range(10)],
        generator.integers(0, 256, (10, SIDE, SIDE, 3), dtype=np.uint8),
        np.arange(10) % 3,
        ("a", "b", "c"),
        raters=lambda row: dict(enumerate(masks, 1)),
        truth=lambda row: masks[0].astype(np.float32),
    )


@pytest.fixture(scope="module")
def record() -> results.Record:
    """The tables of a fold, of networks of a few weights that were never trained."""
    images, rows = drawn(), np.arange(10)

    def trained(*_: object, seed: int = 0) -> TrainedNetwork:
        network = tiny(seed)
        probabilities = predict(network, images.pictures, HALF)
        guessed = replace(images, labels=probabilities.argmax(1))  # so it is always right
        return TrainedNetwork(network, "5", HALF, "none", guessed, rows[:6], rows[6:], probabilities, guessed.labels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "train", trained)
        patch.setattr(study, "misled", lambda *_: trained(seed=1))
        return study._fold(images, None, replace(SMOKE, explained_images=2), 0)


def test_a_fold_has_every_method_and_control_on_every_image_by_every_metric(record) -> None:
    scores = record["scores"]
    assert set(scores["method"]) == {*MAP_METHODS, *CONTROLS, study.TRUTH}
    assert len(scores) == 2 * (len(MAP_METHODS) + len(CONTROLS) + 1)
    assert {name for name, one in METRICS.items() if one.family != "truth"} <= set(scores)
    assert not scores.duplicated(["image", "method"]).any()
    checked = scores[scores["max_sensitivity"].notna()]
    assert len(set(checked["image"])) == 1
    assert scores["right"].all()
    assert (scores[["set", "fold"]] == ["paintings", 0]).all(axis=None)
    assert "refused" not in record


def test_a_row_of_scores_is_computed_once_more_from_the_map_it_stems_from(record) -> None:
    """Gradient times input of the last image, for its own class, on the plain network: place and drop by hand."""
    line, images, network = record["scores"].query("method == 'gradient_x_input'").iloc[-1], drawn(), tiny()
    row = images.names.index(line["image"])
    pixels = HALF.apply(images.pictures[[row]]).requires_grad_()
    target = "abc".index(line["class"])
    of_map = (torch.autograd.grad(network(pixels)[0, target], pixels)[0] * pixels).sum(1)[0].detach().numpy()
    experts, attention = images.reference(row).ravel(), np.maximum(of_map, 0).ravel() / of_map.max()
    hidden = torch.where(torch.from_numpy(attention.reshape(SIDE, SIDE) >= 0.5), 0, pixels)
    inside, weights = np.repeat([1, 0], SIDE**2), np.concatenate([experts, 1 - experts])
    expected = {
        "fuzzy_f1": 2 * np.minimum(attention, experts).sum() / (attention.sum() + experts.sum()),
        "pixel_auc": roc_auc_score(inside, np.tile(of_map.ravel(), 2), sample_weight=weights),
        "occlusion_drop": (network(pixels).softmax(1) - network(hidden).softmax(1))[0, target].item(),
    }
    assert line[list(expected)].tolist() == pytest.approx(list(expected.values()), abs=1e-4)  # four decimals are kept


def test_the_tables_of_a_fold_are_those_of_the_reference(record, reference) -> None:
    for name, table in record.items():
        if name != "networks":
            assert set(reference[name]) == set(table), name
    networks = record["networks"].set_index("metric")["value"]
    assert networks["accuracy"] == networks["accuracy_in_training"] == networks["explained_right"] == 1
    assert networks[["images_seen", "images_held_out", "images_explained"]].tolist() == [6, 4, 2]
    assert networks["images_without_outline"] == 0
    curves = record["curves"]
    assert set(curves["curve"]) == {"roc", "deletion", "insertion"}
    assert (curves["images"] == 2).all()


def test_raters_are_scored_against_the_others_by_hand() -> None:
    raters = {1: np.zeros((8, 8), bool), 2: np.zeros((8, 8), bool), 3: np.zeros((8, 8), bool)}
    raters[1][:4], raters[2][:2], raters[3][:] = True, True, True
    found = study._of_raters(replace(drawn(), raters=lambda row: raters), 0).set_index(["rater", "against"])
    # The first has 32 pixels; the others' share is 1 on the first two rows and 1/2 below.
    assert found.loc[(1, "others"), "fuzzy_f1"] == pytest.approx(2 * (16 + 8) / (32 + 16 + 24))
    assert found.loc[(1, "each"), "fuzzy_f1"] == pytest.approx((2 * 16 / 48 + 2 * 32 / 96) / 2)
    assert study._of_raters(drawn(raters=1), 0).empty


def test_without_ultrasound_its_folds_are_empty() -> None:
    assert study._of_ultrasound(Absent("not here"), None, SMOKE, fold=0) == {}


def test_tables_of_several_trials_are_put_one_below_the_other(tmp_path, monkeypatch):
    trials = [study.Trial(f"part_{i}", lambda profile, i=i: {"one": pd.DataFrame({"x": [i]})}, ()) for i in range(3)]
    parts = replace(study.STUDY, trials=lambda profile: trials, data={})
    monkeypatch.setattr("medxai.paths.RESULTS", tmp_path)
    assert parts.collect(trials, SMOKE)["one"]["x"].tolist() == [0, 1, 2]


def test_the_reference_has_every_method_and_control_on_every_image(reference):
    scores = reference["scores"]
    maps = {*MAP_METHODS, *CONTROLS, study.TRUTH}
    for _, one in scores.groupby(["set", "image"]):
        assert set(one["method"]) == maps
    explained = reference["networks"].query("metric == 'images_explained'").groupby("set")["value"].sum()
    assert scores.groupby("set")["image"].nunique().to_dict() == explained.to_dict()
    assert scores["right"].all()
    for name, metric in METRICS.items():
        if name in scores:
            values = scores[name].dropna()
            assert values.between(metric.low - 1e-9, metric.high + 1e-9).all(), name


def means(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    return score_tables.means(scores, [metric]).set_index("row")


@pytest.mark.parametrize("of", SETS)
def test_controls_that_must_lose_lose_in_the_reference(reference, of):
    scores = reference["scores"][reference["scores"]["set"] == of]
    place = means(scores, "pixel_auc")
    assert place.loc["uniform_random", "value"] == pytest.approx(0.5, abs=0.02)
    assert place.loc["all_zero", "value"] == 0.5
    assert place.loc[study.TRUTH, "low"] > place.loc[["uniform_random", "smoothed_random", "all_zero"], "high"].max()
    for metric in ("parameter_randomisation", "label_randomisation"):
        found = means(scores, metric)["value"]
        assert (found[["uniform_random", "centre_gaussian", "sobel_edges"]] == 1).all()
        assert (found.drop(list(CONTROLS)).dropna() < 1).any()
    correlation = means(scores, "sensitivity_n")
    assert abs(correlation.loc["uniform_random", "value"]) < 0.15
    assert correlation.loc[list(MAP_METHODS), "value"].max() > correlation.loc["uniform_random", "high"]


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
