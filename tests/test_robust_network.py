"""Small images as a network gets them, the network's file, and its answers to all versions."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from medxai import paths
from medxai.data.labelled_images import LabelledImages
from medxai.evaluation.classification import one_against_rest
from medxai.experiment import robust_network
from medxai.experiment.robust_network import ALL_VERSIONS, SEED, Recipe, RobustNetwork
from medxai.models import backbones
from medxai.robustness import corruptions
from medxai.robustness.saliency_shift import ANOTHER_IMAGE, ORIGINAL, RANDOM_WEIGHTS
from medxai.training.small_images import SPLITS, Examples

GENERATOR = np.random.default_rng(0)
EXPLAINED = np.array([1, 3])


def images(side: int = 28, number: int = 3) -> LabelledImages:
    pictures = GENERATOR.integers(0, 256, (number, side, side, 3), dtype=np.uint8)
    return LabelledImages("noise", "simulated", [str(i) for i in range(number)], pictures, np.arange(number) % 2)


def test_images_are_resized_bilinearly():
    some = images()
    found = robust_network.resized(some, grey=False, side=64)
    assert found.shape == (3, 3, 64, 64)
    assert found.dtype == np.uint8
    for picture, own in zip(some.pictures, found, strict=True):
        expected = cv2.resize(picture.astype(np.float32), (64, 64), interpolation=cv2.INTER_LINEAR)
        assert np.abs(own.transpose(1, 2, 0) - expected).max() <= 0.501


def test_images_of_the_side_stay_as_they_are_and_grey_ones_have_one_channel():
    some = images()
    np.testing.assert_array_equal(
        robust_network.resized(some, grey=False, side=28).transpose(0, 2, 3, 1), some.pictures
    )
    np.testing.assert_array_equal(robust_network.resized(some, grey=True, side=28)[:, 0], some.pictures[..., 0])


def test_at_most_so_many_of_each_class_are_explained():
    labels = np.array([0] * 7 + [1] * 2 + [2] * 4)
    rows = robust_network.rows_to_explain(labels, 3)
    assert np.bincount(labels[rows]).tolist() == [3, 2, 3]
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert robust_network.rows_to_explain(labels, 100).tolist() == list(range(13))
    larger = np.zeros(1000, int)
    assert robust_network.rows_to_explain(larger, 50).max() > 500  # and not the first ones


def test_the_file_of_weights_is_named_by_all_that_they_depend_on():
    splits = {split: Examples(np.full((2, 1, 8, 8), i, np.uint8), np.array([0, 1])) for i, split in enumerate(SPLITS)}
    changed = {
        "pixels": splits | {"val": Examples(splits["val"].pixels + 1, splits["val"].labels)},
        "labels": splits | {"train": Examples(splits["train"].pixels, np.array([1, 0]))},
        "side": {split: Examples(some.pixels.reshape(2, 1, 4, 16), some.labels) for split, some in splits.items()},
    }
    recipe, augmented = Recipe(), Recipe(augmented=True)
    names = {robust_network._digest(some, 2, recipe, 3, 0) for some in (splits, *changed.values())}
    names |= {
        robust_network._digest(splits, *told) for told in ((3, recipe, 3, 0), (2, recipe, 4, 0), (2, recipe, 3, 1))
    }
    others = (replace(recipe, loss="cross-entropy"), augmented, replace(augmented, constants="32"))
    names |= {robust_network._digest(splits, 2, other, 3, 0) for other in others}
    assert len(names) == 4 + 3 + 3
    assert robust_network._digest(splits, 2, replace(recipe, constants="32"), 3, 0) in names  # training never corrupts


@pytest.mark.parametrize("classes", [2, 4])
def test_the_area_of_each_class_is_that_of_scikit_learn(classes):
    labels = GENERATOR.integers(0, classes, 60)
    scores = GENERATOR.random((60, classes)).round(1)
    each = [roc_auc_score(labels == c, scores[:, c]) for c in range(classes)]
    np.testing.assert_allclose(one_against_rest(labels, scores)[0], [np.mean(each), *each])
    scores = GENERATOR.dirichlet(np.ones(classes), 60)
    macro = roc_auc_score(labels, scores[:, 1] if classes == 2 else scores, multi_class="ovr")
    assert one_against_rest(labels, scores)[0, 0] == pytest.approx(macro)
    weights = GENERATOR.integers(0, 3, (5, 60)).astype(float)
    for row, found in zip(weights, one_against_rest(labels, scores, weights), strict=True):
        repeated = np.repeat(np.arange(60), row.astype(int))
        np.testing.assert_allclose(found, one_against_rest(labels[repeated], scores[repeated])[0])


def test_a_class_that_nobody_or_everybody_has_has_no_area():
    found = one_against_rest(np.array([0, 1, 1]), np.eye(3))
    assert np.isnan(found[0, [0, 3]]).all()
    assert np.isfinite(found[0, 1:3]).all()
    assert np.isnan(one_against_rest(np.zeros(4, int), np.full((4, 2), 0.5))).all()


@pytest.fixture(scope="module")
def asked() -> RobustNetwork:
    torch.manual_seed(1)
    network = backbones.create("resnet18", 3).requires_grad_(False)
    network.fc.weight *= 30
    pixels = np.stack(
        [cv2.GaussianBlur(one, (0, 0), 4) for one in GENERATOR.integers(0, 256, (4, 32, 32)).astype(np.uint8)]
    )
    pixels = cv2.normalize(pixels, None, 0, 255, cv2.NORM_MINMAX)[:, None]
    return RobustNetwork(network, Recipe(side=32), None, Examples(pixels, np.array([0, 1, 2, 0])))


def as_input(pixels: torch.Tensor) -> torch.Tensor:
    return pixels.double().div(127.5).sub(1).expand(-1, 3, -1, -1).float()


def test_answers_are_those_to_each_version(asked):
    pixels, keys = torch.from_numpy(asked.test.pixels), torch.arange(4)
    assert asked.probabilities.shape == (26, 4, 3)
    for v in (0, 3, 12, 25):
        kind, severity = ALL_VERSIONS[v]
        version = pixels if v == 0 else corruptions.corrupt(pixels, kind, severity, keys, seed=SEED)
        with torch.no_grad():
            logits = asked.network(as_input(version))
        np.testing.assert_allclose(asked.probabilities[v], torch.sigmoid(logits), atol=0.02)
        assert (asked.predicted[v] == logits.argmax(1).numpy()).all()


def test_probabilities_by_cross_entropy_are_shares_of_the_classes(asked):
    other = replace(asked, recipe=replace(asked.recipe, loss="cross-entropy"))
    np.testing.assert_allclose(other.probabilities.sum(2), 1)
    assert (other.predicted == asked.predicted).all()
    odds = asked.probabilities / (1 - asked.probabilities)
    np.testing.assert_allclose(other.probabilities, odds / odds.sum(2, keepdims=True), rtol=1e-6)


@pytest.fixture(scope="module")
def tables(asked, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "RESULTS", tmp_path_factory.mktemp("results"))
        return {name: asked.shift(EXPLAINED, name) for name in robust_network.VARIANTS}


def test_what_is_explained_is_what_is_answered(asked, tables):
    table = tables["Grad-CAM++"]
    assert sorted(table["image"].unique()) == EXPLAINED.tolist()
    lines = table[table["layer"] == "layer1.0"].set_index(["image", "corruption", "severity"])
    for v, (kind, severity) in enumerate(ALL_VERSIONS):
        assert (lines["predicted"].unstack(0).loc[(kind, severity)] == asked.predicted[v, EXPLAINED]).all()
    before = table.groupby("image")["right_before"].first()
    assert (before == (asked.predicted[0, EXPLAINED] == asked.test.labels[EXPLAINED])).all()
    assert table.groupby("image")["right_before"].nunique().max() == 1
    with torch.no_grad():
        confidence = asked.network(as_input(torch.from_numpy(asked.test.pixels[EXPLAINED]))).softmax(1).amax(1)
    np.testing.assert_allclose(lines.xs((ORIGINAL, 0), level=(1, 2))["confidence"], confidence, atol=1e-3)
    assert {ANOTHER_IMAGE, RANDOM_WEIGHTS} < set(table["corruption"])


def test_variants_are_other_explanations_of_the_same_answers(tables):
    main, undivided, fixed = tables.values()
    assert (main["predicted"] == undivided["predicted"]).all()
    assert (main["rmse"] - undivided["rmse"]).abs().max() > 1
    versions = main["severity"] > 0
    original = main["image"].map(main[main["corruption"] == ORIGINAL].groupby("image")["predicted"].first())
    same = versions & (main["predicted"] == original)
    assert same.any()
    np.testing.assert_allclose(main["rmse"][same], fixed["rmse"][same], atol=1e-3)
    assert "rank_correlation" in main
    assert "rank_correlation" not in fixed
