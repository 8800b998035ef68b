"""Sensitivity of maps to small changes: a slow loop, captum, and explainers whose change is known."""

import numpy as np
import pytest
import torch
from captum.metrics import sensitivity_max
from torch import Tensor

from medxai.evaluation.stability import max_sensitivity

with torch.random.fork_rng():
    torch.manual_seed(0)
    IMAGES = torch.randn(3, 2, 6, 5, dtype=torch.double)
    MATRIX = torch.randn(30, 60, dtype=torch.double)


def linear(images: Tensor) -> Tensor:
    return (images.flatten(1) @ MATRIX.T).reshape(-1, 6, 5)


def bent(images: Tensor) -> Tensor:
    return linear(images).sin() * images.prod(1)


def draws(radius: float, samples: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [(2 * torch.rand(2, 6, 5, generator=generator, dtype=torch.double) - 1) * radius for _ in range(samples)]


def test_it_is_the_largest_of_a_slow_loop():
    wanted = []
    for image in IMAGES:
        own = bent(image[None])
        changes = [(bent((image + change)[None]) - own).norm() for change in draws(0.1, 7, 4)]
        wanted.append(float(max(changes) / own.norm()))
    measured = max_sensitivity(bent, IMAGES, radius=0.1, samples=7, seed=4)
    np.testing.assert_allclose(measured, wanted)
    np.testing.assert_allclose(max_sensitivity(bent, IMAGES[1:2], radius=0.1, samples=7, seed=4), wanted[1:2])


def test_captum_agrees():
    changes = torch.stack(draws(0.1, 7, 4)).repeat(3, 1, 1, 1)  # captum has all copies of an image in a row

    def explainer(images: Tensor | tuple[Tensor]) -> Tensor | tuple[Tensor]:  # a tuple first, and then a tensor
        return (bent(images[0]),) if isinstance(images, tuple) else bent(images)

    wanted = sensitivity_max(explainer, IMAGES, perturb_func=lambda images: images + changes, n_perturb_samples=7)
    np.testing.assert_allclose(max_sensitivity(bent, IMAGES, radius=0.1, samples=7, seed=4), wanted)


def test_a_linear_explainer_stays_within_its_bound_and_is_linear_in_the_radius():
    measured = max_sensitivity(linear, IMAGES, radius=0.3)
    largest = torch.linalg.matrix_norm(MATRIX, 2) * 0.3 * np.sqrt(60)  # the corner of the cube, stretched the most
    assert (measured <= (largest / linear(IMAGES).flatten(1).norm(dim=1)).numpy()).all()
    np.testing.assert_allclose(measured, 3 * max_sensitivity(linear, IMAGES, radius=0.1))
    np.testing.assert_allclose(measured, max_sensitivity(lambda images: 7 * linear(images), IMAGES, radius=0.3))


def test_the_change_of_the_pixels_themselves_is_as_large_as_uniform_draws_are():
    images = torch.ones(1, 1, 100, 100)
    measured = max_sensitivity(lambda images: images[:, 0], images, radius=0.3, samples=1)
    assert measured == pytest.approx(0.3 / np.sqrt(3), rel=0.02)


def test_more_draws_can_only_raise_it():
    values = [max_sensitivity(bent, IMAGES, samples=samples) for samples in (1, 5, 25)]
    assert (values[0] <= values[1]).all()
    assert (values[1] <= values[2]).all()
    assert (values[0] < values[2]).any()


def test_a_constant_map_never_changes_and_a_map_of_zeros_has_no_value():
    constant = torch.ones(3, 6, 5)
    constant[1] = 0
    np.testing.assert_array_equal(max_sensitivity(lambda _: constant, IMAGES), [0, np.nan, 0])
    images = torch.stack([IMAGES[0], torch.zeros_like(IMAGES[0])])  # of zeros, but not nearby
    np.testing.assert_array_equal(np.isnan(max_sensitivity(linear, images)), [False, True])


def test_the_seed_gives_the_draws_and_the_global_generator_stays():
    def noisy(images: Tensor) -> Tensor:
        noise = torch.rand(len(images), 6, 5)
        images.zero_()  # an explainer may work in place
        return noise

    before, images = torch.get_rng_state(), IMAGES.clone()
    first = max_sensitivity(noisy, images)
    torch.rand(3)
    after = torch.get_rng_state()
    np.testing.assert_array_equal(first, max_sensitivity(noisy, images))
    assert torch.equal(after, torch.get_rng_state())
    assert not torch.equal(before, after)
    assert torch.equal(images, IMAGES)
    assert (first != max_sensitivity(noisy, images, seed=1)).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": IMAGES[0]}, r"images are torch.float64 \(2, 6, 5\): expected a float tensor"),
        ({"images": IMAGES.numpy()}, "images are ndarray"),
        ({"radius": 0}, "radius is 0: expected a number above 0"),
        ({"samples": 0}, "samples is 0"),
        ({"explainer": lambda images: images}, r"returns \(3, 2, 6, 5\) for .*: expected maps \(3, 6, 5\)"),
        ({"explainer": lambda images: linear(images) / 0}, "NaN or infinity"),
    ],
)
def test_what_has_no_value_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        max_sensitivity(**({"explainer": linear, "images": IMAGES} | changed))
