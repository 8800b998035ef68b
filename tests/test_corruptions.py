"""The five corruptions of ImageNet-C: against pixels of the reference library, scikit-image, scipy and closed forms."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from skimage import color
from torch import Tensor

from medxai.robustness.corruptions import (
    _CORRUPTIONS,
    KINDS,
    VERSIONS,
    corrupt,
    kinds_of,
    motion_shift,
    versions,
)

REFERENCE = np.load(Path(__file__).with_name("data") / "imagecorruptions.npz", allow_pickle=False)
SEED, EVERY = int(REFERENCE["seed"]), int(REFERENCE["every"])


def batch(picture: np.ndarray) -> Tensor:
    """One picture (h, w, c) as a batch."""
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None]


def pictures(number: int, channels: int, side: int, seed: int = 0) -> Tensor:
    """Random levels."""
    return torch.randint(
        0, 256, (number, channels, side, side + 3), generator=torch.Generator().manual_seed(seed)
    ).byte()


def applied(kind: str, images: Tensor, drawn: Tensor | None) -> Tensor:
    """All severities of a corruption with given random numbers, uint8 (5, n, c, h, w)."""
    operation, amounts = _CORRUPTIONS["224"][kind]
    out = images.new_empty(5, *images.shape)
    operation.apply(images, drawn, amounts, out)
    return out


def as_the_library_draws(kind: str, picture: np.ndarray) -> Tensor | None:
    """What numpy's global generator gives the library after the seed."""
    state = np.random.RandomState(SEED)
    if kind == "motion_blur":
        return torch.tensor([state.uniform(-45, 45)])
    return torch.from_numpy(state.normal(size=picture.shape)).permute(2, 0, 1)[None]


# Kind: most levels of 255 by which a value may differ, and the largest share of values that do.
TOLERANCES = {
    "gaussian_noise": (0, 0),
    "speckle_noise": (0, 0),
    "motion_blur": (1, 0.001),
    "contrast": (0, 0),
    "brightness": (1, 0.02),
}


@pytest.mark.parametrize("name", ["large", "small"])
@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_the_library(kind, name):
    picture = REFERENCE[name]
    found = applied(kind, batch(picture), as_the_library_draws(kind, picture))[:, 0].permute(0, 2, 3, 1).numpy()
    difference = np.abs(found[:, ::EVERY, ::EVERY].astype(int) - REFERENCE[f"{name} {kind}"])
    levels, share = TOLERANCES[kind]
    assert difference.max() <= levels
    assert (difference > 0).mean() <= share


def by_hand(image: np.ndarray, angle: float, radius: int, sigma: float) -> np.ndarray:
    """Motion blur of one channel (h, w) with scipy, the edge continued: a dense kernel of half a Gaussian on a line."""
    reach = 2 * radius + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    for step in range(2 * radius + 1):
        down = -math.ceil(step * math.sin(math.radians(angle)) - 0.5)
        right = -math.ceil(step * math.cos(math.radians(angle)) - 0.5)
        kernel[reach + down, reach + right] += math.exp(-(step**2) / (2 * sigma**2))
    return ndimage.convolve(image.astype(float), kernel / kernel.sum(), mode="nearest")


@pytest.mark.parametrize(("channels", "side"), [(1, 12), (3, 28), (1, 45)])
def test_motion_blur_is_a_convolution_whatever_the_size(channels, side):
    images, angles = pictures(4, channels, side), torch.tensor([-45.0, -10.3, 0.0, 33.7], dtype=torch.float64)
    found = applied("motion_blur", images, angles).numpy()
    for row, (radius, sigma) in enumerate([(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)]):
        for number, channel in np.ndindex(4, channels):
            wanted = by_hand(images[number, channel].numpy(), angles[number].item(), radius, sigma)
            # One level is what is cut off; the rest is float32.
            off = wanted - found[row, number, channel]
            assert off.min() > -2e-4
            assert off.max() < 1 + 1e-4


@pytest.mark.parametrize("side", [20, 48])
def test_motion_blur_keeps_flat_areas(side):
    levels = torch.arange(256).byte()
    flat = levels.view(-1, 1, 1, 1).expand(-1, 1, side, side)
    assert torch.equal(applied("motion_blur", flat, torch.linspace(-45, 45, 256).double()), flat.expand(5, *flat.shape))


