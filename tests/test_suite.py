"""All metrics of many maps at once, on a model whose answers are known."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from medxai.evaluation import localisation, suite
from medxai.evaluation.metrics import METRICS

SIDE = 16


class Linear(nn.Module):
    """Two classes; the logit of the second is the sum of weights times pixels, that of the first is 0."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, images: Tensor) -> Tensor:
        score = (images * self.weights).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(score), score], dim=1)


@pytest.fixture(scope="module")
def known() -> tuple[Linear, Tensor, np.ndarray]:
    """A linear model, an image, and its true contributions (SIDE, SIDE)."""
    generator = torch.Generator().manual_seed(0)
    weights, image = (torch.randn(3, SIDE, SIDE, generator=generator).double() / 16 for _ in range(2))
    return Linear(weights), 16 * image, (16 * image * weights).sum(0).numpy()


EFFORT = suite.Effort.of(16)


def test_true_contributions_are_perfect_and_the_controls_lose(known):
    model, image, contributions = known
    noise = np.random.default_rng(0).random((SIDE, SIDE))
    found = suite.faithful(model, image, 1, np.stack([contributions, noise, 0 * noise]), EFFORT).scores
    true, random, zero = np.stack([found[name] for name in found], axis=1)
    scores = dict(zip(found, true, strict=True))
    assert scores["sensitivity_n"] == pytest.approx(1)
    assert scores["infidelity"] == pytest.approx(0, abs=1e-9)
    assert scores["completeness_gap"] == pytest.approx(0, abs=1e-9)
    for name, (one, other) in zip(found, zip(true, random, strict=True), strict=True):
        assert one < other if METRICS[name].better == "lower" else one > other, name
    nothing = dict(zip(found, zero, strict=True))
    assert np.isnan(nothing["sensitivity_n"])
    assert nothing["infidelity"] == 1
    assert nothing["occlusion_drop"] == 0


def test_scores_do_not_depend_on_the_other_maps(known):
    model, image, contributions = known
    others = np.random.default_rng(1).standard_normal((3, SIDE, SIDE))
    alone = suite.faithful(model, image, 1, contributions[None], EFFORT).scores
    together = suite.faithful(model, image, 1, np.stack([*others, contributions]), EFFORT).scores
    for name, value in alone.items():
        np.testing.assert_allclose(together[name][-1], value[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("others", [0, 2])
def test_a_finding_by_itself_is_one_of_two_classes(known, others):
    """A sigmoid of z is a softmax of 0 and z, whatever a model says of other findings."""
    model, image, contributions = known

    class Findings(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            score = model(images)[:, 1]
            return torch.stack([score, *[5 + score] * others], dim=1)

    two, one = (
        suite.faithful(network, image, target, contributions[None], EFFORT, multi_label=target == 0)
        for network, target in ((model, 1), (Findings(), 0))
    )
    for name, value in (two.scores | two.curves).items():
        np.testing.assert_allclose((one.scores | one.curves)[name], value, rtol=1e-9, atol=1e-12)


def test_place_is_scored_against_the_reference():
    generator = np.random.default_rng(0)
    reference = (generator.random((SIDE, SIDE)) > 0.7).astype(float)
    maps = np.stack([reference, generator.standard_normal((SIDE, SIDE)), -reference])
    found = suite.place(maps, reference)
    for name in ("fuzzy_f1", "pixel_auc", "mass", "hit_rate"):
        assert found[name][0] == 1, name
    assert found["pixel_auc"][1] == pytest.approx(roc_auc_score(reference.ravel(), maps[1].ravel()))
    assert found["pixel_auc"][2] == 0
    assert found["fuzzy_f1"][2] == 0


def test_the_threshold_comes_from_other_images():
    """The first image would be best at 0.9, all others at 0.3: it gets their threshold."""
    reference = np.zeros((4, 4, 4))
    reference[:, 0, 0] = 1
    maps = np.zeros((4, 4, 4))
    maps[:, 0, 0], maps[:, 3, 3] = 1, 0.2  # cut above 0.2: perfect
    maps[0, 0, 1] = 0.6
    found = suite.held_out_iou(maps, reference, parts=4)
    threshold = localisation.best_threshold(maps[1:], reference[1:])
    assert threshold < 0.6
    np.testing.assert_allclose(found, [0.5, 1, 1, 1])
    assert np.isnan(suite.held_out_iou(maps[:1], reference[:1])).all()


def test_the_largest_share_breaks_ties_once_for_all_maps():
    values = np.arange(SIDE**2, dtype=float).reshape(SIDE, SIDE)
    found = suite.largest(np.stack([values, 0 * values, 0 * values]), share=0.25)
    assert found.sum((1, 2)).tolist() == [64, 64, 64]
    np.testing.assert_array_equal(found[0], values >= 192)
    np.testing.assert_array_equal(found[1], found[2])
    assert found[1][:4].sum() < 64  # not simply the first pixels


def test_fewer_copies_of_large_images_go_through_the_model_at_once():
    assert [suite.batch(side) for side in (64, 128, 288, 1000)] == [81, 20, 4, 1]
