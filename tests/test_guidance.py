"""Losses of DermX against plain loops and numbers by hand, and maps that must not help."""

import math
import re

import numpy as np
import pytest
import torch
from torch import Tensor

from medxai.training import control_maps, guidance
from medxai.training.guidance import GUIDANCE, attention_loss

HALF = torch.tensor([[1.0, 1.0], [0.0, 0.0]])[None, None]
"""One map of two by two pixels, the upper ones inside."""


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def by_hand(name: str, attention: list[float], inside: list[float]) -> float:
    """Return the loss of one map, pixel by pixel."""
    pixels = list(zip(attention, inside, strict=True))
    both = sum(a * m for a, m in pixels)
    if name in ("dice", "dice_smoothed"):
        s = 0.01 if name == "dice" else 1
        return 1 - (2 * both + s) / (sum(attention) + sum(inside) + s)
    if name == "sensitivity_specificity":
        neither, outside = sum((1 - a) * (1 - m) for a, m in pixels), sum(1 - m for m in inside)
        sensitivity, specificity = (both + 0.01) / (sum(inside) + 0.01), (neither + 0.01) / (outside + 0.01)
        return 1 - 0.5 * sensitivity - 0.5 * specificity
    if name == "energy":
        return 1 - both / sum(attention)
    if name == "l1":
        return sum(abs(a - m) for a, m in pixels) / len(pixels)
    if name == "outside_squared":
        return sum((a * (1 - m)) ** 2 for a, m in pixels) / len(pixels)
    total = 0.0
    for a, m in ((0.01 + 0.98 * a, 0.01 + 0.98 * m) for a, m in pixels):
        cross = -m * math.log(a) - (1 - m) * math.log(1 - a)
        total += cross + m * math.log(m) + (1 - m) * math.log(1 - m)
    return total / len(pixels)


@pytest.mark.parametrize("name", GUIDANCE)
def test_losses_are_those_of_a_loop_over_pixels(name: str) -> None:
    attention, maps = 7 * random(3, 2, 4, 5), random(3, 2, 4, 5, seed=1)
    expected = np.zeros((3, 2))
    for n, c in np.ndindex(3, 2):
        values = attention[n, c].flatten().tolist()
        expected[n, c] = by_hand(name, [value / max(values) for value in values], maps[n, c].flatten().tolist())
    np.testing.assert_allclose(GUIDANCE[name](guidance.scaled(attention), maps), expected, rtol=1e-12)
    counted = torch.tensor([[1, 0], [0, 1], [1, 1]], dtype=torch.bool)
    mean = (expected[0, 0] + expected[1, 1] + expected[2, 0] + expected[2, 1]) / 4
    assert attention_loss(attention, maps, counted, name).item() == pytest.approx(mean, rel=1e-12)
    weights = torch.tensor([[0.5, 0], [0, 0.25], [0, 0]])
    mean = (2 * expected[0, 0] + expected[1, 1]) / 3
    assert attention_loss(attention, maps, weights, name).item() == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "everywhere", "outside", "one_inside"),
    [
        ("dice", 1 - 4.01 / 6.01, 1 - 0.01 / 4.01, 1 - 2.01 / 3.01),
        ("dice_smoothed", 1 - 5 / 7, 1 - 1 / 5, 1 - 3 / 4),
        ("sensitivity_specificity", (1 - 0.01 / 2.01) / 2, 1 - 0.01 / 2.01, (1 - 1.01 / 2.01) / 2),
        ("energy", 1 / 2, 1, 0),
        ("l1", 1 / 2, 1, 1 / 4),
        ("pixel_cross_entropy", 0.98 * math.log(99) / 2, 0.98 * math.log(99), 0.98 * math.log(99) / 4),
        ("outside_squared", 1 / 2, 1 / 2, 0),
    ],
)
def test_losses_by_hand(name: str, everywhere: float, outside: float, one_inside: float) -> None:
    corner = torch.tensor([[1.0, 0.0], [0.0, 0.0]])[None, None]
    every = torch.ones(1, 1)
    for attention, expected in ((torch.ones(1, 1, 2, 2), everywhere), (1 - HALF, outside), (corner, one_inside)):
        assert attention_loss(3 * attention, HALF, every, name).item() == pytest.approx(expected, abs=1e-6)
    assert attention_loss(HALF, HALF, every, name).item() == pytest.approx(0, abs=1e-6)


def test_smoothing_by_a_cell_prefers_silence_to_the_right_map_of_a_small_lesion() -> None:
    comedo = torch.zeros(1, 1, 9, 9)
    comedo[0, 0, 4, 4] = 0.3  # of a cell
    for name, silence_is_better in (("dice", False), ("dice_smoothed", True)):
        right, silent = (float(GUIDANCE[name](maps, comedo)) for maps in (guidance.scaled(comedo), 0 * comedo))
        assert (silent < right) == silence_is_better


