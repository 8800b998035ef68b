"""Corruptions of MedMNIST-C: against Pillow, torchvision, scipy, scikit-image and OpenCV, as its program uses them."""

from math import ceil

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from scipy import ndimage, stats
from skimage import util
from torch import Tensor
from torchvision.transforms import functional as transforms

from medxai.robustness._operations import Operation, gaussian_noise
from medxai.robustness.corruptions import corrupt, kinds_of, versions
from medxai.robustness.medmnistc import impulse_noise, in_colour, shot_noise

SETS = {"breastmnist": 1, "dermamnist": 3, "pneumoniamnist": 1, "retinamnist": 3}
"""Channels of the images of each set."""


def smooth(channels: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """One picture of full range, uint8 (height, width, channels)."""
    noise = np.random.default_rng(seed).normal(size=(height, width, channels))
    values = cv2.GaussianBlur(noise, (0, 0), 2).reshape(noise.shape)
    return np.clip(128 + 500 * values, 0, 255).astype(np.uint8)


def batch(picture: np.ndarray) -> Tensor:
    """A picture (h, w, c) as a batch."""
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None]


def disc(radius: float, deviation: float) -> np.ndarray:
    """A disc in 17 x 17 pixels whose edge is blurred by three samples of a Gaussian."""
    y, x = np.mgrid[-8:9, -8:9]
    inside = (x**2 + y**2 <= radius**2).astype(float)
    samples = np.exp(-(np.arange(-1, 2) ** 2) / (2 * deviation**2))
    samples /= samples.sum()
    return ndimage.correlate(inside / inside.sum(), np.outer(samples, samples), mode="mirror")


def defocus_blur(picture: np.ndarray, radius: float, deviation: float) -> np.ndarray:
    kernel = disc(radius, deviation)[..., None]
    return ndimage.correlate(picture.astype(float), kernel, mode="mirror")


def zoomed(picture: np.ndarray, factor: float) -> np.ndarray:
    side = picture.shape[0]
    part = ceil(side / factor)
    top = (side - part) // 2
    large = ndimage.zoom(picture[top : top + part, top : top + part], (factor, factor, 1), order=1)
    trim = (large.shape[0] - side) // 2
    return large[trim : trim + side, trim : trim + side]


def zoom_blur(picture: np.ndarray, factors: np.ndarray) -> np.ndarray:
    values = picture.astype(float)
    return (values + sum(zoomed(values, factor) for factor in factors)) / (len(factors) + 1)


def pillow(change, amount):
    return lambda picture: np.array(change(Image.fromarray(picture)).enhance(amount))


# Set, kind, severity, what the program does with the parameter of that severity, most levels by which it may differ.
CASES = [
    ("breastmnist", "brightness_up", 5, pillow(ImageEnhance.Brightness, 2.0), 0),
    ("breastmnist", "brightness_down", 1, pillow(ImageEnhance.Brightness, 0.55), 0),
    ("breastmnist", "contrast_down", 5, pillow(ImageEnhance.Contrast, 0.4), 0),
    ("dermamnist", "brightness_up", 1, pillow(ImageEnhance.Brightness, 1.1), 0),
    ("dermamnist", "contrast_up", 5, pillow(ImageEnhance.Contrast, 1.6), 0),
    ("retinamnist", "contrast_down", 2, pillow(ImageEnhance.Contrast, 0.8), 0),
    ("pneumoniamnist", "contrast_up", 3, pillow(ImageEnhance.Contrast, 1.3), 0),
    ("pneumoniamnist", "gamma_corr_up", 5, lambda p: np.array(transforms.adjust_gamma(Image.fromarray(p), 1.6)), 0),
    ("pneumoniamnist", "gamma_corr_down", 4, lambda p: np.array(transforms.adjust_gamma(Image.fromarray(p), 0.6)), 0),
    ("pneumoniamnist", "gaussian_blur", 5, lambda p: np.array(transforms.gaussian_blur(Image.fromarray(p), 11)), 0),
    ("dermamnist", "defocus_blur", 5, lambda p: defocus_blur(p, 8, 0.5), 1),
    ("retinamnist", "defocus_blur", 1, lambda p: defocus_blur(p, 4, 0.1), 1),
    ("dermamnist", "zoom_blur", 1, lambda p: zoom_blur(p, np.arange(1, 1.11, 0.01)), 1),
    ("dermamnist", "zoom_blur", 5, lambda p: zoom_blur(p, np.arange(1, 1.31, 0.03)), 1),
]


