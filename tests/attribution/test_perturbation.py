"""Perturbation methods against closed forms of a linear network and against all coalitions of a small one."""

import itertools
import math

import numpy as np
import pytest
import torch
from explained_networks import Linear, Small, images

from medxai.attribution import explain, perturbation

X = images(8, 2, dtype=torch.double)
TARGET = torch.tensor([0, 4])
BASELINE = torch.tensor([0.3, -0.2, 0.1], dtype=torch.double)[:, None, None]
QUARTERS = perturbation.grid(8, 8, 2)
UNEQUAL = torch.tensor([[7, 7, 7, 7, 7, 7, 3, 3]] * 6 + [[9, 9, 9, 9, 3, 3, 3, 3]] * 2)


@pytest.fixture(scope="module")
def linear():
    return Linear()


@pytest.fixture(scope="module")
def contributions(linear):
    """What each pixel adds to the score of the linear network, (2, 8, 8)."""
    slopes = torch.stack([linear.slope(int(target)) for target in TARGET])
    return (slopes * (X - BASELINE)).sum(1)


@pytest.fixture(scope="module")
def small():
    return Small()


def coalition_scores(model, image, target, regions):
    """Score of every subset of regions, the others replaced by the baseline."""
    with torch.no_grad():
        found = {}
        for size in range(len(regions) + 1):
            for subset in itertools.combinations(range(len(regions)), size):
                shown = sum((regions[i] for i in subset), torch.zeros_like(regions[0]))
                found[frozenset(subset)] = model((shown * image + (1 - shown) * BASELINE)[None])[0, target].item()
        return found


def shapley_values(scores, players):
    """By the definition (Shapley 1953): the weighted mean of what a player adds to each coalition."""
    values = []
    for player in range(players):
        total = 0.0
        for coalition in (one for one in scores if player not in one):
            size = len(coalition)
            weight = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
            total += weight * (scores[coalition | {player}] - scores[coalition])
        values.append(total)
    return values


def masks(features):
    return [(features == number).to(torch.double) for number in features.unique()]


def spread(values, features):
    """Each region's value, over its pixels."""
    return sum(value * mask / mask.sum() for value, mask in zip(values, masks(features), strict=True))


def test_occlusion_of_a_linear_network(linear, contributions):
    """A window takes away the contributions inside of it; a pixel's value is the mean over its windows."""
    found = explain(linear, X, TARGET, "occlusion", baseline=BASELINE, window=4, stride=2)
    total, times = torch.zeros(2, 8, 8, dtype=torch.double), torch.zeros(8, 8, dtype=torch.double)
    for row, column in itertools.product((0, 2, 4), repeat=2):
        where = (slice(row, row + 4), slice(column, column + 4))
        total[:, *where] += contributions[:, *where].sum((1, 2))[:, None, None]
        times[where] += 1
    torch.testing.assert_close(found, total / times)


@pytest.mark.parametrize("features", [QUARTERS, UNEQUAL])
@pytest.mark.parametrize(("method", "samples"), [("shapley_value_sampling", 2), ("kernel_shap", 60)])
def test_shapley_values_of_a_linear_network(linear, contributions, method, samples, features):
    options = {"baseline": BASELINE, "features": features, "samples": samples}
    found = explain(linear, X, TARGET, method, **options)
    for image in range(2):
        expected = spread([(contributions[image] * mask).sum() for mask in masks(features)], features)
        torch.testing.assert_close(found[image], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("method", "samples"), [("shapley_value_sampling", 400), ("kernel_shap", 3000)])
def test_shapley_values_by_all_coalitions(small, method, samples):
    x = 3 * X
    options = {"baseline": BASELINE, "features": QUARTERS, "samples": samples}
    found = explain(small, x, TARGET, method, **options)
    for image in range(2):
        scores = coalition_scores(small, x[image], TARGET[image], masks(QUARTERS))
        values = shapley_values(scores, 4)
        expected = spread(values, QUARTERS)
        torch.testing.assert_close(found[image], expected, rtol=0, atol=0.06 * float(expected.abs().max()))
        total = scores[frozenset(range(4))] - scores[frozenset()]
        assert found[image].sum().item() == pytest.approx(total, rel=1e-3)


