"""Training from scratch, frozen features, fine-tuning."""

import functools

import numpy as np
import pytest
import torch

from medxai.evaluation import classification
from medxai.models import weights
from medxai.training.fit import fit_predict
from medxai.training.small_convnet import small_convnet
from medxai.training.transfer import classifier, frozen_features
from pictures import stripes

SCRATCH = functools.partial(fit_predict, functools.partial(small_convnet, 2), rate=2e-3)


def test_a_convnet_sees_texture_that_colour_does_not_tell():
    images, labels = stripes()
    train, test = np.arange(32), np.arange(32, 48)
    probabilities = SCRATCH(images, labels, train, test, epochs=15, seed=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.argmax(axis=1) == labels[test]).mean() > 0.9
    colour = classification.colour_statistics(images, spread=True)
    guess = classification.cross_validated(classification.linear_model(colour, labels), labels, seed=0)
    assert (guess.argmax(axis=1) == labels).mean() < 0.8


def test_training_is_the_same_for_the_same_seed_and_another_for_another():
    images, labels = stripes(24)
    first, again, other = (
        SCRATCH(images, labels, np.arange(16), np.arange(16, 24), epochs=2, seed=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_the_test_labels_are_not_used():
    images, labels = stripes(24)
    train, test = np.arange(16), np.arange(16, 24)
    changed = labels.copy()
    changed[test] = 1 - changed[test]
    runs = [SCRATCH(images, each, train, test, epochs=2, seed=0) for each in (labels, changed)]
    np.testing.assert_array_equal(*runs)


@pytest.mark.parametrize("upside_down", [True, False])
def test_flips_upside_down_only_where_they_are_allowed(upside_down):
    pixels = torch.zeros(64, 3, 8, 8)
    pixels[:, :, :4] = 10
    from medxai.training import fit

    torch.manual_seed(0)
    changed = fit._augmented(pixels, upside_down)
    assert (changed[:, 0, 0, 0] < 5).any() == upside_down


@pytest.mark.parametrize(("name", "channels"), [("mobilenet_v2", 1280), ("squeezenet1_0", 512)])
def test_frozen_features_are_what_the_networks_own_head_is_given(name, channels):
    torch.manual_seed(0)
    network = weights.untrained(name).eval()
    images, _ = stripes(3, side=64)
    features = frozen_features(network, images)
    assert features.shape == (3, channels)
    with torch.no_grad():
        expected = network(weights.normalised(images))
        if name == "mobilenet_v2":
            own = network.classifier(torch.from_numpy(features))
            torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
        maps = network.features(weights.normalised(images)).numpy()
    np.testing.assert_allclose(features, maps.mean(axis=(2, 3)), rtol=1e-3, atol=1e-4 * np.abs(features).max())


def test_normalised_images_have_the_scale_of_imagenet():
    images = np.full((1, 2, 2, 3), 255, np.uint8)
    pixels = weights.normalised(images)
    assert pixels.shape == (1, 3, 2, 2)
    np.testing.assert_allclose(
        pixels[0, :, 0, 0], [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], 1e-6
    )


def test_fine_tuning_starts_from_the_given_weights_and_leaves_them_alone():
    torch.manual_seed(0)
    network = weights.untrained("mobilenet_v2")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    images, labels = stripes(12)
    build = functools.partial(classifier, network, 2)
    assert all(torch.equal(value, before[f"features.{name}"]) for name, value in build()[0].state_dict().items()), (
        "starts from them"
    )
    train, test = np.arange(8), np.arange(8, 12)
    probabilities = fit_predict(build, images, labels, train, test, epochs=1, rate=1e-3, seed=0)
    assert probabilities.shape == (4, 2)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items()), "leaves them alone"


@pytest.mark.real_data
def test_imagenet_features_tell_textures_apart_that_random_ones_tell_worse():
    if not (weights.paths.data_root() / "weights" / weights.FILES["mobilenet_v2"]).is_file():
        pytest.skip("no weights under MEDXAI_DATA")
    from sklearn.datasets import load_sample_images

    pieces = [_pieces(image) for image in load_sample_images().images]
    images, labels = np.concatenate(pieces), np.repeat([0, 1], [len(piece) for piece in pieces])
    features = frozen_features(weights.imagenet("mobilenet_v2").network, images)
    guess = classification.cross_validated(classification.linear_model(features, labels), labels, seed=0)
    assert (guess.argmax(axis=1) == labels).mean() > 0.95


def _pieces(image: np.ndarray, side: int = 96) -> np.ndarray:
    """Cut a photograph into grey squares of equal mean and spread, uint8 (n, side, side, 3)."""
    grey = image[: 4 * side, : 6 * side].mean(axis=2).reshape(4, side, 6, side).swapaxes(1, 2).reshape(24, side, side)
    grey = (grey - grey.mean(axis=(1, 2), keepdims=True)) / np.maximum(grey.std(axis=(1, 2), keepdims=True), 1)
    return np.repeat(np.clip(128 + 50 * grey, 0, 255).astype(np.uint8)[..., None], 3, axis=3)