@pytest.mark.parametrize(("name", "kind", "severity", "wanted", "levels"), CASES)
def test_values_are_those_of_the_programs_that_it_uses(name, kind, severity, wanted, levels):
    picture = smooth(3, 61, 61)
    if SETS[name] == 1:
        picture = picture[..., :1].repeat(3, 2)  # it makes three colours of grey
    found = corrupt(batch(picture[..., : SETS[name]]), kind, severity, torch.arange(1), constants=name)
    found, values = found[0].permute(1, 2, 0).numpy(), wanted(picture)
    off = np.abs(found.astype(int) - np.clip(values, 0, 255).astype(np.uint8)[..., : SETS[name]])
    assert off.max() <= levels
    assert (off > 0).mean() <= 0.02  # where the exact mean of 49 pixels is an integer, rounding decides
    assert not np.array_equal(found, picture[..., : SETS[name]])


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_opencvs(channels):
    picture = smooth(channels, 50, 70)
    found = corrupt(batch(picture), "jpeg_compression", 4, torch.arange(1), constants="breastmnist")
    code = cv2.imencode(".jpg", picture.repeat(3 // channels, 2)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 10])[1]
    wanted = cv2.imdecode(code, cv2.IMREAD_COLOR)[..., ::-1][..., :channels]
    np.testing.assert_array_equal(found[0].permute(1, 2, 0).numpy(), wanted)


def test_pixelate_makes_means_of_blocks():
    picture = smooth(1, 32, 48)
    found = corrupt(batch(picture), "pixelate", 2, torch.arange(1), constants="breastmnist")[0, 0].numpy()
    means = picture.reshape(8, 4, 12, 4).mean((1, 3))
    assert (
        np.abs(found - means.repeat(4, 0).repeat(4, 1)).max() <= 1
    )  # rows and columns are rounded, one after the other
    tiny = corrupt(torch.full((1, 3, 9, 9), 7).byte(), "pixelate", 5, torch.arange(1), constants="breastmnist")
    assert tiny.unique().tolist() == [7]


def test_a_black_corner_leaves_a_circle():
    white = torch.full((1, 3, 100, 80), 255).byte()
    y, x = np.mgrid[:100, :80]
    distance = np.hypot(y - 50, x - 40)
    for severity, share in enumerate((1.1, 1.05, 1, 0.9, 0.95), 1):
        found = corrupt(white, "black_corner", severity, torch.arange(1), constants="dermamnist")[0, 1].numpy()
        assert (found[distance <= 40 * share - 1] == 255).all()
        assert (found[distance >= 40 * share + 1] == 0).all()


def test_noise_of_grey_images_is_drawn_in_colour():
    picture, field = smooth(1, 40, 50), torch.randn(1, 3, 40, 50, generator=torch.Generator().manual_seed(1))
    images = batch(picture)
    found = images.new_empty(1, *images.shape)
    in_colour(Operation(gaussian_noise)).apply(images, field, [0.3], found)
    coloured = np.clip(picture / 255 + 0.3 * field[0].permute(1, 2, 0).double().numpy(), 0, 1) * 255
    wanted = np.array(Image.fromarray(coloured.astype(np.uint8)).convert("L"))
    np.testing.assert_array_equal(found[0, 0, 0].numpy(), wanted)
    grey = torch.full((1, 1, 64, 64), 200).byte()
    spread = corrupt(grey, "speckle_noise", 1, torch.arange(1), constants="breastmnist").double().std().item()
    assert spread == pytest.approx(200 * 0.10 * np.linalg.norm([0.299, 0.587, 0.114]), rel=0.05)


def test_impulse_noise_is_scikit_images():
    picture = smooth(3, 40, 50)
    generator = np.random.default_rng(3)
    drawn = np.stack([generator.random(picture.shape) for _ in range(2)])
    images, drawn = batch(picture), torch.from_numpy(drawn).permute(0, 3, 1, 2)[None]
    found = images.new_empty(2, *images.shape)
    impulse_noise(images, drawn, [0.17, 0.01], found)
    for row, amount in enumerate((0.17, 0.01)):
        wanted = util.random_noise(picture / 255, mode="s&p", amount=amount, rng=np.random.default_rng(3))
        np.testing.assert_array_equal(found[row, 0].permute(1, 2, 0).numpy(), (wanted * 255).astype(np.uint8))


def test_shot_noise_is_the_inverse_of_poissons_distribution():
    images = torch.arange(256).byte().view(1, 1, 16, 16).repeat(1, 1, 4, 4)
    drawn = torch.rand(images.shape, generator=torch.Generator().manual_seed(2))
    found = images.new_empty(2, *images.shape)
    shot_noise(images, drawn, [300, 5], found)
    for row, photons in enumerate((300, 5)):
        counts = stats.poisson.ppf(drawn.numpy().astype(float), photons * images.double().numpy() / 255)
        wanted = (np.clip(np.maximum(counts, 0) / photons, 0, 1) * 255).astype(np.uint8)
        np.testing.assert_array_equal(found[row].numpy(), wanted)


@pytest.mark.parametrize("name", SETS)
def test_each_kind_gets_worse_with_its_severity(name):
    images = torch.cat([batch(smooth(SETS[name], 64, 64, seed)) for seed in range(3)])
    kinds = kinds_of(name)
    found = versions(images, torch.arange(3), constants=name, kinds=kinds)
    assert found.shape == (5 * len(kinds), *images.shape)
    change = (found.double() - images).abs().mean((1, 2, 3, 4)).view(-1, 5)
    for kind, of_kind in zip(kinds, change, strict=True):
        order = [0, 1, 2, 4, 3] if kind == "black_corner" else range(5)  # the published order
        assert (of_kind[list(order)].diff() > 0).all(), kind
        assert of_kind[0] > 0


def test_random_numbers_are_those_of_the_image():
    images, keys = torch.cat([batch(smooth(1, 30, 30, seed)) for seed in range(3)]), torch.tensor([4, 5, 6])
    kinds = [kind for kind in kinds_of("pneumoniamnist") if kind.endswith("noise")]
    assert len(kinds) == 4
    found = versions(images, keys, constants="pneumoniamnist", kinds=kinds)
    for row, kind in enumerate(kinds):
        alone = corrupt(images[2:], kind, 3, keys[2:], constants="pneumoniamnist")
        assert torch.equal(found[5 * row + 2, 2:], alone)
        assert not torch.equal(alone, corrupt(images[2:], kind, 3, keys[:1], constants="pneumoniamnist"))