@pytest.mark.parametrize("name", GUIDANCE)
def test_the_scale_of_attention_does_not_matter(name: str) -> None:
    attention, maps, counted = random(2, 3, 4, 4), random(2, 3, 4, 4, seed=1), torch.ones(2, 3)
    once, more = (attention_loss(factor * attention, maps, counted, name) for factor in (1, 1000))
    torch.testing.assert_close(once, more)


@pytest.mark.parametrize("name", GUIDANCE)
@pytest.mark.parametrize("faint", [0.0, 1e-30, 1e-5])
@pytest.mark.parametrize("inside", [0.0, 1.0, 0.3])
@pytest.mark.parametrize("counted", [0, 1])
def test_nothing_is_nan_where_something_is_empty(name: str, faint: float, inside: float, counted: int) -> None:
    raw = torch.linspace(-1, faint, 18).view(1, 2, 3, 3)
    raw = (raw if faint else raw.clamp_max(0)).requires_grad_()
    loss = attention_loss(raw.relu(), torch.full((1, 2, 3, 3), inside), torch.full((1, 2), counted), name)
    (slope,) = torch.autograd.grad(loss, raw)
    assert torch.isfinite(loss)
    assert torch.isfinite(slope).all()
    if not counted:
        assert loss == 0
        assert not slope.any()


@pytest.mark.parametrize(
    ("name", "no_attention", "no_map"),
    [
        ("dice", 1 - 0.01 / 2.01, 1 - 0.01 / 2.01),
        ("dice_smoothed", 1 - 1 / 3, 1 - 1 / 3),
        ("sensitivity_specificity", (1 - 0.01 / 2.01) / 2, (1 - 2.01 / 4.01) / 2),
        ("energy", 1, 1),
        ("l1", 1 / 2, 1 / 2),
        ("pixel_cross_entropy", 0.98 * math.log(99) / 2, 0.98 * math.log(99) / 2),
        ("outside_squared", 0, 1 / 2),
    ],
)
def test_empty_attention_and_empty_maps_by_hand(name: str, no_attention: float, no_map: float) -> None:
    empty, every = torch.zeros(1, 1, 2, 2), torch.ones(1, 1)
    assert attention_loss(empty, HALF, every, name).item() == pytest.approx(no_attention, abs=1e-6)
    assert attention_loss(HALF, empty, every, name).item() == pytest.approx(no_map, abs=1e-6)
    expected = 1 if name == "energy" else 0
    assert attention_loss(empty, empty, every, name).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", GUIDANCE)
def test_a_step_down_the_gradient_lowers_the_loss(name: str) -> None:
    attention, maps = random(1, 2, 4, 4).requires_grad_(), (random(1, 2, 4, 4, seed=1) > 0.5).double()
    loss = attention_loss(attention, maps, torch.ones(1, 2), name)
    (slope,) = torch.autograd.grad(loss, attention)
    assert attention_loss((attention - 1e-3 * slope).relu(), maps, torch.ones(1, 2), name) < loss
    assert torch.autograd.gradcheck(lambda a: attention_loss(a, maps, torch.ones(1, 2), name), [attention])