def test_images_that_the_motion_leaves_get_darker_as_in_the_library():
    flat = torch.full((1, 3, 32, 32), 200).byte()
    severest = applied("motion_blur", flat, torch.zeros(1, dtype=torch.float64))[4]
    weights = np.exp(-(np.arange(41) ** 2) / (2 * 15**2))
    assert severest.unique().tolist() == [math.floor(200 * weights[:32].sum() / weights.sum())]


def test_motion_shift_is_how_far_a_slope_moves():
    side, keys = 120, torch.tensor([3, -8, 2**40])
    right = torch.arange(side).expand(side, side).byte()
    slopes = torch.stack([2 * right, 2 * right.T, 0 * right]).expand(3, -1, -1, -1)
    for constants in ("224", "64", "32", "breastmnist"):
        for severity in (1, 5):
            blurred = corrupt(slopes, "motion_blur", severity, keys, constants=constants)
            inner = (slopes.double() - blurred)[:, :2, 45:75, 45:75]  # whole levels, cut off: at most one too many
            off = inner.amin((2, 3)) - 2 * motion_shift(keys, severity, constants=constants)
            assert (off > -1e-3).all()
            assert (off < 1 + 1e-3).all()


def mean_step(radius: int, sigma: float) -> float:
    """Mean of half a Gaussian over 2 radius + 1 steps."""
    steps = np.arange(2 * radius + 1)
    return np.average(steps, weights=np.exp(-(steps**2) / (2 * sigma**2)))


def test_motion_shift_is_as_large_as_half_a_gaussian_is_wide():
    shifts = motion_shift(torch.arange(500), 3)
    assert shifts.norm(dim=1).mean().item() == pytest.approx(mean_step(15, 8), abs=0.1)
    assert (shifts[:, 0] < 0).all()
    assert torch.equal(shifts, motion_shift(torch.arange(500), 3))
    assert not torch.equal(shifts, motion_shift(torch.arange(500), 3, seed=1))