def test_lime_is_weighted_ridge_regression(small):
    """The normal equations, written out, for the switches that the same seed draws."""
    seed, samples, players = 3, 100, 4
    found = explain(
        small, X, TARGET, "lime", baseline=BASELINE, features=QUARTERS, samples=samples, generator=generator(seed)
    )
    drawn = torch.Generator().manual_seed(seed)
    switches = np.array(
        [torch.bernoulli(torch.full((1, players), 0.5), generator=drawn)[0].numpy() for _ in range(samples)]
    )
    norm = np.sqrt(switches.sum(1))
    cosine = np.divide(switches.sum(1), norm * np.sqrt(players), out=np.zeros(samples), where=norm > 0)
    weights = np.sqrt(np.exp(-((1 - cosine) ** 2) / 0.25**2))
    for image in range(2):
        scores = coalition_scores(small, X[image], TARGET[image], masks(QUARTERS))
        outcomes = np.array([scores[frozenset(np.flatnonzero(row).tolist())] for row in switches])
        centred = switches - np.average(switches, axis=0, weights=weights)
        gram = centred.T @ (weights[:, None] * centred) + np.eye(players)
        slopes = np.linalg.solve(gram, centred.T @ (weights * outcomes))
        torch.testing.assert_close(found[image], spread(slopes.tolist(), QUARTERS), rtol=1e-4, atol=1e-6)


def test_lime_of_small_logits_is_not_zero():
    tiny = Small()
    with torch.no_grad():
        tiny.head.weight /= 1e6
        tiny.head.bias /= 1e6
    found = explain(tiny, X, TARGET, "lime", features=QUARTERS)
    whole = explain(Small(), X, TARGET, "lime", features=QUARTERS)
    assert whole.abs().max() > 0
    torch.testing.assert_close(found * 1e6, whole, rtol=1e-3, atol=1e-3 * float(whole.abs().max()))


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("method", ["shapley_value_sampling", "kernel_shap", "lime"])
def test_seeds_and_global_state(small, method):
    def run(seed):
        return explain(small, X, TARGET, method, features=QUARTERS, samples=5, generator=generator(seed))

    torch.manual_seed(11)
    one = run(1)
    after = torch.rand(1)
    torch.manual_seed(11)
    assert torch.equal(after, torch.rand(1))  # the user's own random numbers are as before
    assert torch.equal(one, run(1))
    assert not torch.equal(one, run(2))


@pytest.mark.parametrize("method", ["occlusion", "shapley_value_sampling", "kernel_shap", "lime"])
def test_a_batch_gives_what_single_images_give(small, method):
    options = {} if method == "occlusion" else {"samples": 5, "features": QUARTERS}
    batch = explain(small, X, TARGET, method, **options)
    singles = [explain(small, X[i : i + 1], int(TARGET[i]), method, batch_size=3, **options) for i in range(2)]
    torch.testing.assert_close(batch, torch.cat(singles))


def test_the_grid_parts_any_size():
    regions = perturbation.grid(20, 13)
    assert regions.unique().tolist() == list(range(64))
    assert torch.bincount(regions.flatten()).min() >= 2


def test_regions_of_each_image(small):
    both = torch.stack([QUARTERS, UNEQUAL])
    found = explain(small, X, TARGET, "shapley_value_sampling", features=both)
    for index, features in enumerate((QUARTERS, UNEQUAL)):
        alone = explain(small, X[index : index + 1], int(TARGET[index]), "shapley_value_sampling", features=features)
        torch.testing.assert_close(found[index], alone[0])


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("occlusion", {"window": 9}, "window is 9 and stride 4: expected stride <= window <= 8"),
        ("occlusion", {"window": 2, "stride": 3}, "window is 2 and stride 3"),
        ("occlusion", {"batch_size": 0}, "batch_size is 0"),
        ("lime", {"samples": -1}, "samples is -1"),
        ("kernel_shap", {"features": torch.zeros(8, 8)}, r"features are torch.float32 \(8, 8\)"),
        ("kernel_shap", {"features": torch.zeros(4, 8).long()}, r"features are torch.int64 \(4, 8\)"),
    ],
)
def test_bad_options(small, method, options, message):
    with pytest.raises(ValueError, match=message):
        explain(small, X, TARGET, method, **options)


@pytest.mark.parametrize("method", ["occlusion", "shapley_value_sampling", "kernel_shap", "lime"])
def test_differences_that_are_small_beside_the_score_are_seen(linear, method):
    class Raised(Linear):
        def forward(self, batch):
            return super().forward(batch) + 1e6

    options = {} if method == "occlusion" else {"samples": 16, "features": QUARTERS}
    same = explain(linear, X, TARGET, method, baseline=BASELINE, **options)
    torch.testing.assert_close(
        explain(Raised(), X, TARGET, method, baseline=BASELINE, **options),
        same,
        rtol=1e-3,
        atol=1e-4 * same.abs().max(),
    )