def test_scaled_maps() -> None:
    maps = torch.stack([4 * HALF[0, 0], torch.zeros(2, 2), 1e-9 * HALF[0, 0]])[None]
    found = guidance.scaled(maps)
    torch.testing.assert_close(found[0, :2], torch.stack([HALF[0, 0], torch.zeros(2, 2)]))
    assert 0 < found[0, 2].max() <= 1e-3  # too faint to be blown up


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"guidance": "dise"}, "guidance is 'dise': expected one of dice, sensitivity_specificity, energy, l1, pixel_"),
        ({"maps": torch.zeros(1, 1, 3, 2)}, "attention and maps are (1, 1, 2, 2) and (1, 1, 3, 2): expected (n, c, h"),
        ({"attention": HALF[0], "maps": HALF[0]}, "attention and maps are (1, 2, 2) and (1, 2, 2): expected (n, c, h"),
        ({"counted": torch.ones(1)}, "counted is (1,): expected (1, 1), as of the maps"),
    ],
)
def test_bad_arguments_are_told_in_one_sentence(arguments: dict, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        attention_loss(**{"attention": HALF, "maps": HALF, "counted": torch.ones(1, 1)} | arguments)


def test_cross_entropies_are_means_over_images() -> None:
    logits, labels = 3 * random(4, 3), np.array([0, 2, 2, 1])
    logs = np.log(np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True))
    lost = -logs[np.arange(4), labels]
    assert guidance.diagnosis_loss(logits, torch.from_numpy(labels)).item() == pytest.approx(lost.mean())
    weights = guidance.class_weights(labels, 3)
    np.testing.assert_allclose(weights, [4 / 3, 4 / 3, 2 / 3], rtol=1e-6)
    weighted = guidance.diagnosis_loss(logits, torch.from_numpy(labels), weights.double()).item()
    assert weighted == pytest.approx((lost[0] + lost[3] + (lost[1] + lost[2]) / 2) / 3)
    present = logits.numpy() > 1
    chance = 1 / (1 + np.exp(-logits.numpy()))
    expected = -np.where(present, np.log(chance), np.log(1 - chance)).sum() / (4 * 3)
    assert guidance.characteristic_loss(logits, torch.from_numpy(present)).item() == pytest.approx(expected)
    none = guidance.characteristic_loss(torch.zeros(4, 0, requires_grad=True), torch.zeros(4, 0, dtype=torch.bool))
    assert none.item() == 0
    with pytest.raises(ValueError, match=r"images by class are \[1, 1, 2, 0\]: expected 4 classes with at least one"):
        guidance.class_weights(labels, 4)


def shown() -> tuple[np.ndarray, np.ndarray]:
    """Five images, three characteristics; the first in three images, the second in all, the third in none."""
    present = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 0], [1, 1, 0], [0, 1, 0]], dtype=bool)
    maps = np.random.default_rng(0).random((5, 3, 4, 6), dtype=np.float32)
    return maps * present[..., None, None], present


def test_another_image_has_the_same_characteristic_and_keeps_no_map() -> None:
    maps, present = shown()
    for seed in range(5):
        moved = control_maps.of_another_image(maps, present, seed=seed)
        assert moved.dtype == np.float32
        np.testing.assert_array_equal(moved.any((2, 3)), present)
        for number in range(3):
            rows = np.flatnonzero(present[:, number])
            assert all((moved[row, number] != maps[row, number]).any() for row in rows)
            assert sorted(moved[rows, number].sum((1, 2))) == sorted(maps[rows, number].sum((1, 2)))
    seeds = [control_maps.of_another_image(maps, present, seed=seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(seeds[0], seeds[1])
    assert (seeds[0] != seeds[2]).any()
    with pytest.raises(ValueError, match="characteristic 0 is in one image: expected none or at least two"):
        control_maps.of_another_image(maps[1:3], present[1:3], seed=0)


def test_the_mean_map_of_a_disease() -> None:
    maps, present = shown()
    means = control_maps.mean_of_disease(maps, present, np.array([0, 0, 0, 1, 1]))
    np.testing.assert_allclose(means[0, 0], (maps[0, 0] + maps[2, 0]) / 2, rtol=1e-6)
    np.testing.assert_allclose(means[1, 1], maps[:3, 1].mean(0), rtol=1e-6)
    np.testing.assert_allclose(means[4, 1], maps[3:, 1].mean(0), rtol=1e-6)
    np.testing.assert_array_equal(means[3, 0], maps[3, 0])
    np.testing.assert_array_equal(means.any((2, 3)), present)


def test_a_gaussian_in_the_middle_of_what_is_present() -> None:
    _, present = shown()
    hills = control_maps.centred_gaussian(np.zeros((5, 3, 40, 41), np.float32), present)
    np.testing.assert_array_equal(hills.any((2, 3)), present)
    one = hills[0, 0]
    np.testing.assert_allclose(one, one[::-1, ::-1], rtol=1e-6)
    assert np.unravel_index(one.argmax(), one.shape)[1] == 20
    assert one.max() == pytest.approx(1, abs=2e-3)
    # Half a pixel from the middle, and a standard deviation (ten pixels) and half a pixel from it.
    assert one[30, 20] / one[20, 20] == pytest.approx(math.exp(-(10.5**2 - 0.5**2) / (2 * 10**2)), rel=1e-5)


def test_coarse_maps_are_means_of_blocks() -> None:
    maps, _ = shown()
    coarse = control_maps.coarsened(maps, 2)
    assert (coarse.shape, coarse.dtype) == (maps.shape, np.float32)
    for down, across in np.ndindex(2, 2):
        block = np.s_[..., 2 * down : 2 * down + 2, 3 * across : 3 * across + 3]
        mean = maps[block].mean((2, 3), keepdims=True)
        np.testing.assert_allclose(coarse[block], np.broadcast_to(mean, maps[block].shape), rtol=1e-5)