def test_contrast_is_exact():
    images = pictures(2, 3, 30)
    size, found = 30 * 33, applied("contrast", images, None)
    for row, percent in enumerate((40, 30, 20, 10, 5)):
        sums = images.long().sum((2, 3), keepdim=True)
        assert torch.equal(found[row].long(), (percent * size * images.long() + (100 - percent) * sums) // (100 * size))


def test_brightness_is_scikit_images():
    images = pictures(2, 3, 60)
    found = applied("brightness", images, None).permute(0, 1, 3, 4, 2).numpy()
    hsv = color.rgb2hsv(images.permute(0, 2, 3, 1).numpy() / 255)
    for row, amount in enumerate((0.1, 0.2, 0.3, 0.4, 0.5)):
        brighter = np.concatenate([hsv[..., :2], np.clip(hsv[..., 2:] + amount, 0, 1)], -1)
        off = np.abs(found[row].astype(int) - (np.clip(color.hsv2rgb(brighter), 0, 1) * 255).astype(np.uint8))
        assert off.max() <= 1
        assert (off > 0).mean() <= 0.02
    black = torch.zeros(1, 3, 4, 4).byte()
    assert applied("brightness", black, None)[:, 0, 0, 0, 0].tolist() == [25, 51, 76, 102, 127]


@pytest.mark.parametrize("kind", ["motion_blur", "contrast", "brightness"])
def test_grey_stays_grey_and_is_a_channel_of_it_as_colours(kind):
    grey, keys = pictures(3, 1, 37), torch.arange(3)
    found = versions(grey, keys, kinds=[kind])
    assert torch.equal(found.expand(-1, -1, 3, -1, -1), versions(grey.expand(-1, 3, -1, -1), keys, kinds=[kind]))


@pytest.mark.parametrize("constants", ["224", "64", "32"])
@pytest.mark.parametrize("channels", [1, 3])
def test_versions_are_what_corrupt_returns(constants, channels):
    images, keys = pictures(2, channels, 28), torch.tensor([5, 9])
    found = versions(images, keys, seed=4, constants=constants)
    assert found.shape == (25, *images.shape)
    for row, (kind, severity) in enumerate(VERSIONS):
        one = corrupt(images, kind, severity, keys, seed=4, constants=constants)
        assert (found[row].int() - one.int()).abs().max() <= (kind == "motion_blur")
    assert torch.equal(versions(images, keys, kinds=["contrast"]), versions(images, keys)[15:20])
    assert versions(images, keys, kinds=()).shape == (0, *images.shape)


# What a level of 100 becomes, or by how many levels noise of it deviates, at severity 5.
PUBLISHED = {
    "64": {"brightness": 227, "contrast": (105, 95), "gaussian_noise": 45.9, "speckle_noise": 35, "motion": (12, 3)},
    "32": {"brightness": 176, "contrast": (115, 85), "gaussian_noise": 25.5, "speckle_noise": 20, "motion": (9, 2.5)},
}


@pytest.mark.parametrize("constants", PUBLISHED)
def test_constants_of_small_images(constants):
    wanted, keys = PUBLISHED[constants], torch.arange(1)
    flat, halves = torch.full((1, 1, 64, 64), 100).byte(), torch.tensor([200, 0]).byte().repeat(1, 1, 64, 32)
    brighter = corrupt(flat, "brightness", 5, keys, constants=constants)
    assert brighter.unique().tolist() == [wanted["brightness"]]
    assert tuple(corrupt(halves, "contrast", 5, keys, constants=constants)[0, 0, 0, :2].tolist()) == wanted["contrast"]
    for kind in ("gaussian_noise", "speckle_noise"):
        spread = corrupt(flat, kind, 5, keys, constants=constants).double().std().item()
        assert spread == pytest.approx(wanted[kind], rel=0.05)
    moved = motion_shift(torch.arange(500), 5, constants=constants).norm(dim=1).mean().item()
    assert moved == pytest.approx(mean_step(*wanted["motion"]), abs=0.1)


def fields(kind: str, keys: list[int], seed: int = 0, side: int = 48) -> Tensor:
    """The noise that images with these keys get, (n, 3 * side * side) in units of its deviation."""
    grey = torch.full((len(keys), 3, side, side), 128).byte()
    noisy = corrupt(grey, kind, 1, torch.tensor(keys), seed=seed).double()
    return ((noisy + 0.5 - 128) / ({"gaussian_noise": 0.08 * 255, "speckle_noise": 0.15 * 128}[kind])).flatten(1)


@pytest.mark.parametrize("kind", ["gaussian_noise", "speckle_noise"])
def test_noise_is_normal_and_that_of_one_image_tells_nothing_of_another(kind):
    noise = fields(kind, [0, 1, 2, 3, 2**31, -1])
    assert (
        stats.kstest(
            noise.flatten().numpy() + np.random.default_rng(0).uniform(-0.02, 0.02, noise.numel()), "norm"
        ).pvalue
        > 0.001
    )
    correlations = np.corrcoef(noise.numpy())[np.triu_indices(6, 1)]
    assert np.abs(correlations).max() < 4.5 / math.sqrt(noise.shape[1])


def test_what_is_random_depends_on_seed_key_and_kind_alone():
    one = fields("gaussian_noise", [1, 2, 3])
    assert torch.equal(one[[2, 0]], fields("gaussian_noise", [3, 1]))
    for other in (fields("gaussian_noise", [1], seed=1), fields("speckle_noise", [1])):
        assert abs(np.corrcoef(one[0], other[0])[0, 1]) < 4.5 / math.sqrt(one.shape[1])
    images, keys = pictures(5, 3, 33), torch.arange(5)
    order = torch.tensor([4, 0, 2])
    assert torch.equal(versions(images, keys)[:, order], versions(images[order], keys[order]))
    torch.manual_seed(0)
    state = torch.get_rng_state()
    versions(images, keys)
    assert torch.equal(state, torch.get_rng_state())


def test_angles_are_uniform_and_independent():
    shifts = motion_shift(torch.arange(4000), 5)
    angles = torch.atan2(-shifts[:, 1], -shifts[:, 0]).rad2deg().numpy()
    assert stats.kstest(angles, stats.uniform(-45, 90).cdf).pvalue > 0.001
    assert abs(np.corrcoef(angles[1:], angles[:-1])[0, 1]) < 4.5 / math.sqrt(4000)


def test_severities_share_their_noise():
    grey, keys = torch.full((1, 1, 40, 40), 128).byte(), torch.tensor([6])
    levels = versions(grey, keys, kinds=["gaussian_noise"]).double() + 0.5 - 128
    assert ((levels[1] / 0.12 - levels[0] / 0.08).abs() <= 0.5 / 0.12 + 0.5 / 0.08 + 1e-9).all()


def test_images_are_left_as_they_are_however_they_lie_in_memory():
    images, keys = pictures(3, 3, 36), torch.arange(3)
    wanted, before = versions(images, keys), images.clone()
    assert torch.equal(versions(images.to(memory_format=torch.channels_last), keys), wanted)
    assert torch.equal(images, before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gives_the_same():
    images, keys = pictures(3, 3, 64), torch.arange(3)
    off = versions(images.cuda(), keys.cuda()).cpu().int() - versions(images, keys).int()
    assert off.abs().max() <= 1
    assert (off != 0).double().mean() < 1e-4


IMAGES, KEYS = torch.zeros(2, 3, 9, 9, dtype=torch.uint8), torch.arange(2)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"severity": 0}, "severity is 0: expected an integer from 1 to 5"),
        ({"severity": 6}, "severity is 6: expected an integer from 1 to 5"),
        ({"severity": 1.0}, "severity is 1.0: expected an integer"),
        ({"severity": True}, "severity is True: expected an integer"),
        (
            {"kind": "fog"},
            "kind is 'fog': expected one of gaussian_noise, speckle_noise, motion_blur, contrast, bright",
        ),
        ({"constants": "128"}, "constants is '128': expected one of '224', '64', '32', 'breastmnist'"),
        (
            {"constants": "pneumoniamnist", "kind": "motion_blur"},
            "kind is 'motion_blur': expected one of pixelate, jpeg",
        ),
        ({"images": IMAGES.float()}, r"images are torch.float32 \(2, 3, 9, 9\): expected torch.uint8 \(n, c, h, w\)"),
        ({"images": IMAGES[0]}, r"images are torch.uint8 \(3, 9, 9\): expected torch.uint8 \(n, c, h, w\)"),
        ({"images": IMAGES.permute(0, 2, 3, 1)}, r"\(2, 9, 9, 3\): expected torch.uint8 .* with 1 or 3 channels"),
        ({"images": IMAGES[:0]}, r"\(0, 3, 9, 9\): expected .* none of it 0"),
        ({"images": IMAGES.numpy()}, "images are ndarray: expected torch.uint8"),
        ({"keys": KEYS[:1]}, r"keys are torch.int64 \(1,\): expected torch.int64 \(2,\), one for each image"),
        ({"keys": KEYS.float()}, r"keys are torch.float32 \(2,\): expected torch.int64"),
        ({"keys": [0, 1]}, "keys are list: expected torch.int64"),
        (
            {"images": IMAGES[..., :8], "constants": "breastmnist", "kind": "pixelate"},
            "images are 9 x 8 pixels: expected",
        ),
    ],
)
def test_what_cannot_be_corrupted_is_refused_in_a_sentence(changed, told):
    arguments = {"images": IMAGES, "kind": "motion_blur", "severity": 1, "keys": KEYS} | changed
    with pytest.raises(ValueError, match=told) as caught:
        corrupt(**arguments)
    assert "\n" not in str(caught.value)


def test_versions_and_shifts_refuse_the_same():
    with pytest.raises(ValueError, match="kind is 'snow'"):
        versions(IMAGES, KEYS, kinds=["contrast", "snow"])
    with pytest.raises(ValueError, match="keys are"):
        versions(IMAGES, KEYS[:1])
    with pytest.raises(ValueError, match="severity is 0"):
        motion_shift(KEYS, 0)
    with pytest.raises(ValueError, match=r"keys are torch.int64 \(0,\)"):
        motion_shift(KEYS[:0], 1)
    with pytest.raises(ValueError, match="kind is 'motion_blur'"):
        motion_shift(KEYS, 1, constants="pneumoniamnist")
    with pytest.raises(ValueError, match="constants is 'no'"):
        kinds_of("no")
