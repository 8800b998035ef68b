"""TCAV and nearest examples on networks whose answer is known."""

import numpy as np
import pandas as pd
import pytest
import torch
from explained_networks import Small, images
from scipy.stats import ttest_ind
from torch import nn

from medxai.attribution import concepts, examples
from medxai.errors import UnsupportedModel


class Colours(nn.Module):
    """Maps are the positive parts of red and green; class 0 likes red, class 1 dislikes it, both ignore green."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.ReLU())
        with torch.no_grad():
            self.maps[0].weight.copy_(torch.eye(2, 3)[:, :, None, None])
        self.double()

    def forward(self, batch):
        red = self.maps(batch).mean((2, 3))[:, :1]
        return torch.cat([red, -red], 1)


def pictures(number, seed, colour=None):
    """Noise (n, 3, 6, 6), in one colour brighter by 3."""
    noise = torch.rand(number, 3, 6, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    if colour is not None:
        noise[:, colour] += 3
    return noise


RANDOM = [pictures(20, 10 + seed) for seed in range(6)]
CONCEPTS = {"red": pictures(20, 1, 0), "green": pictures(20, 2, 1), "nothing": pictures(20, 3)}


def test_tcav_knows_what_moves_the_score():
    likes = concepts.tcav(Colours(), pictures(9, 4), 0, CONCEPTS, RANDOM, layer="maps")
    dislikes = concepts.tcav(Colours(), pictures(9, 4), 1, CONCEPTS, RANDOM, layer="maps")
    assert likes.index.tolist() == ["red", "green", "nothing"]
    assert likes.loc["red", "score"] == 1
    assert dislikes.loc["red", "score"] == 0
    assert likes.loc["red", "accuracy"] == 1
    assert likes.loc["green", "accuracy"] == 1  # the layer knows green, the score does not use it
    assert 0.2 < likes.loc["nothing", "accuracy"] < 0.8
    assert likes.loc["nothing", "p_value"] > 0.05


def test_tcav_against_its_definition():
    """Vectors, derivatives, shares and the test computed apart, from the maps."""
    model, batch = Small(), images(8, 30, dtype=torch.double)
    kinds = {
        "bright": images(8, 12, seed=7, dtype=torch.double) + 1,
        "dark": images(8, 12, seed=8, dtype=torch.double) - 1,
    }
    chance = [images(8, 12, seed=20 + seed, dtype=torch.double) for seed in range(4)]
    found = concepts.tcav(model, batch, 2, kinds, chance, layer="first", generator=torch.Generator().manual_seed(5))
    maps = model.first(batch).detach().requires_grad_()
    logits = model.head(model.second(maps).mean((2, 3)))[:, 2]
    (slopes,) = torch.autograd.grad(logits.sum(), maps)
    with torch.no_grad():
        flat = {name: model.first(some).flatten(1).numpy() for name, some in kinds.items()}
        others = [model.first(some).flatten(1).numpy() for some in chance]

    def share(one, other):
        vector, _ = concepts.concept_vector(one, other, seed=5)
        step = torch.tensor(vector).view(1, *maps.shape[1:])
        with torch.no_grad():  # the change of the score after a small step along the vector
            moved = model.head(model.second(maps + 1e-7 * step).mean((2, 3)))[:, 2]
        assert torch.equal(moved > logits, (slopes * step).sum((1, 2, 3)) > 0)
        return float((moved > logits).double().mean())

    by_chance = [share(others[i], others[j]) for i in range(4) for j in range(i + 1, 4)]
    for name, one in flat.items():
        scores = [share(one, other) for other in others]
        assert found.loc[name, "score"] == pytest.approx(np.mean(scores))
        assert found.loc[name, "score_std"] == pytest.approx(np.std(scores, ddof=1))
        assert found.loc[name, "random_score"] == pytest.approx(np.mean(by_chance))
        assert found.loc[name, "p_value"] == pytest.approx(
            ttest_ind(scores, by_chance, equal_var=False).pvalue, nan_ok=True
        )


def test_concept_vector_of_parted_clouds():
    """Two clouds apart along one axis: the vector is that axis, towards the concept, and of length 1."""
    draw = np.random.default_rng(0)
    axis = np.array([3.0, -4.0]) / 5
    other = draw.normal(size=(400, 2)) * 0.5
    vector, accuracy = concepts.concept_vector(other[::-1] + 6 * axis, other)
    assert vector @ axis > 0.995
    assert np.linalg.norm(vector) == pytest.approx(1)
    assert accuracy > 0.99


def test_vectors_serve_all_targets_and_random_concepts_are_chance():
    found = concepts.vectors(Colours(), CONCEPTS, RANDOM, layer="maps")
    for target in (0, 1):
        slopes = concepts.slopes(Colours(), pictures(9, 4), target, layer="maps")
        pd.testing.assert_frame_equal(
            concepts.tcav_scores(found, slopes),
            concepts.tcav(Colours(), pictures(9, 4), target, CONCEPTS, RANDOM, layer="maps"),
        )
    assert found.chance.shape[0] == 15


def test_regression_vector_of_a_plane():
    """A measure that grows along one direction: the vector is that direction, and nothing is left unexplained."""
    draw = np.random.default_rng(1)
    values, direction = draw.normal(size=(200, 3)), np.array([2.0, -1.0, 2.0]) / 3
    found = concepts.regression_vector(values, 7 + 4 * values @ direction)
    assert found.vector == pytest.approx(direction, abs=1e-3)
    assert found.r2 == pytest.approx(1, abs=1e-4)
    noisy = concepts.regression_vector(values, values @ direction + draw.normal(size=200))
    assert noisy.r2 == pytest.approx(0.5, abs=0.15)  # as much noise as signal
    chance = concepts.regression_vector(values, draw.permutation(values @ direction))
    assert chance.r2 < 0.05


def test_relevance_in_closed_form():
    regression = concepts.Regression(np.array([1.0, 0.0]), 0.5)
    slopes = np.array([[1.0, 9.0], [3.0, -9.0]])  # along the vector 1 and 3: mean 2, deviation 1
    assert concepts.relevance(slopes, regression) == pytest.approx(0.5 * 2 / 1)
    assert concepts.relevance(-slopes, regression) == pytest.approx(-1)
    assert concepts.relevance(slopes, regression._replace(r2=-0.2)) == 0
    assert np.isnan(concepts.relevance(np.ones((2, 2)), regression))
    level = concepts.regression_vector(np.random.default_rng(0).normal(size=(12, 2)), np.ones(12))
    assert np.isnan(level.r2)
    assert np.isnan(concepts.relevance(slopes, level))


@pytest.mark.parametrize(
    ("values", "measure", "message"),
    [
        (np.zeros((9, 2)), np.zeros(9), "n at least 10"),
        (np.zeros((12, 2)), np.zeros(11), r"\(12, 2\) and \(11,\): expected \(n, k\) and \(n,\)"),
        (np.full((12, 2), np.nan), np.zeros(12), "NaN or infinity"),
    ],
)
def test_bad_regressions(values, measure, message):
    with pytest.raises(ValueError, match=message):
        concepts.regression_vector(values, measure)


def test_equal_scores_have_no_p_value():
    class Constant(nn.Module):  # rises along every vector of the red map alone: here red is all there is
        def __init__(self):
            super().__init__()
            self.maps = nn.Conv2d(3, 1, 1).double()

        def forward(self, batch):
            return 0 * self.maps(batch).mean((2, 3)) + torch.zeros(1, 2, dtype=torch.double)

    found = concepts.tcav(Constant(), pictures(4, 4), 0, CONCEPTS, RANDOM, layer="maps")
    assert (found["score"] == 0).all()
    assert found["p_value"].isna().all()


@pytest.mark.parametrize(
    ("kinds", "chance", "message"),
    [
        ({}, RANDOM, "concepts are empty"),
        (CONCEPTS, RANDOM[:2], "random_sets are 2: expected at least 3"),
        ({"rare": RANDOM[0][:2]}, RANDOM, "'rare' has 2 pictures"),
        (CONCEPTS, [*RANDOM, RANDOM[0][:1]], "'random set 6' has 1 pictures"),
    ],
)
def test_bad_concepts(kinds, chance, message):
    with pytest.raises(ValueError, match=message):
        concepts.tcav(Colours(), pictures(4, 4), 0, kinds, chance)


def test_nearest_by_all_distances():
    model, batch, references = Small(), images(8, 4, dtype=torch.double), images(8, 40, seed=9, dtype=torch.double)
    found = examples.nearest(model, batch, references, number=3)
    with torch.no_grad():
        ours, theirs = (model.second(model.first(some)).mean((2, 3)) for some in (batch, references))
    distances, indices = torch.cdist(ours, theirs).sort()
    expected = pd.DataFrame(
        {
            "image": np.repeat(np.arange(4), 3),
            "rank": np.tile([1, 2, 3], 4),
            "reference": indices[:, :3].flatten().numpy(),
            "distance": distances[:, :3].flatten().numpy(),
        }
    )
    pd.testing.assert_frame_equal(found, expected)


def test_an_image_is_its_own_neighbour_and_cosine_leaves_out_strength():
    model = Colours()
    batch = pictures(5, 6)
    own = examples.nearest(model, batch, batch, number=1)
    assert own["reference"].tolist() == [0, 1, 2, 3, 4]
    assert own["distance"].abs().max() < 1e-6
    brighter = examples.nearest(model, 4 * batch, batch, number=1, metric="cosine")
    assert brighter["reference"].tolist() == [0, 1, 2, 3, 4]


def test_bad_neighbours():
    with pytest.raises(ValueError, match="number is 6: expected at most 5"):
        examples.nearest(Colours(), pictures(1, 0), pictures(5, 1), number=6)
    with pytest.raises(ValueError, match="number is 0"):
        examples.nearest(Colours(), pictures(1, 0), pictures(5, 1), number=0)
    with pytest.raises(UnsupportedModel, match="no convolution"):
        examples.nearest(nn.Flatten(), pictures(1, 0), pictures(5, 1), number=1)
