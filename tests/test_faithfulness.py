"""Faithfulness of maps: closed forms on a linear score, slow loops, captum, and Quantus where it is installed."""

import cv2
import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from scipy.stats import pearsonr
from torch import Tensor, nn

from medxai.evaluation import faithfulness as metrics

QUANTUS = "Quantus is no dependency of the book, as it brings another OpenCV with it"
DRAW = np.random.default_rng(0)
IMAGE = torch.as_tensor(DRAW.normal(size=(3, 12, 10)))
WEIGHTS = torch.as_tensor(DRAW.normal(size=(3, 12, 10)))
FILL = torch.as_tensor(DRAW.normal(size=(3, 1, 1)))
NOISE = DRAW.normal(size=(4, 12, 10))


def linear(images: Tensor) -> Tensor:
    return (images * WEIGHTS).sum((1, 2, 3)) + 0.7


def contributions(start: Tensor) -> np.ndarray:
    """What each pixel adds to the linear score, over a start; a map (h, w)."""
    return (WEIGHTS * (IMAGE - start)).sum(0).numpy()


TRUE = contributions(FILL)


def convnet(channels: int = 3) -> nn.Sequential:
    """A network with bends, random biases and two classes, float64."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Conv2d(channels, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.Tanh(), nn.Flatten(), nn.LazyLinear(2)]
        network = nn.Sequential(*layers).double()
        network(torch.zeros(1, channels, 12, 10, dtype=torch.double))
        for weight in network.parameters():
            nn.init.normal_(weight, std=0.5)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def bent():
    network = convnet()
    return lambda images: network(images)[:, 1]


def test_covered_fills_the_area_and_nothing_else():
    areas = DRAW.random((5, 12, 10)) < 0.3
    images = metrics.covered(IMAGE, areas, FILL)
    for one, area in zip(images, areas, strict=True):
        for channel, fill in enumerate(FILL.flatten()):
            assert (one[channel][area] == fill).all()
            assert torch.equal(one[channel][~area], IMAGE[channel][~area])
    assert images.dtype == IMAGE.dtype
    assert metrics.covered(IMAGE.float(), areas).dtype == torch.float32


def test_drops_of_a_linear_score_are_the_sums_of_contributions():
    areas = DRAW.random((5, 12, 10)) < 0.3
    areas[2] = False
    drops = metrics.occlusion_drop(linear, IMAGE, areas, fill=FILL, batch_size=2)
    np.testing.assert_allclose(drops, [TRUE[area].sum() for area in areas], atol=1e-12)
    assert drops[2] == 0
    assert metrics.occlusion_drop(linear, IMAGE, areas[:0]).shape == (0,)


def test_deletion_of_a_linear_score_takes_the_contributions_off_in_order():
    removed = np.concatenate([[0], np.cumsum(np.sort(TRUE, axis=None)[::-1])])
    (curve,) = metrics.deletion(linear, IMAGE, TRUE[None], steps=24, fill=FILL)
    np.testing.assert_allclose(curve, float(linear(IMAGE[None])) - removed[::5], atol=1e-12)
    (uneven,) = metrics.deletion(linear, IMAGE, TRUE[None], steps=7, fill=FILL)
    np.testing.assert_allclose(uneven[[0, 1, 3, -1]], curve[0] - removed[[0, 17, 51, 120]], atol=1e-12)


def test_insertion_into_a_linear_score_puts_the_contributions_on_in_order():
    start = metrics.blurred(IMAGE, 0.2)
    over_blur = contributions(start)
    added = np.concatenate([[0], np.cumsum(np.sort(over_blur, axis=None)[::-1])])
    (curve,) = metrics.insertion(linear, IMAGE, over_blur[None], steps=12, sigma=0.2)
    np.testing.assert_allclose(curve, float(linear(start[None])) + added[::10], atol=1e-12)


def test_the_blur_is_opencvs():
    image = np.random.default_rng(1).normal(size=(40, 50))
    wanted = cv2.GaussianBlur(image, (17, 17), 2, borderType=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(metrics.blurred(torch.as_tensor(image[None]), 2 / 40)[0], wanted, atol=1e-12)


def test_pixels_without_an_order_come_in_one_random_order(bent):
    maps = np.stack([np.zeros((12, 10)), np.full((12, 10), 3.0), np.sign(NOISE[0])])
    curves = metrics.deletion(bent, IMAGE, maps, steps=10)
    np.testing.assert_array_equal(curves[0], curves[1])
    assert not np.allclose(curves[0], metrics.deletion(bent, IMAGE, maps[:1], steps=10, seed=1))
    places = metrics._places(maps.reshape(3, -1), seed=0)
    above = maps[2].ravel() > 0
    assert set(places[2][above]) == set(range(above.sum()))
    assert (np.argsort(places[2][above]) == np.argsort(places[0][above])).all()


def test_area_is_that_of_trapezoids():
    assert metrics.area(np.array([[1.0, 0.5, 0.0], [1.0, 1.0, 1.0]])) == pytest.approx([0.5, 1])
    assert metrics.area(np.array([1.0, 0.0, 0.0])) == pytest.approx(0.25)
    with pytest.raises(ValueError, match=r"curves have the shape \(3, 1\)"):
        metrics.area(np.ones((3, 1)))


def test_true_contributions_are_perfect_and_noise_is_not():
    maps = np.stack([TRUE, -TRUE, 7 * TRUE, *NOISE])
    correlations = metrics.sensitivity_n(linear, IMAGE, maps, fill=FILL, subsets=50)
    np.testing.assert_allclose(correlations[:3], np.array([[1], [-1], [1]]) * np.ones(5), atol=1e-12)
    assert (np.abs(correlations[3:]) < 0.7).all()
    errors = metrics.infidelity(linear, IMAGE, maps, fill=FILL)
    np.testing.assert_allclose(errors[:3], 0, atol=1e-12)
    assert (errors[3:] > 0.5).all()
    lost = metrics.area(metrics.deletion(linear, IMAGE, maps, fill=FILL))
    assert (lost[0] < lost[3:]).all()
    assert (lost[1] > lost[3:]).all()
    over_blur = contributions(metrics.blurred(IMAGE))
    gained = metrics.area(metrics.insertion(linear, IMAGE, np.stack([over_blur, *NOISE])))
    assert (gained[0] > gained[1:]).all()
    highest = np.stack([values > np.quantile(values, 0.9) for values in maps])
    drops = metrics.occlusion_drop(linear, IMAGE, highest, fill=FILL)
    assert (drops[0] > drops[3:]).all()


@pytest.mark.parametrize("cells", [4, None])
def test_sensitivity_n_is_that_of_a_slow_loop(bent, cells):
    sizes, values = (1, 3, 9), NOISE[:2]
    measured = metrics.sensitivity_n(bent, IMAGE, values, sizes=sizes, subsets=12, cells=cells, fill=FILL, seed=5)
    rows, columns = (12, 10) if cells is None else (4, 4)
    for column, size in enumerate(sizes):
        chosen = metrics._subsets(rows * columns, size, 12, 5)
        drops, sums = [], []
        for subset in chosen:
            image, total = IMAGE.clone(), np.zeros(2)
            for i, j in np.ndindex(12, 10):
                if subset[i * rows // 12 * columns + j * columns // 10]:
                    image[:, i, j] = FILL.flatten()
                    total += values[:, i, j]
            drops.append(float(bent(IMAGE[None]) - bent(image[None])))
            sums.append(total)
        wanted = [pearsonr(one, drops).statistic for one in np.transpose(sums)]
        np.testing.assert_allclose(measured[:, column], wanted, atol=1e-10)


def test_subsets_have_their_size_and_every_feature_its_turn():
    chosen = metrics._subsets(20, 5, 4000, 0)
    assert (chosen.sum(1) == 5).all()
    np.testing.assert_allclose(chosen.mean(0), 0.25, atol=0.03)


def test_squares_have_their_size_and_stay_within_the_image():
    squares = metrics._squares(12, 10, 3, 2000, 0)
    assert (squares.sum((1, 2)) == 9).all()
    assert {(rows.sum(), columns.sum()) for rows, columns in zip(squares.any(2), squares.any(1), strict=True)} == {
        (3, 3)
    }
    assert squares.any(0).all()
    assert metrics._squares(12, 10, None, 1, 0).sum() == 2 * 2


def test_infidelity_is_captums_over_the_mean_square_of_the_drops(bent):
    squares = torch.as_tensor(metrics._squares(12, 10, 4, 60, 3))
    drops = bent(IMAGE[None]) - bent(metrics.covered(IMAGE, squares.numpy(), FILL))
    measured = metrics.infidelity(bent, IMAGE, NOISE, samples=60, side=4, fill=FILL, seed=3)

    def perturbed(images: Tensor) -> tuple[Tensor, Tensor]:
        area = squares[:, None].expand_as(images)
        return area.double(), torch.where(area, FILL, images)

    for value, one in zip(measured, NOISE, strict=True):
        spread = torch.as_tensor(one).expand(1, 3, 12, 10) / 3  # captum wants a value for each channel
        wanted = captum_infidelity(bent, perturbed, IMAGE[None], spread, n_perturb_samples=60, normalize=True)
        assert value == pytest.approx(float(wanted / (drops**2).mean()), rel=1e-9)


def test_what_says_nothing_has_its_value():
    maps = np.stack([np.zeros((12, 10)), np.full((12, 10), 2.0), NOISE[0]])
    undefined = np.isnan(metrics.sensitivity_n(linear, IMAGE, maps, sizes=(5, 120), cells=None))
    np.testing.assert_array_equal(undefined, [[True, True], [True, True], [False, True]])
    tenths = np.full((1, 12, 10), 0.1)  # whose sums are not the same to the last digit
    assert np.isnan(metrics.sensitivity_n(linear, IMAGE, tenths, sizes=(7, 60, 119), cells=None)).all()
    assert metrics.infidelity(linear, IMAGE, maps)[0] == 1

    def constant(images: Tensor) -> Tensor:
        return torch.ones(len(images)) / 3

    assert np.isnan(metrics.infidelity(constant, IMAGE, maps)).all()
    assert np.isnan(metrics.sensitivity_n(constant, IMAGE, maps)).all()
    np.testing.assert_allclose(metrics.deletion(constant, IMAGE, maps), 1 / 3)


def test_completeness_gap_is_a_share():
    gaps = metrics.completeness_gap(np.array([3.0, -3.0, 0.0, 1.0]), np.array([2.0, -2.0, 5.0, 0.0]))
    np.testing.assert_allclose(gaps, [0.5, 0.5, 1, np.nan])
    wanted = float(linear(IMAGE[None]) - linear(FILL.expand_as(IMAGE)[None]))
    assert metrics.completeness_gap(TRUE.sum(), wanted) == pytest.approx(0, abs=1e-12)


MEASURES = {
    "deletion": metrics.deletion,
    "insertion": metrics.insertion,
    "sensitivity_n": metrics.sensitivity_n,
    "infidelity": metrics.infidelity,
}
IMAGES = {"deletion": 4 * 23 + 2, "insertion": 4 * 23 + 2, "sensitivity_n": 500, "infidelity": 201}


@pytest.mark.parametrize("name", MEASURES)
def test_batches_do_not_count_and_the_maps_share_what_they_can(bent, name):
    seen: list[int] = []
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002

    def counted(images: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        seen.append(len(images))
        values = bent(images.clone())
        images.zero_()  # a model may work in place
        return values

    image = IMAGE.clone().requires_grad_()
    whole = MEASURES[name](counted, image, NOISE, batch_size=1000)
    assert sum(seen) == IMAGES[name]
    in_parts = MEASURES[name](counted, image, NOISE, batch_size=7)
    assert max(seen[len(seen) // 2 :]) == 7
    np.testing.assert_allclose(in_parts, whole, atol=1e-10)
    np.testing.assert_allclose(MEASURES[name](bent, IMAGE, torch.as_tensor(NOISE[2:])), whole[2:], atol=1e-10)
    assert torch.equal(image, IMAGE)
    assert torch.equal(states[0], torch.get_rng_state())
    np.testing.assert_array_equal(states[1], np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("name", MEASURES)
def test_the_seed_gives_the_draws(bent, name):
    maps = NOISE.round(0)  # ties, whose order is drawn too
    values = [MEASURES[name](bent, IMAGE, maps, seed=seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(values[0], values[1])
    assert not np.allclose(values[0], values[2])


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"maps": np.where(np.eye(12, 10), np.nan, NOISE)}, "maps hold NaN or infinity"),
        ({"maps": NOISE[:, :9]}, r"maps are \(4, 9, 10\) and the image \(3, 12, 10\)"),
        ({"maps": NOISE[0]}, r"maps have the shape \(12, 10\): expected \(m, h, w\)"),
        ({"image": IMAGE[None]}, r"image is torch.float64 \(1, 3, 12, 10\): expected one image"),
        ({"image": IMAGE.numpy()}, "image is ndarray"),
        ({"image": IMAGE.log()}, "image holds NaN"),
        ({"score": lambda images: images.sum()}, r"score returns torch.float64 \(\) for"),
        ({"score": lambda images: images.sum((1, 2, 3)) / 0}, "score returns NaN or infinity"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_what_cannot_be_scored_is_refused(name, changed, message):
    arguments = {"score": linear, "image": IMAGE, "maps": NOISE} | changed
    with pytest.raises(ValueError, match=message):
        MEASURES[name](**arguments)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: metrics.covered(IMAGE, np.zeros((2, 12, 9), bool)),
            r"areas are bool \(2, 12, 9\): expected bool \(k, 12, 10\)",
        ),
        (lambda: metrics.occlusion_drop(linear, IMAGE, np.zeros((2, 12, 10))), "areas are float64"),
        (lambda: metrics.covered(IMAGE, np.zeros((2, 12, 10), bool), torch.zeros(3)), r"fill has the shape \(3,\)"),
        (lambda: metrics.deletion(linear, IMAGE, NOISE, steps=0), "steps is 0"),
        (lambda: metrics.insertion(linear, IMAGE, NOISE, sigma=0), "sigma is 0"),
        (lambda: metrics.sensitivity_n(linear, IMAGE, NOISE, sizes=(65,)), "a size is 65: expected from 1 to 64"),
        (lambda: metrics.sensitivity_n(linear, IMAGE, NOISE, subsets=1), "subsets is 1"),
        (lambda: metrics.sensitivity_n(linear, IMAGE, NOISE, cells=11), "cells is 11: expected from 1 to 10"),
        (lambda: metrics.infidelity(linear, IMAGE, NOISE, side=11), "side is 11: expected from 1 to 10"),
        (lambda: metrics.infidelity(linear, IMAGE, NOISE, samples=0), "samples is 0"),
    ],
)
def test_other_arguments_are_checked(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.fixture
def quantus_model():
    """Quantus, its wrapper of a network of one channel, the score, and an image."""
    quantus = pytest.importorskip("quantus", reason=QUANTUS)
    network = convnet(channels=1).float()
    wrapped = quantus.helpers.model.pytorch_model.PyTorchModel(network, softmax=False)
    return quantus, wrapped, lambda images: network(images)[:, 1], IMAGE[:1].float()


def test_quantus_pixel_flipping_is_our_deletion(quantus_model):
    quantus, wrapped, score, image = quantus_model
    metric = quantus.PixelFlipping(features_in_step=5, perturb_baseline=0.25, disable_warnings=True)
    flipped = metric.evaluate_batch(
        model=wrapped, x_batch=np.repeat(image[None].numpy(), 4, 0), y_batch=np.ones(4, int), a_batch=NOISE[:, None]
    )
    curves = metrics.deletion(score, image, NOISE, steps=24, fill=0.25)
    np.testing.assert_allclose(curves[:, 1:], flipped, atol=1e-5)  # it leaves the whole image out


def test_quantus_faithfulness_correlation_is_our_sensitivity_n_of_pixels(quantus_model, monkeypatch):
    quantus, wrapped, score, image = quantus_model
    subsets = metrics._subsets(120, 30, 40, seed=2)
    draws = (np.flatnonzero(one) for one in subsets)
    monkeypatch.setattr(np.random, "choice", lambda *_, **__: next(draws))
    metric = quantus.FaithfulnessCorrelation(nr_runs=40, subset_size=30, perturb_baseline=0.25, disable_warnings=True)
    (correlation,) = metric.evaluate_batch(
        model=wrapped, x_batch=image[None].numpy(), y_batch=np.ones(1, int), a_batch=NOISE[:1, None]
    )
    options = {"sizes": (30,), "subsets": 40, "cells": None, "fill": 0.25, "seed": 2}
    assert metrics.sensitivity_n(score, image, NOISE[:1], **options) == pytest.approx(correlation, abs=1e-5)
